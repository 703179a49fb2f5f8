"""From a pool's file to a run and its figures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.errors import RecordError, RunError
from metaclip_core.pools import open_pool
from metaclip_core.run import open_run


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    pl.DataFrame({"text": ["a dog", "a cat", "nothing", "a dog, a cat"]}).write_parquet(tmp_path / "pool.parquet")
    pl.DataFrame({"entry": ["dog", "cat", "a dog"]}).write_parquet(tmp_path / "metadata.parquet")
    return tmp_path


def test_a_run_end_to_end(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "curate",
        str(pool / "pool.parquet"),
        "--metadata",
        str(pool / "metadata.parquet"),
        "--out",
        str(pool / "run"),
    ]
    assert main([*arguments, "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["info", str(pool / "run"), "-t", "1e9", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    expected = {
        "read": 4,
        "pairs": 4,
        "skipped": 0,
        "entries": 3,
        "matched_pairs": 3,
        "matches": 6,
        "matched_entries": 3,
    }
    assert {name: figures[name] for name in expected} == expected
    assert figures["curated_pairs"] == 3
    run = open_run(pool / "run")
    stored = run.pairs(["keep_t"]).collect()["keep_t"].to_numpy()
    np.testing.assert_array_equal(stored, run.balance().keep_t)
    assert [run.matches().of(i).tolist() for i in range(4)] == [[0, 2], [1], [], [0, 1, 2]]


def test_other_settings_are_refused_and_the_same_do_nothing(pool: Path) -> None:
    def again(seed: int):
        return curate(pool / "pool.parquet", pool / "metadata.parquet", pool / "run", seed=seed)

    first = again(0)
    assert again(0).fingerprint == first.fingerprint
    with pytest.raises(RunError, match="seed differ"):
        again(1)


def test_an_altered_part_is_refused(pool: Path) -> None:
    run = curate(pool / "pool.parquet", pool / "metadata.parquet", pool / "run")
    part = run.part_paths[0]
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match=r"00000\.parquet: altered"):
        open_run(pool / "run")
    part.unlink()
    with pytest.raises(RunError, match=r"00000\.parquet: missing"):
        open_run(pool / "run")


def test_bad_records_may_be_skipped_where_one_has_ended_it(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/a.jsonl").write_text('{"text": "a dog"}\n')
    (tmp_path / "pool/b.jsonl").write_text('{"text": "a dog"}\n{"text": 3}\n')
    (tmp_path / "metadata.txt").write_text("dog\n")
    given = tmp_path / "pool", tmp_path / "metadata.txt", tmp_path / "run"
    with pytest.raises(RecordError, match="line 2"):
        curate(*given)
    with pytest.raises(RunError, match="holds a run of other settings"):
        curate(*given, on_error="skip", seed=3)
    run = curate(*given, on_error="skip")
    assert (run.n_pairs, run.totals["skipped"]) == (2, 1)
    whole = curate(*given[:2], tmp_path / "whole", on_error="skip")
    assert run.fingerprint == whole.fingerprint
    with pytest.raises(RunError, match="on_error differ"):
        curate(*given)


def test_what_a_kill_after_the_manifest_leaves_is_removed(pool: Path) -> None:
    def again():
        return curate(pool / "pool.parquet", pool / "metadata.parquet", pool / "run")

    again()
    (pool / "run/staging").mkdir()
    (pool / "run/plan.json").write_text("{}")
    again()
    assert sorted(path.name for path in (pool / "run").iterdir() if path.name != ".lock") == [
        "entries.parquet",
        "manifest.json",
        "parts",
        "skipped.parquet",
    ]


def test_a_killed_run_goes_on_and_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for shard in range(4):
        texts = [f"a dog {shard} {i}" for i in range(50)]
        pl.DataFrame({"text": texts}).write_parquet(tmp_path / f"pool/{shard}.parquet")
    pl.DataFrame({"entry": ["dog", "1", "7", "a dog"]}).write_parquet(tmp_path / "metadata.parquet")
    whole = curate(tmp_path / "pool", tmp_path / "metadata.parquet", tmp_path / "whole", workers=2)

    class Killed(Exception):
        pass

    def kill_at(stage: str, done: int):
        def kill(progress) -> None:
            if (progress.stage, progress.done) == (stage, done):
                raise Killed

        return kill

    for stage, done in (("match", 1), ("match", 4), ("threshold", 2)):
        with pytest.raises(Killed):
            curate(
                tmp_path / "pool",
                tmp_path / "metadata.parquet",
                tmp_path / "cut",
                on_progress=kill_at(stage, done),
            )
        with pytest.raises(RunError, match="unfinished"):
            open_run(tmp_path / "cut")
    resumed = curate(tmp_path / "pool", tmp_path / "metadata.parquet", tmp_path / "cut")
    assert resumed.fingerprint == whole.fingerprint
    assert [p.read_bytes() for p in resumed.part_paths] == [p.read_bytes() for p in whole.part_paths]


def test_runs_in_the_folder_of_the_pool_are_passed_over(tmp_path: Path) -> None:
    pool, metadata = tmp_path / "pool", tmp_path / "metadata.txt"
    pool.mkdir()
    pl.DataFrame({"text": ["a dog", "a cat"]}).write_parquet(pool / "a.parquet")
    metadata.write_text("dog\n")
    first = curate(pool, metadata, pool / "run")
    assert curate(pool, metadata, pool / "run").fingerprint == first.fingerprint
    assert curate(pool, metadata, pool / "again").n_pairs == 2
    (pool / "run/manifest.json").rename(pool / "run/plan.json")
    (pool / "run/staging").mkdir()
    assert curate(pool, metadata, pool / "run").fingerprint == first.fingerprint
    assert len(open_pool(pool / "run/parts")) == 1  # when it is asked for
