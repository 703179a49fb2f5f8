"""The same pairs give the same keep_t: in any order of files, with any workers, and, with ids, in any split."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metaclip_core.curation import curate
from metaclip_core.errors import RunError
from metaclip_core.run import Run

from .commands import contents
from .oracle import plain_counts, plain_keep_t, plain_matches

WORDS = [*(f"w{i}" for i in range(40)), "dog", "hot", "a"]
ENTRIES = [*WORDS, "hot dog", "a dog", "w1 w2"]
Row = dict[str, Any]


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    (tmp_path / "metadata.txt").write_text("\n".join(ENTRIES))
    return tmp_path / "metadata.txt"


def some_pairs(n_pairs: int, seed: int = 5) -> list[Row]:
    """Pairs with ids and addresses; two in twenty repeat the id of another, one of them its text too."""
    rng = random.Random(seed)
    pairs: list[Row] = []
    for i in range(n_pairs):
        text = " ".join(rng.choices(WORDS, weights=range(len(WORDS), 0, -1), k=5))
        pair = {"uid": f"id {i}", "text": text, "url": f"https://example.com/{i}"}
        if i % 20 == 13:
            pair |= {"uid": f"id {i // 2}"}
        elif i % 20 == 17:
            pair |= {"uid": f"id {i // 2}", "text": pairs[i // 2]["text"]}
        pairs.append(pair)
    return pairs


def write(path: Path, pairs: list[Row]) -> None:
    """In the format that the name says."""
    frame = pl.DataFrame(pairs, schema={"uid": pl.String, "text": pl.String, "url": pl.String})
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))


def by_url(run: Run) -> dict[str, float]:
    pairs = run.pairs(["url", "keep_t"]).collect()
    assert pairs["url"].n_unique() == run.n_pairs
    return dict(pairs.iter_rows())


def test_any_split_of_a_pool_with_ids(tmp_path: Path, metadata: Path) -> None:
    pairs = some_pairs(700)
    expected: dict[str, float] | None = None
    for n_shards, seed in ((1, 0), (7, 1), (7, 2), (3, 3)):
        order = random.Random(seed).sample(pairs, len(pairs))
        folder = tmp_path / f"pool {n_shards} {seed}"
        folder.mkdir()
        for shard in range(n_shards):
            extension = ("parquet", "jsonl", "csv")[(shard + seed) % 3]
            write(folder / f"{(shard * 3) % 7}.{extension}", order[shard::n_shards])
        run = curate(folder, metadata, tmp_path / f"run {n_shards} {seed}")
        assert len(run.manifest["parts"]) == n_shards
        assert run.totals["repeated_ids"] == 2 * 700 // 20
        found = by_url(run)
        expected = found if expected is None else expected
        assert found == expected
        assert run.identity_hashes.size == len(set(run.identity_hashes.tolist()))

    counts = plain_counts(plain_matches([pair["text"] for pair in pairs], ENTRIES))
    once = [pair for pair in pairs if sum(other["uid"] == pair["uid"] for other in pairs) == 1]
    matches = plain_matches([pair["text"] for pair in once], ENTRIES)
    for pair, ids in zip(once, matches, strict=True):
        assert expected is not None
        assert expected[pair["url"]] == plain_keep_t(pair["uid"], ids, counts, 0)


def test_any_order_of_the_files(tmp_path: Path, metadata: Path) -> None:
    """Without ids: a pair is its file's name and its place there; files of one name have the same identities."""
    pairs = [{"text": pair["text"], "url": pair["url"]} for pair in some_pairs(300)]
    for pair in pairs[100:200]:
        pair["text"] = pairs[int(pair["url"].rpartition("/")[2]) - 100]["text"]  # of the file of the same name
    files = [tmp_path / name for name in ("x/a.jsonl", "y/a.jsonl", "b.jsonl")]
    for i, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs[100 * i : 100 * i + 100]))
    runs = [
        curate([files[i] for i in order], metadata, tmp_path / "".join(map(str, order)))
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0))
    ]
    assert [run.totals["repeated_ids"] for run in runs] == [100, 100, 100]
    assert by_url(runs[0]) == by_url(runs[1]) == by_url(runs[2])
    twins = by_url(runs[0])
    assert sum(twins[f"https://example.com/{i}"] != twins[f"https://example.com/{i + 100}"] for i in range(100)) > 90
    with pytest.raises(RunError, match="inputs differ"):  # the pairs stand in the order of the files
        curate(files, metadata, tmp_path / "210")


