"""The memory-mapped arrays of a run: right, remade when they are not whole, never in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.curation import curate
from metaclip_core.errors import RunError
from metaclip_core.index import open_index
from metaclip_core.run import Run, open_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "pool").mkdir()
    for shard in range(3):
        texts = [f"a dog {i} {shard}" if i % 3 else "" for i in range(40)]
        pl.DataFrame({"text": texts}).write_parquet(tmp_path / f"pool/{shard}.parquet")
    pl.DataFrame({"entry": ["dog", "1", "7", "a dog"]}).write_parquet(tmp_path / "metadata.parquet")
    return curate(tmp_path / "pool", tmp_path / "metadata.parquet", tmp_path / "run")


def rows(run: Run) -> list[list[int]]:
    matches = run.matches()
    assert (matches.indptr.dtype, matches.entry_ids.dtype) == (np.int64, np.int32)
    return [matches.of(i).tolist() for i in range(len(matches))]


def stored(run: Run) -> list[list[int]]:
    return run.pairs(["entry_ids"]).collect()["entry_ids"].to_list()


def test_it_holds_what_the_parts_hold_and_is_mapped_the_second_time(run: Run) -> None:
    assert rows(run) == stored(run)
    assert run.identity_hashes.tolist() == run.pairs(["identity"]).collect()["identity"].to_list()
    files = {path: path.stat().st_mtime_ns for path in (run.path / "index").glob("*.npy")}
    assert sorted(path.name for path in files) == ["entry_ids.npy", "identities.npy", "indptr.npy"]
    again = open_run(run.path)
    assert rows(again) == stored(run)
    assert isinstance(again.matches().entry_ids.base, np.memmap)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    np.testing.assert_array_equal(again.balance().keep_t, run.pairs(["keep_t"]).collect()["keep_t"].to_numpy())


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"nonsense" * 40])
@pytest.mark.parametrize("name", ["indptr", "entry_ids", "identities"])
def test_a_damaged_file_is_made_again(run: Run, name: str, damage: bytes) -> None:
    run.matches()
    path = run.path / f"index/{name}.npy"
    path.write_bytes(damage)
    assert rows(open_run(run.path)) == stored(run)
    assert path.stat().st_size > len(damage) or damage


def test_arrays_of_another_run_are_made_again(run: Run) -> None:
    run.matches()
    np.save(run.path / "index/entry_ids.npy", np.zeros(3, np.int32))
    assert rows(open_run(run.path)) == stored(run)


def test_a_folder_that_takes_no_index_is_read_into_memory(run: Run) -> None:
    (run.path / "index").write_text("in the way")
    assert rows(run) == stored(run)
    assert (run.path / "index").read_text() == "in the way"


def test_parts_that_hold_something_else_are_refused(run: Run) -> None:
    with pytest.raises(RunError, match=r"120 pairs and .* the manifest says 121 and"):
        open_index(run.path, run.part_paths, run.n_pairs + 1, run.totals["matches"])
    assert not list((run.path / "index").glob("*.npy"))


def test_a_run_without_a_match(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["nothing"]}).write_parquet(tmp_path / "pool.parquet")
    pl.DataFrame({"entry": ["dog"]}).write_parquet(tmp_path / "metadata.parquet")
    made = curate(tmp_path / "pool.parquet", tmp_path / "metadata.parquet", tmp_path / "run")
    for run in (made, open_run(made.path)):
        assert rows(run) == [[]]


def test_overwrite_removes_it(run: Run) -> None:
    run.matches()
    pool, metadata = run.path.parent / "pool", run.path.parent / "metadata.parquet"
    curate(pool, metadata, run.path, seed=5, overwrite=True)
    assert not (run.path / "index").exists()
