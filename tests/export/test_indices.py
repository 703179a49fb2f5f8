"""DataComp's subset file and the authors' index folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.curation import curate
from metaclip_core.errors import PoolError
from metaclip_core.export import export
from metaclip_core.run import Run

from .conftest import METADATA, Pool, make_pool
from .oracle import expected

UIDS = ["ffffffffffffffff0000000000000001", "00000000000000010000000000000002", "0000000000000001FFFFFFFFFFFFFFFF"]


def curated_from(folder: Path, uids: list[str | None], texts: list[str], **settings: str) -> Run:
    folder.mkdir(exist_ok=True)
    pl.DataFrame({settings.get("id_column", "uid"): uids, "text": texts}).write_parquet(folder / "pool.parquet")
    (folder / "metadata.txt").write_text("dog\ncat\n")
    return curate(folder / "pool.parquet", folder / "metadata.txt", folder / "run", on_error="skip", **settings)


def test_a_subset_file_is_the_sorted_uids(tmp_path: Path) -> None:
    run = curated_from(tmp_path, [*UIDS, "00" * 16], ["dog", "cat", "dog", "nothing"])
    subset = np.load(export(run, tmp_path / "subset.npy", t=1e9, format="datacomp").path)
    assert subset.dtype == np.dtype("u8,u8")
    assert subset.tolist() == [(1, 2), (1, 2**64 - 1), (2**64 - 1, 1)]


def test_the_samples_subset_is_what_datacomps_own_recipe_for_it_gives(sample_run: Run, tmp_path: Path) -> None:
    subset = np.load(export(sample_run, tmp_path / "out", t=20, format="datacomp").path / "subset.npy")
    uids = sample_run.pairs(["uid", "keep_t"]).filter(pl.col("keep_t") < 20).collect()["uid"].to_list()
    made = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids], np.dtype("u8,u8"))
    made.sort()
    np.testing.assert_array_equal(subset, made)
    assert len(subset) > 1000


def test_the_uid_is_found_in_a_tars_json_and_behind_another_name(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "tars", uid=True)
    subset = np.load(export(pool.run, tmp_path / "tars.npy", t=30, format="datacomp").path)
    kept = [int(pair.key) for pair in expected(pool.pairs, METADATA, 30) if pair.keep_t < 30]
    assert subset.tolist() == [(0, number) for number in kept]
    named = curated_from(tmp_path / "named", UIDS[:1], ["dog"], id_column="image_hash")
    assert np.load(export(named, tmp_path / "named.npy", t=30, format="datacomp").path).tolist() == [(2**64 - 1, 1)]


def test_an_empty_subset_has_the_type(sample_run: Run, tmp_path: Path) -> None:
    subset = np.load(export(sample_run, tmp_path / "subset.npy", t=0, format="datacomp").path)
    assert (subset.shape, subset.dtype) == ((0,), np.dtype("u8,u8"))


@pytest.mark.parametrize(
    ("uids", "message"),
    [
        (["a", "b", "c"], "3 of 3 pairs have no uid of 32 hex digits"),
        ([UIDS[0], UIDS[1], "0" * 31 + "g"], "1 of 3 pairs have no uid"),
        ([UIDS[0], UIDS[1], UIDS[0] + "0"], "1 of 3 pairs have no uid"),
        ([UIDS[0], UIDS[1], UIDS[0] + "\n"], "1 of 3 pairs have no uid"),
        ([UIDS[0], UIDS[1], UIDS[0]], "1 pairs repeat the uid"),
        ([UIDS[0], UIDS[1], UIDS[0].upper()], "1 uids differ .* only in upper and lower case"),
    ],
)
def test_a_pool_without_unique_uids_is_refused(tmp_path: Path, uids: list[str | None], message: str) -> None:
    run = curated_from(tmp_path, uids, ["dog", "cat", "dog"])
    with pytest.raises(PoolError, match=message):
        export(run, tmp_path / "out", t=1e9, format="datacomp")
    assert not (tmp_path / "out").exists()


def test_a_pool_without_ids_is_refused(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="210 of 210 pairs have no uid"):
        export(pool.run, tmp_path / "out", t=1e9, format="datacomp")


@pytest.mark.parametrize(("t", "name"), [(20.0, "20"), (12.5, "12.5"), (float("inf"), "inf"), (0.0, "0")])
@pytest.mark.parametrize("sources", [None, ("wordnet", "wiki_title")])
def test_the_authors_index_folder(
    pool: Pool, tmp_path: Path, t: float, name: str, sources: tuple[str, ...] | None
) -> None:
    out = export(pool.run, tmp_path / "out", t=t, format="metaclip", sources=sources).path
    pairs = expected(pool.pairs, METADATA, t, sources)
    entries = json.loads((out / "metadata.json").read_text(encoding="utf-8"))
    assert entries == list(METADATA)
    counts = np.load(out / "entry_count.npy")
    assert counts.dtype == np.uint64
    assert counts.tolist() == [sum(entry in pair.entries for pair in pairs) for entry in METADATA]
    shards = json.loads((out / "shards.json").read_bytes())
    assert [(each["file"], each["first_record"], each["pairs"]) for each in shards] == [
        ("0.tar", 0, 105),
        ("1.tar", 0, 105),
    ]
    for shard in (0, 1):
        own = pairs[shard * 105 : shard * 105 + 105]
        inverted = np.load(out / f"{shard}/{shard}_inverted.npy")
        assert (inverted.dtype, inverted.shape[1]) == (np.uint32, 2)
        assert inverted.tolist() == [[entries.index(e), i] for i, pair in enumerate(own) for e in pair.entries]
        subset = np.load(out / f"subset_{name}/{shard}/{shard}.npy")
        assert subset.dtype == np.uint32
        assert subset.tolist() == [i for i, pair in enumerate(own) if pair.keep_t < t]