def test_twins_without_an_address_are_told_apart_in_any_order(tmp_path: Path, metadata: Path) -> None:
    """Alike in all but their folder: the set of keep_t is still the same, and no two pairs share a draw."""
    files = [tmp_path / name for name in ("x/a.jsonl", "y/a.jsonl")]
    for file in files:
        file.parent.mkdir()
        file.write_text('{"text": "a dog"}\n' * 5)
    runs = [curate(order, metadata, tmp_path / f"run {i}") for i, order in enumerate((files, files[::-1]))]
    keep_t = [run.pairs(["keep_t"]).collect()["keep_t"].to_list() for run in runs]
    assert keep_t[0] == keep_t[1][5:] + keep_t[1][:5]
    assert len(set(keep_t[0])) == 10


def test_repeated_ids_in_several_passes(tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jsonl", some_pairs(400))
    whole = curate(tmp_path / "a.jsonl", metadata, tmp_path / "whole")
    monkeypatch.setattr("metaclip_core.repeats._AT_ONCE", 37)
    assert contents(curate(tmp_path / "a.jsonl", metadata, tmp_path / "passes").path) == contents(whole.path)


def test_one_id_for_all(tmp_path: Path, metadata: Path) -> None:
    """All copies of one id draw for themselves, so that they aren't kept or dropped as one."""
    write(tmp_path / "a.jsonl", [pair | {"uid": "same", "text": "a dog"} for pair in some_pairs(2000)])
    run = curate(tmp_path / "a.jsonl", metadata, tmp_path / "run")
    assert run.totals["repeated_ids"] == 1999
    balance = run.balance()
    assert len(set(balance.keep_t.tolist())) == 2000
    assert abs(balance.curated_size(500) - balance.expected_size(500)) < 5 * 2000**0.5 / 2


@pytest.mark.parametrize("group", [1, 7, 64])
def test_row_groups_and_ranges_of_a_parquet_file(
    tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    """A pair's place is its row in the file, however the file is cut and whatever was skipped before it."""
    frame = pl.DataFrame({"text": [pair["text"] if i % 9 else None for i, pair in enumerate(some_pairs(300))]})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=300)
    whole = curate(tmp_path / "a.parquet", metadata, tmp_path / "whole", on_error="skip")
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=group)
    monkeypatch.setattr("metaclip_core.pools.parquet.SHARD_ROWS", 50)
    cut = curate(tmp_path / "a.parquet", metadata, tmp_path / "cut", on_error="skip")
    assert len(cut.manifest["parts"]) >= 5
    columns = ["identity", "key", "text", "keep_t"]
    assert cut.pairs(columns).collect().equals(whole.pairs(columns).collect())
    assert cut.skipped.equals(whole.skipped)
    assert cut.totals == whole.totals


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_batches_change_no_byte(tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    write(tmp_path / "a.jsonl", some_pairs(150))
    write(tmp_path / "b.parquet", some_pairs(150))
    pool = [tmp_path / "a.jsonl", tmp_path / "b.parquet"]
    whole = curate(pool, metadata, tmp_path / "whole")
    monkeypatch.setattr("metaclip_core.pools.record.BATCH_SIZE", size)
    again = curate(pool, metadata, tmp_path / "again")
    columns = ["identity", "key", "text", "url", "entry_ids", "keep_t"]
    assert again.pairs(columns).collect().equals(whole.pairs(columns).collect())
    if size > 150:
        assert contents(again.path) == contents(whole.path)


def test_a_pool_that_was_moved_is_the_same(tmp_path: Path, metadata: Path) -> None:
    (tmp_path / "here/sub").mkdir(parents=True)
    pairs = [{"text": pair["text"], "file_name": f"{i}.jpg"} for i, pair in enumerate(some_pairs(100))]
    write(tmp_path / "here/sub/a.jsonl", pairs)
    run = curate(tmp_path / "here", metadata, tmp_path / "run")
    assert run.pairs(["image_path"]).collect()["image_path"][1] == str(tmp_path / "here/sub/1.jpg")
    (tmp_path / "here").rename(tmp_path / "there")
    assert curate(tmp_path / "there", metadata, tmp_path / "run").fingerprint == run.fingerprint
    assert curate(tmp_path / "there", metadata, tmp_path / "new").fingerprint == run.fingerprint
