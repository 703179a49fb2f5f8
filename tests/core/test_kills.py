"""kill -9 at any moment, run again: the same bytes as if nothing had happened, and never a part that looks whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from metaclip_core.curation import curate
from metaclip_core.engines.local import local_workers
from metaclip_core.errors import EngineError, RunError
from metaclip_core.run import open_run

from .commands import contents, curate_arguments, finish, start
from .conftest import Command

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")

N_FILES = 24 * 7 + 3  # six staged files a shard, parts; the plan, two tables


def wait_for_files(process: subprocess.Popen[str], folder: Path, n_files: int) -> None:
    """Until so many whole files are there (or the command has ended)."""
    deadline = time.monotonic() + 120
    while process.poll() is None and len(whole_files(folder)) < n_files:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def whole_files(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names if not name.startswith(".")]


def kill_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)


def assert_whole(folder: Path, expected: dict[str, bytes]) -> None:
    """Byte for byte what the undisturbed run holds, and nothing beside it but the index that `info` makes."""
    found = {name: data for name, data in contents(folder).items() if not name.startswith("index/")}
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.parametrize(("workers", "n_kills"), [(1, 3), (2, 1)])
def test_killed_again_and_again(
    many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path, workers: int, n_kills: int
) -> None:
    out = tmp_path / "run"
    again = curate_arguments(many_shards, out, workers)
    moments = sorted(random.Random(workers).sample(range(1, N_FILES + 1), n_kills))
    for moment in moments:
        process = start(*again)
        wait_for_files(process, out, moment)
        kill_group(process)
        if (out / "manifest.json").exists():  # it was faster than the kill: then it is whole
            assert open_run(out).n_pairs == 24 * 300
            continue
        with pytest.raises(RunError, match="the curation is unfinished; run the same `metaclip curate` again"):
            open_run(out)
        assert metaclip("info", out, "-t", "5").complaint.startswith(f"{out}: the curation is unfinished")
    assert metaclip(*again).status == 0
    assert_whole(out, undisturbed)


def test_killed_at_once_and_right_after_the_manifest(
    many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    again = curate_arguments(many_shards, out)
    process = start(*again)
    while process.poll() is None and not out.exists():
        time.sleep(0.002)
    kill_group(process)
    assert metaclip("info", out, "-t", "5").status == 1
    process = start(*again)
    while process.poll() is None and not (out / "manifest.json").exists():
        time.sleep(0.002)
    kill_group(process)
    assert metaclip("info", out, "-t", "5", "--json").status == 0
    assert metaclip(*again).status == 0
    assert_whole(out, undisturbed)


def test_what_is_left_of_a_write_is_removed(
    many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    again = curate_arguments(many_shards, out)
    process = start(*again)
    wait_for_files(process, out, 30)
    kill_group(process)
    for name in (
        ".plan.json.77.tmp",
        ".manifest.json.77.tmp",
        "parts/.00003.parquet.77.tmp",
        "staging/.00023.arrow.77.tmp",
    ):
        (out / name).write_bytes(b"half of it")
    assert metaclip(*again).status == 0
    assert_whole(out, undisturbed)


@pytest.mark.parametrize(("kind", "left"), [("arrow", 0.0), ("arrow", 0.5), ("text.npy", 0.0), ("json", 0.5)])
def test_staged_files_that_a_dead_machine_left_damaged_are_made_again(
    many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path, kind: str, left: float
) -> None:
    """Cut, or of full length and all zeros: what a file system may show of a file that had not reached the disk."""
    out = tmp_path / "run"
    again = curate_arguments(many_shards, out)
    process = start(*again)
    wait_for_files(process, out, 30)
    kill_group(process)
    staged = sorted((out / "staging").glob(f"0*.{kind}"))[:2]
    assert staged
    for path in staged:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * left)] or bytes(len(content)))
    assert metaclip(*again).status == 0
    assert_whole(out, undisturbed)


def test_replacing_a_run_may_be_killed_too(many_shards: Path, metaclip: Command, tmp_path: Path, monkeypatch) -> None:
    """Wherever `--overwrite` stops, the folder is a run that is whole, or one that says that it is not."""
    out = tmp_path / "run"
    pool, metadata = many_shards / "pool/00.parquet", many_shards / "metadata.parquet"
    old = curate(pool, metadata, out).fingerprint

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    for name in ("metaclip_core.storage.shutil.rmtree", "metaclip_core.curation.write_json", "pathlib.Path.unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(name, killed)
            with pytest.raises(Killed):
                curate(pool, metadata, out, seed=1, overwrite=True)
        with pytest.raises(RunError, match="unfinished"):
            open_run(out)
        with pytest.raises(RunError, match="holds a run of other settings"):
            curate(pool, metadata, out, seed=1)
    assert curate(pool, metadata, out).fingerprint == old  # the old settings may as well go on
    assert curate(pool, metadata, out, seed=1, overwrite=True).seed == 1


def test_workers_end_with_their_parent(
    many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(*curate_arguments(many_shards, out, 2))
    wait_for_files(process, out, 10)
    process.kill()
    process.wait(60)
    deadline = time.monotonic() + 60
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.01)
    finish(process)
    assert metaclip(*curate_arguments(many_shards, out)).status == 0
    assert_whole(out, undisturbed)


def _die_at_three(context: str, item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_worker_that_is_killed_is_an_error() -> None:
    message = r"a worker process was killed .*run the same command again"
    with local_workers(2) as map_stage, pytest.raises(EngineError, match=message):
        list(map_stage(_die_at_three, "", list(range(6))))


def test_interrupted(many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path) -> None:
    """Ctrl-C goes to the whole group, workers too."""
    out = tmp_path / "run"
    process = start(*curate_arguments(many_shards, out, 2))
    wait_for_files(process, out, 3)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process).complaint == "interrupted; the same command goes on where it stopped"
    with pytest.raises(RunError, match="unfinished"):
        open_run(out)
    assert metaclip(*curate_arguments(many_shards, out)).status == 0
    assert_whole(out, undisturbed)


def test_two_at_once(many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, tmp_path: Path) -> None:
    """The second is refused, with --overwrite too, and the first isn't disturbed."""
    out = tmp_path / "run"
    process = start(*curate_arguments(many_shards, out))
    wait_for_files(process, out, 1)
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        for overwrite in ([], ["--overwrite"]):
            refused = metaclip(*curate_arguments(many_shards, out), *overwrite)
            assert (
                refused.complaint == f"{out}: another process is curating into it; wait for it, or choose another --out"
            )
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    assert finish(process).status == 0
    assert_whole(out, undisturbed)
