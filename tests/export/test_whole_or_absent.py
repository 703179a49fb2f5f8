"""An export is whole or absent, goes on where it was stopped, and replaces nothing but an export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from metaclip_core.errors import MetaclipError, PoolError, SettingsError, StorageError
from metaclip_core.export import FORMATS, export
from metaclip_core.progress import Progress

from .conftest import Pool, make_pool

KILLED = """
import os, signal, sys
from metaclip_core.export import export
from metaclip_core.run import open_run

def kill(progress):
    if progress.stage == sys.argv[3] and progress.done >= 55:
        os.kill(os.getpid(), signal.SIGKILL)

export(open_run(sys.argv[1]), sys.argv[2], t=40, format="webdataset", pairs_per_file=25, on_progress=kill)
"""


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def uid_pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Any format can be made of it."""
    return make_pool(tmp_path_factory.mktemp("uids"), uid=True)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize("stage", ["write", "describe"])
def test_a_killed_export_is_absent_and_goes_on(pool: Pool, tmp_path: Path, stage: str) -> None:
    arguments = [sys.executable, "-c", KILLED, str(pool.run.path), str(tmp_path / "out"), stage]
    assert subprocess.run(arguments, check=False).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    first = tmp_path / ".out.partial/files/00000.tar"
    written = first.stat().st_mtime_ns, first.stat().st_ino
    export(pool.run, tmp_path / "out", t=40, format="webdataset", pairs_per_file=25)
    done = tmp_path / "out/00000.tar"
    assert (done.stat().st_mtime_ns, done.stat().st_ino) == written
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "whole").mkdir()
    export(pool.run, tmp_path / "whole/out", t=40, format="webdataset", pairs_per_file=25)
    whole, resumed = content(tmp_path / "whole/out"), content(tmp_path / "out")
    command = str(tmp_path / "whole").encode(), str(tmp_path).encode()
    assert {name: data.replace(*command) for name, data in whole.items()} == resumed


@pytest.mark.parametrize("format", FORMATS)
def test_an_interrupted_export_goes_on_and_other_settings_begin_anew(
    uid_pool: Pool, tmp_path: Path, format: str
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.stage == "write" and progress.done:
            raise KeyboardInterrupt

    for t in (30, 40):
        with pytest.raises(KeyboardInterrupt):
            export(uid_pool.run, tmp_path / "out", t=t, format=format, on_progress=interrupt)
        assert not (tmp_path / "out").exists()
    (tmp_path / "whole").mkdir()
    export(uid_pool.run, tmp_path / "out", t=30, format=format)
    export(uid_pool.run, tmp_path / "whole/out", t=30, format=format)
    whole, resumed = content(tmp_path / "whole/out"), content(tmp_path / "out")
    assert [name for name in whole if whole[name] != resumed.get(name)] == ["recipe.json"]  # whose --out differs
    assert set(whole) == set(resumed)


@pytest.mark.parametrize("out", ["out", "out.jsonl"])
def test_killed_right_after_it_appeared_it_is_written_again(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("metaclip_core.export.destination.shutil.rmtree", lambda *_, **__: None)
        export(pool.run, tmp_path / out, t=30, format="jsonl")
    before = content(tmp_path)
    assert f".{out}.partial/plan.json" in before
    export(pool.run, tmp_path / out, t=30, format="jsonl", overwrite=True)
    assert content(tmp_path) == {name: data for name, data in before.items() if ".partial" not in name}


@pytest.mark.parametrize(("format", "out"), [("parquet", "out"), ("jsonl", "out.jsonl"), ("webdataset", "out")])
def test_what_is_there_is_replaced_only_when_told(pool: Pool, tmp_path: Path, format: str, out: str) -> None:
    first = export(pool.run, tmp_path / out, t=10, format=format)
    before = content(tmp_path)
    with pytest.raises(StorageError, match="exists already; replace it with --overwrite"):
        export(pool.run, tmp_path / out, t=40, format=format)
    assert content(tmp_path) == before
    second = export(pool.run, tmp_path / out, t=40, format=format, overwrite=True)
    assert second.pairs > first.pairs
    assert json.loads(second.recipe_path.read_bytes())["settings"]["t"] == 40
    assert set(content(tmp_path)) == set(before)


def test_overwrite_leaves_alone_what_is_no_export(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/recipe.json").write_text('{"flour": 500}')
    (tmp_path / "file.jsonl").write_text("mine")
    before = content(tmp_path)
    for out in ("folder", "file.jsonl"):
        with pytest.raises(StorageError, match=r"not an export.*leaves it alone"):
            export(pool.run, tmp_path / out, t=40, format="jsonl", overwrite=True)
    with pytest.raises(StorageError, match="not an export"):
        export(pool.run, pool.run.path, t=40, format="jsonl", overwrite=True)
    assert content(tmp_path) == before


def test_an_empty_folder_may_be_named(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert export(pool.run, tmp_path / "out", t=40, format="jsonl").files == [tmp_path / "out/00000.jsonl"]


def test_two_at_once_are_refused(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    with (
        FileLock(tmp_path / ".out.partial/.lock"),
        pytest.raises(StorageError, match="another process is exporting to it"),
    ):
        export(pool.run, tmp_path / "out", t=40, format="jsonl")


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_named_and_nothing_appears(uid_pool: Pool, tmp_path: Path, format: str) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of a file")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # more can't be written into a file: the same for us
    try:
        with pytest.raises(StorageError, match=r"can't write .*\.out\.partial.files"):
            export(uid_pool.run, tmp_path / "out", t=1e9, format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    assert not list(tmp_path.rglob("*.tmp"))
    assert export(uid_pool.run, tmp_path / "out", t=1e9, format=format).pairs


def test_a_folder_below_a_file_can_not_be(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't write"):
        export(pool.run, tmp_path / "file/out", t=40, format="jsonl")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"t": -1.0}, SettingsError, "t must be 0 or more"),
        ({"t": float("nan")}, SettingsError, "t must be 0 or more"),
        (
            {"format": "tfrecord"},
            SettingsError,
            "unknown export format 'tfrecord'; there are: parquet, jsonl, webdataset",
        ),
        ({"sources": ["wordnat"]}, SettingsError, "unknown source 'wordnat'"),
        ({"seed": -1}, SettingsError, "seed must be"),
        ({"pairs_per_file": 0}, SettingsError, "1 or more"),
        ({"format": "metaclip", "pairs_per_file": 5}, SettingsError, "can't be chosen here"),
        ({"format": "datacomp"}, PoolError, "no uid"),
    ],
)
def test_what_can_not_be_is_refused_and_leaves_nothing(
    pool: Pool, tmp_path: Path, settings: dict[str, object], error: type[MetaclipError], message: str
) -> None:
    with pytest.raises(error, match=message):
        export(pool.run, tmp_path / "out", **{"t": 40.0, "format": "jsonl", **settings})
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_curated_pair(pool: Pool, tmp_path: Path) -> None:
    seen: list[Progress] = []
    result = export(pool.run, tmp_path / "out", t=40, format="webdataset", pairs_per_file=20, on_progress=seen.append)
    stages = [progress.stage for progress in seen]
    assert stages == ["select", *["write"] * (len(seen) - 2), "describe"]
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert (seen[-1].done, seen[-1].total, seen[-1].pairs) == (result.curated_pairs, result.curated_pairs, result.pairs)
    assert result.pairs == result.curated_pairs - 1
