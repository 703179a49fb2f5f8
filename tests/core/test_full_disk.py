"""A disk that is full and a folder that can't be written: one clear line, nothing that looks whole, and a way on."""

from __future__ import annotations

import errno
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from metaclip_core.errors import RunError, StorageError
from metaclip_core.run import open_run
from metaclip_core.storage import write_atomically

from .commands import Done, contents, curate_arguments, finish, start
from .conftest import Command


def run_with_limit(n_bytes: int, *arguments: object) -> Done:
    """The command in a process whose files can't grow beyond so many bytes (Python ignores the signal SIGXFSZ)."""
    resource = pytest.importorskip("resource", reason="no limits on the size of files here")
    return finish(start(*arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))))


def assert_goes_on(metaclip: Command, folder: Path, out: Path, undisturbed: dict[str, bytes]) -> None:
    assert not list(out.rglob("*.tmp"))
    with pytest.raises(RunError, match=r"unfinished|no run"):
        open_run(out)
    assert metaclip(*curate_arguments(folder, out)).status == 0
    assert contents(out) == undisturbed


@pytest.mark.parametrize(
    ("where", "n_bytes", "workers"), [("plan.json", 400, 1), (".arrow", 30_000, 1), (".pickle", 30_000, 2)]
)
def test_files_that_may_not_grow(
    many_shards: Path,
    undisturbed: dict[str, bytes],
    metaclip: Command,
    tmp_path: Path,
    where: str,
    n_bytes: int,
    workers: int,
) -> None:
    out = tmp_path / "run"
    complaint = run_with_limit(n_bytes, *curate_arguments(many_shards, out, workers)).complaint
    assert complaint.startswith(f"can't write {out}" if workers == 1 else "can't write ")
    assert where in complaint  # a pickle: what several workers share, in the system's temporary folder
    assert "raise the limit, or choose another folder" in complaint
    assert_goes_on(metaclip, many_shards, out, undisturbed)


@pytest.mark.parametrize(
    ("n_bytes", "where"),
    [
        (100_000, "staging/counts[^:]*: the file would be larger "),
        (200_000, "entries.parquet: the file would be larger "),
    ],
)
def test_a_table_that_may_not_grow(metaclip: Command, tmp_path: Path, n_bytes: int, where: str) -> None:
    """Files that numpy and polars write, which say otherwise than Python what was wrong."""
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/a.jsonl").write_text('{"text": "a dog"}\n')
    rng = random.Random(3)
    entries = ["dog", *(f"{rng.getrandbits(96):x}" for _ in range(20_000))]
    pl.DataFrame({"entry": entries}).write_parquet(tmp_path / "metadata.parquet")
    arguments, out = curate_arguments(tmp_path, tmp_path / "run"), tmp_path / "run"
    assert re.match(f"can't write {re.escape(str(out))}/{where}", run_with_limit(n_bytes, *arguments).complaint)
    with pytest.raises(RunError, match="unfinished"):
        open_run(out)
    assert metaclip(*arguments).status == 0
    assert open_run(out).entries["entry"].to_list() == entries


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A real file system of the size asked for, in bytes; ask again to change the size of the same one."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(n_bytes: int) -> Path:
        options = f"size={n_bytes}{',remount' if os.path.ismount(folder) else ''}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted here ({error}): test_files_that_may_not_grow stands in")
        return folder

    yield resize
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(
    many_shards: Path, undisturbed: dict[str, bytes], metaclip: Command, small_disk: Callable[[int], Path]
) -> None:
    """Ever a little more space, until it is enough: the command stops in every stage, and goes on from there."""
    out = small_disk(2**14) / "run"
    places = []
    while len(places) < 40:
        done = metaclip(*curate_arguments(many_shards, out))
        if done.status == 0:
            break
        assert "the disk is full; free some space and run the same command again" in done.complaint
        places.append(Path(done.complaint.removeprefix("can't write ").partition(":")[0]).relative_to(out).parts[0])
        assert not list(out.rglob("*.tmp"))
        with pytest.raises(RunError, match=r"unfinished|no run"):
            open_run(out)
        small_disk(2**14 + 2**17 * len(places))
    assert set(places) >= {"staging", "parts"}
    assert contents(out) == undisturbed


def test_a_disk_that_is_full_from_the_start(
    many_shards: Path, metaclip: Command, small_disk: Callable[[int], Path]
) -> None:
    disk = small_disk(2**14)
    (disk / "ballast").write_bytes(bytes(2**14 - 2**12))
    out = disk / "run"
    for arguments in (curate_arguments(many_shards, out), curate_arguments(many_shards, out, 2)):
        assert "the disk is full" in finish(start(*arguments)).complaint
    assert metaclip("info", out, "-t", "5").status == 1


def test_a_file_where_the_folder_should_be(many_shards: Path, metaclip: Command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out, advice in (
        (file, "there is a file of this name; choose another folder"),
        (file / "run", "a file stands where a folder above it should be; choose another folder"),
    ):
        for overwrite in ([], ["--overwrite"]):
            complaint = metaclip(*curate_arguments(many_shards, out), *overwrite).complaint
            assert complaint == f"can't write {out}: {advice}"
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["a.txt", ".hidden"])
def test_a_folder_of_other_things_is_left_as_it_is(
    many_shards: Path, metaclip: Command, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text("mine")
    for overwrite in ([], ["--overwrite"]):
        complaint = metaclip(*curate_arguments(many_shards, out), *overwrite).complaint
        assert complaint == f"{out}: not empty and no run ({name!r} is in it); choose another --out"
    assert [path.name for path in out.iterdir()] == [name]


def test_a_folder_that_is_closed(many_shards: Path, metaclip: Command, tmp_path: Path) -> None:
    """By its permissions, or, where they don't bind this user, by a file system that is mounted read-only."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    advice = "not writable; choose another folder or change its permissions"
    mounted = False
    if os.access(closed, os.W_OK):
        command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(closed)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("nothing is closed to this user, and no file system can be mounted here")
        mounted, advice = True, "on a read-only file system; choose another folder"
    try:
        for out in (closed / "run", closed):
            complaint = metaclip(*curate_arguments(many_shards, out)).complaint
            assert complaint == f"can't write {out}: {advice}"
    finally:
        closed.chmod(0o700) if not mounted else subprocess.run(["umount", str(closed)], check=True)


@pytest.mark.parametrize(("number", "advice"), [
    (errno.ENOSPC, "the disk is full; free some space and run the same command again"),
    (errno.EDQUOT, "your quota is used up; free some space and run the same command again"),
    (errno.EACCES, "not writable; choose another folder or change its permissions"),
    (errno.EROFS, "on a read-only file system; choose another folder"),
    (errno.EIO, os.strerror(errno.EIO)),
])  # fmt: skip
def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path, number: int, advice: str) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path) as file:
            file.write(b"new")
            raise OSError(number, os.strerror(number))

    with pytest.raises(StorageError) as caught:
        fail()
    assert str(caught.value) == f"can't write {path}: {advice}"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
