"""What a large pool makes the driver do differently, on a small one: counts in a tree, identities in passes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xxhash

from metaclip_core import curation, repeats
from metaclip_core.curation import curate
from metaclip_core.run import Run

TEXTS = [["a dog", "a cat", "dog"], ["a dog", "cat, dog"], ["nothing"], ["a", "a dog"], ["cat cat", "dog a"]]
UIDS = [["u0", "twice", "u2"], ["thrice", "twice"], ["thrice"], ["u5", "thrice"], ["u7", "u8"]]


def make(folder: Path, name: str, shards: list[int], **options) -> Run:
    pool = folder / f"pool-{name}"
    pool.mkdir()
    for place, shard in enumerate(shards):
        pl.DataFrame({"uid": UIDS[shard], "text": TEXTS[shard]}).write_parquet(pool / f"{place}-{shard}.parquet")
    pl.DataFrame({"entry": ["dog", "cat", "a", "a dog"]}).write_parquet(folder / "metadata.parquet")
    return curate(pool, folder / "metadata.parquet", folder / name, **options)


def by_identity(run: Run) -> dict[int, tuple]:
    frame = run.pairs(["identity", "text", "entry_ids", "keep_t"]).collect()
    assert frame["identity"].n_unique() == len(frame)
    return {row[0]: row[1:] for row in frame.iter_rows()}


@pytest.mark.parametrize("group", [1, 2, 3, 64])
def test_counts_added_up_in_groups_are_the_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    monkeypatch.setattr(curation, "_COUNTS_IN_A_GROUP", max(group, 2))
    run = make(tmp_path, "run", [0, 1, 2, 3, 4][: 5 if group > 1 else 1])
    ids = run.pairs(["entry_ids"]).collect()["entry_ids"].explode(empty_as_null=False, keep_nulls=False)
    np.testing.assert_array_equal(run.entries["count"].to_numpy(), np.bincount(ids, minlength=4))


@pytest.mark.parametrize("at_once", [1, 3, 2**24])
def test_repeated_ids_are_told_apart_whatever_the_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(repeats, "_AT_ONCE", at_once)
    run = make(tmp_path, "run", [0, 1, 2, 3, 4])
    assert run.totals["repeated_ids"] == 3
    pairs = by_identity(run)
    first, second = (xxhash.xxh64_intdigest(name.encode()) for name in ("twice", "thrice"))
    again = [xxhash.xxh64_intdigest(struct.pack("<QQ", h, n)) for h, n in ((first, 1), (second, 1), (second, 2))]
    # By text first: "a cat" < "cat, dog"; "a dog" in file 1 < "a dog" in file 3 < "nothing".
    assert [pairs[h][0] for h in (first, again[0])] == ["a cat", "cat, dog"]
    assert [pairs[h][0] for h in (second, *again[1:])] == ["a dog", "a dog", "nothing"]


def test_no_id_is_repeated(tmp_path: Path) -> None:
    assert make(tmp_path, "run", [4]).totals["repeated_ids"] == 0
