"""Runs in a store: the same bytes as on a disk, however often it fails; opened, exported and made larger from there."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from metaclip_core import Run, curate, open_run
from metaclip_core.errors import RunError, SettingsError, StorageError
from metaclip_core.export import export
from metaclip_core.extending import append_shards
from metaclip_core.metadata.published import counts_of_whole
from metaclip_core.pools import open_pool
from metaclip_core.repeats import RangeOfHashes, _in_range
from metaclip_core.run import TABLES
from metaclip_core.storage import write_array
from metaclip_core.store import StorePath, place_of

from .commands import contents, curate_arguments, finish, start
from .conftest import Command
from .stores import dir_store, s3_store, stored


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[str]:
    with dir_store(tmp_path / "store") as url:
        yield url


@pytest.fixture(params=[pytest.param("dir", id="dir"), pytest.param("s3", id="s3")])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with dir_store(tmp_path / "store") if request.param == "dir" else s3_store() as url:
        yield url


def curated(folder: Path, out: str | Path, **options: Any) -> Run:
    return curate(folder / "pool", folder / "metadata.parquet", out, **options)


class Stopped(BaseException):
    """Something that ends the work like a killed process: nothing catches it."""


def stop_at(stage: str, done: int) -> Callable[[Any], None]:
    def stop(progress: Any) -> None:
        if (progress.stage, progress.done) == (stage, done):
            raise Stopped

    return stop


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_as_on_a_disk(
    many_shards: Path, undisturbed: dict[str, bytes], store: str, workers: int
) -> None:
    url = f"{store}/some/run"
    run = curated(many_shards, url, workers=workers)
    assert stored(url) == undisturbed
    assert (run.place, run.name, run.n_pairs) == (StorePath(url), "run", 24 * 300)


def test_what_is_asked_of_it_is_what_a_run_on_a_disk_says(
    many_shards: Path, store: str, metaclip: Command, tmp_path: Path
) -> None:
    url, local = f"{store}/run", curated(many_shards, tmp_path / "run")
    curated(many_shards, url)
    run = open_run(f"{url}/")
    assert run.fingerprint == local.fingerprint
    assert run.pairs().collect().equals(local.pairs().collect())
    assert run.entries.equals(local.entries)
    assert run.rows([5, 7000, 5], ["text"]).equals(local.rows([5, 7000, 5], ["text"]))
    for made in (run, local):
        export(made, tmp_path / made.place.name / "out" if made is local else tmp_path / "out", t=9, format="jsonl")
    names = [path.name for path in export_files(tmp_path / "out")]
    assert names == ["00000.jsonl"]
    assert (tmp_path / "out/00000.jsonl").read_bytes() == (tmp_path / "run/out/00000.jsonl").read_bytes()
    assert json.loads((tmp_path / "out/recipe.json").read_bytes())["command"][2] == url
    said = [metaclip("info", place, "-t", "9", "--json") for place in (url, local.path)]
    assert said[0].status == 0
    assert said[0].out == said[1].out
    assert counts_of_whole(url, run.entries).tolist() == run.entries["count"].to_list()


def export_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("0*"))


@pytest.mark.parametrize(("stage", "done"), [("match", 7), ("threshold", 24)])
def test_it_goes_on_where_it_stopped(
    many_shards: Path, undisturbed: dict[str, bytes], store: str, stage: str, done: int
) -> None:
    url = f"{store}/run"
    with pytest.raises(Stopped):
        curated(many_shards, url, on_progress=stop_at(stage, done))
    with pytest.raises(RunError, match=f"{url}: the curation is unfinished; run the same `metaclip curate` again"):
        open_run(url)
    with pytest.raises(RunError, match=r"holds a run of other settings \(seed differ\)"):
        curated(many_shards, url, seed=1)
    before = stored(url)
    assert len([name for name in before if name.endswith(".arrow")]) == (done if stage == "match" else 24)
    staged, put = {name for name in before if name not in ("plan.json", *TABLES)}, []  # tables are written each time
    original = StorePath.put
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StorePath, "put", lambda self, file: (put.append(self.url), original(self, file))[1])
        curated(many_shards, url)
    assert not {f"{url}/{name}" for name in staged} & set(put)
    assert stored(url) == undisturbed


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_killed_and_run_again(many_shards: Path, undisturbed: dict[str, bytes], shelf: str, metaclip: Command) -> None:
    arguments = curate_arguments(many_shards, f"{shelf}/run", 2)
    process, deadline = start(*arguments), time.monotonic() + 120
    while process.poll() is None and len(StorePath(f"{shelf}/run").sizes()) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    with pytest.raises(RunError, match="unfinished"):
        open_run(f"{shelf}/run")
    assert metaclip(*arguments).status == 0
    assert stored(f"{shelf}/run") == undisturbed


class FailingStore(MemoryFileSystem):
    """A store to which one write is lost halfway: what came before is there, under the name that was written to."""

    protocol = "failing"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    puts_left: ClassVar[int] = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("failing://", "memory://"))

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        data, cls = Path(lpath).read_bytes(), type(self)
        cls.puts_left -= 1
        if cls.puts_left == 0:
            self.pipe_file(rpath, data[: len(data) // 2])
            raise ConnectionResetError("the line is cut")
        self.pipe_file(rpath, data)


def test_a_store_that_fails_at_any_write(many_shards: Path, tmp_path: Path) -> None:
    """Whatever write is cut off, nothing half-written looks whole, and the same command goes on."""
    fsspec.register_implementation("failing", FailingStore, clobber=True)
    pool, metadata = [many_shards / f"pool/{n:02}.parquet" for n in range(2)], many_shards / "metadata.parquet"
    expected = contents(curate(pool, metadata, tmp_path / "run").path)
    n_writes = 20  # the plan, 2 x 6 staged, the counts, 2 parts, 2 tables, the manifest: 19
    for n in range(1, n_writes):
        url, FailingStore.puts_left = f"failing://bucket/{n}", n
        with pytest.raises(StorageError, match=f"can't write {url}/.*the line is cut"):
            curate(pool, metadata, url)
        left = stored(url)
        with pytest.raises(RunError, match="unfinished"):
            open_run(url)
        assert [name for name in left if name.endswith(".tmp") or left[name] != expected.get(name, left[name])] == []
        curate(pool, metadata, url)
        assert stored(url) == expected
    FailingStore.puts_left = n_writes
    curate(pool, metadata, f"failing://bucket/{n_writes}")


@pytest.mark.parametrize("n", [0, 1, 5, 5000, 100_000])
@pytest.mark.parametrize("repeated", [0.0, 0.5])
def test_of_hashes_in_a_store_only_a_range_is_read(n: int, repeated: float, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(n).integers(0, 2**64, n, np.uint64)
    hashes[: int(n * repeated)] = 2**63 + 5
    hashes.sort()
    path, n_read = StorePath(f"memory://hashes/{n}.npy"), []
    write_array(path, hashes)
    original = StorePath.read_range
    monkeypatch.setattr(StorePath, "read_range", lambda *args: (n_read.append(1), original(*args))[1])
    for n_ranges in (1, 3, 16):
        n_read.clear()
        bounds = [2**64 * number // n_ranges for number in range(n_ranges + 1)]
        items = [RangeOfHashes("text", low, high - 1, True) for low, high in pairwise(bounds)]
        assert np.array_equal(np.concatenate([_in_range(path, item) for item in items]), hashes)
    assert len(n_read) == (16 if n > 1000 else 0)


def test_what_is_no_run(store: str, metaclip: Command, many_shards: Path) -> None:
    assert (
        f"{store}/nothing: no such folder; `metaclip curate" in metaclip("info", f"{store}/nothing", "-t", 1).complaint
    )
    StorePath(f"{store}/other/a.txt").create(b"mine")
    assert f"{store}/other: no run (it has no manifest.json)" in metaclip("info", f"{store}/other", "-t", 1).complaint
    complaint = metaclip(*curate_arguments(many_shards, f"{store}/other")).complaint
    assert complaint == f"{store}/other: not empty and no run ('a.txt' is in it); choose another --out"
    assert stored(f"{store}/other") == {"a.txt": b"mine"}


def test_what_can_not_be_reached(many_shards: Path, metaclip: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    for arguments in (curate_arguments(many_shards, "gs://b/run"), ["info", "gs://b/run", "-t", 1]):
        complaint = metaclip(*arguments).complaint
        assert complaint.startswith("can't read gs://b/run")
        assert complaint.endswith(": pip install gcsfs")
    assert "Protocol not known: nope" in metaclip("info", "nope://b/run", "-t", 1).complaint


def test_s3_says_what_is_wrong(many_shards: Path, metaclip: Command) -> None:
    with s3_store():
        complaint = metaclip(*curate_arguments(many_shards, "s3://elsewhere/run")).complaint
        assert complaint.startswith("can't write s3://elsewhere/run/plan.json: not found (")
        assert "bucket" in complaint


def test_memory_is_of_one_process(many_shards: Path, undisturbed: dict[str, bytes]) -> None:
    with pytest.raises(SettingsError, match="only this process sees its memory"):
        curated(many_shards, "memory://bucket/run", workers=2)
    with pytest.raises(SettingsError, match="only this process sees its memory"):
        curated(many_shards, "memory://bucket/run", engine="ray")
    curated(many_shards, "memory://bucket/run")
    assert stored("memory://bucket/run") == undisturbed


def test_a_url_of_this_machine_is_a_folder_of_it(parted_run: Run) -> None:
    assert place_of(f"file://{parted_run.path}") == parted_run.path
    assert open_run(f"file://{parted_run.path}").store is None


# The copy on this machine


def test_the_copy_is_never_trusted(many_shards: Path, shelf: str, cache: Path, tmp_path: Path) -> None:
    url = f"{shelf}/run"
    curated(many_shards, url)
    first = open_run(url)
    texts = first.pairs(["text"]).collect()
    assert cache in first.path.parents
    assert first.path.name == "run"
    damaged, cut, lost = first.part_paths[:3]
    damaged.write_bytes(damaged.read_bytes().replace(b"word", b"w0rd", 1)[: damaged.stat().st_size - 1] + b"?")
    cut.write_bytes(b"PAR1")
    lost.unlink()
    assert open_run(url).pairs(["text"]).collect().equals(texts)
    again = curated(many_shards, url, seed=1, overwrite=True)
    assert again.path != first.path
    assert again.seed == 1
    keep_t = again.pairs(["keep_t"]).collect()
    assert keep_t.equals(curated(many_shards, tmp_path / "other", seed=1).pairs(["keep_t"]).collect())


def test_what_the_store_has_altered_is_refused(many_shards: Path, shelf: str, tmp_path: Path) -> None:
    url = f"{shelf}/run"
    curated(many_shards, url)
    part = tmp_path / "store/bucket/run/parts/00003.parquet"
    data = part.read_bytes()
    part.write_bytes(data[:-1] + b"?")
    with pytest.raises(RunError, match=f"{url}/parts/00003.parquet: altered since the run was written"):
        open_run(url).pairs()
    part.write_bytes(data[:-1])
    with pytest.raises(RunError, match=f"{url}/parts/00003.parquet: altered since the run was written"):
        open_run(url)
    part.unlink()
    with pytest.raises(RunError, match=f"{url}/parts/00003.parquet: missing, the run is incomplete"):
        open_run(url)


@pytest.mark.parametrize("where", ["fingerprint", "tables", "parts"])
@pytest.mark.parametrize("name", ["../../../evil.parquet", "/etc/evil", "..", ".hidden", "a\\b", ""])
def test_a_manifest_that_names_files_elsewhere(parted_run: Run, where: str, name: str) -> None:
    """A run that others have put into a store writes nothing outside of its copy."""
    manifest = json.loads((parted_run.path / "manifest.json").read_bytes())
    if where == "fingerprint":
        manifest["fingerprint"] = name
    elif where == "tables":
        manifest["tables"][name] = manifest["tables"]["entries.parquet"]
    else:
        manifest["parts"][0]["name"] = name
    url = StorePath("memory://bucket/foul")
    url.remove_all()
    (url / "manifest.json").create(json.dumps(manifest).encode())
    with pytest.raises(RunError, match="is no name of a file"):
        open_run(url)


def test_a_fetched_copy_is_a_run_directory(many_shards: Path, undisturbed: dict[str, bytes], shelf: str) -> None:
    """What `metaclip dashboard URL` shows."""
    run = curated(many_shards, f"{shelf}/run")
    run.fetch()
    assert contents(run.path) == undisturbed
    assert open_run(run.path).fingerprint == run.fingerprint


# Two at once


def test_of_two_that_begin_at_once_one_is_refused(many_shards: Path, store: str, monkeypatch) -> None:
    """Both have seen that there is nothing yet."""
    url, original = f"{store}/run", StorePath.create

    def other_is_faster(self: StorePath, data: bytes) -> bool:
        plan = json.loads(data)
        plan["settings"]["seed"] = 1
        assert original(self, json.dumps(plan).encode())
        return original(self, data)

    monkeypatch.setattr(StorePath, "create", other_is_faster)
    with pytest.raises(RunError, match=r"holds a run of other settings \(seed differ\)"):
        curated(many_shards, url)


def test_one_that_was_replaced_while_it_worked_does_not_call_itself_finished(many_shards: Path, shelf: str) -> None:
    url = f"{shelf}/run"

    def replace(progress: Any) -> None:
        if (progress.stage, progress.done) == ("threshold", 24):
            with pytest.raises(Stopped):
                curated(many_shards, url, seed=1, overwrite=True, on_progress=stop_at("match", 24))

    with pytest.raises(RunError, match=r"holds a run of other settings \(seed differ\)"):
        curated(many_shards, url, on_progress=replace)
    assert curated(many_shards, url, seed=1).seed == 1


def test_two_of_the_same_settings_give_one_run(many_shards: Path, undisturbed: dict[str, bytes], shelf: str) -> None:
    url = f"{shelf}/run"

    def finish_first(progress: Any) -> None:
        if (progress.stage, progress.done) == ("threshold", 24):
            curated(many_shards, url)

    curated(many_shards, url, on_progress=finish_first)
    assert stored(url) == undisturbed


# Exports


@pytest.mark.parametrize(
    ("format", "name"), [("parquet", "out"), ("parquet", "out.parquet"), ("metaclip", "out"), ("jsonl", "out.jsonl")]
)
def test_an_export_into_a_store(
    parted_run: Run, store: str, metaclip: Command, tmp_path: Path, cache: Path, format: str, name: str
) -> None:
    url, arguments = f"{store}/{name}", ["export", parted_run.path, "-t", 9, "--format", format, "--out"]
    done = metaclip(*arguments, url)
    assert (done.status, done.out.partition(":")[0]) == (0, store.partition(":")[0])
    assert metaclip(*arguments, tmp_path / name).status == 0
    expected = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    expected = {key: path.read_bytes() for key, path in expected.items() if key.startswith(name)}
    found = {key: data for key, data in stored(store).items() if key.startswith(name)}
    assert found.keys() == expected.keys()
    told = {key for key in found if key.endswith("recipe.json")}
    assert {key for key in found if found[key] != expected[key]} == told  # by the command in it alone
    (recipe,) = (json.loads(found[key]) for key in told)
    assert recipe["command"][-1] == url
    assert not list((cache / "metaclip-dashboard/exports").rglob("*.parquet"))
    assert f"{url}: exists already; replace it with --overwrite" in metaclip(*arguments, url).complaint


def test_an_export_that_was_cut_off_is_told_and_done_again(parted_run: Run, metaclip: Command) -> None:
    fsspec.register_implementation("failing", FailingStore, clobber=True)
    arguments = ["export", parted_run.path, "-t", 9, "--format", "parquet", "--pairs-per-file", 20, "--out"]
    url = "failing://bucket/export"
    for puts in (1, 2, 4):
        FailingStore.puts_left = puts
        assert "the line is cut" in metaclip(*arguments, url).complaint
        assert puts == 1 or json.loads(stored(url)["recipe.json"])["unfinished"]
    FailingStore.puts_left = 0
    assert metaclip(*arguments, url).status == 0
    assert "unfinished" not in json.loads(stored(url)["recipe.json"])
    n_files = len(stored(url))
    assert metaclip(*[900 if each == 20 else each for each in arguments], url, "--overwrite").status == 0
    assert len(stored(url)) == 3 < n_files  # nothing of the earlier one is left
    StorePath("failing://bucket/mine/a.txt").create(b"mine")
    complaint = metaclip(*arguments, "failing://bucket/mine", "--overwrite").complaint
    assert "failing://bucket/mine: not an export" in complaint


# Beside others


def test_a_run_made_larger_in_a_store(many_shards: Path, shelf: str, tmp_path: Path, metaclip: Command) -> None:
    files = [many_shards / f"pool/{n:02}.parquet" for n in range(4)]
    curate(files[:3], many_shards / "metadata.parquet", f"{shelf}/run")
    curate(files[:3], many_shards / "metadata.parquet", tmp_path / "run")
    done = metaclip("append", f"{shelf}/run", files[3], "--out", f"{shelf}/longer", "--workers", 2)
    assert done.status == 0, done.err
    local = append_shards(tmp_path / "run", files[3], tmp_path / "longer")
    assert stored(f"{shelf}/longer") == contents(local.path)
    with pytest.raises(SettingsError, match="the larger run needs a folder of its own"):
        append_shards(f"{shelf}/run", files[3], f"{shelf}/run")


def test_a_pool_in_a_store_is_read_without_the_runs_beside_it(many_shards: Path, shelf: str, tmp_path: Path) -> None:
    pool = tmp_path / "store/bucket/pool"
    pool.mkdir(parents=True)
    for number in range(3):
        pl.read_parquet(many_shards / f"pool/{number:02}.parquet").write_parquet(pool / f"{number}.parquet")
    run = curate(f"{shelf}/pool/", many_shards / "metadata.parquet", f"{shelf}/pool/runs/a")
    with pytest.raises(Stopped):
        curate(f"{shelf}/pool/", many_shards / "metadata.parquet", f"{shelf}/pool/b", on_progress=stop_at("match", 1))
    assert run.n_pairs == 900
    assert [shard.name for shard in open_pool(f"{shelf}/pool/")] == ["0.parquet", "1.parquet", "2.parquet"]
