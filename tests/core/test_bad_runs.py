"""What is no run, no whole run, or not the run that was written: `open_run` and `metaclip info` say which file."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metaclip_core import run as run_module
from metaclip_core.curation import curate
from metaclip_core.errors import RunError
from metaclip_core.run import FORMAT_VERSION, open_run

from .conftest import Command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pool of two files, metadata, the run `one` and the run `two` of another seed."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "pool").mkdir()
    for name in ("a", "b"):
        texts = [f"a dog {name} {i}" for i in range(200)]
        pl.DataFrame({"text": texts}).write_parquet(folder / f"pool/{name}.parquet")
    pl.DataFrame({"entry": ["dog", "cat", *map(str, range(60))]}).write_parquet(folder / "metadata.parquet")
    for name, seed in (("one", 0), ("two", 1)):
        curate(folder / "pool", folder / "metadata.parquet", folder / name, seed=seed)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A whole run, to be spoilt."""
    return Path(shutil.copytree(made / "one", tmp_path / "run"))


def refused(metaclip: Command, folder: Path) -> str:
    """How the run is refused, by both."""
    with pytest.raises(RunError) as caught:
        open_run(folder)
    assert metaclip("info", folder, "-t", "5", "--json").complaint == str(caught.value)
    return str(caught.value)


def test_a_copy_is_the_same_run(made: Path, run: Path, metaclip: Command) -> None:
    assert open_run(run).fingerprint == open_run(made / "one").fingerprint
    assert metaclip("info", run, "-t", "5").status == 0


def test_what_is_no_run(tmp_path: Path, metaclip: Command) -> None:
    assert refused(metaclip, tmp_path / "gone").startswith(f"{tmp_path / 'gone'}: no such folder; `metaclip curate")
    assert refused(metaclip, tmp_path).startswith(f"{tmp_path}: no run (it has no manifest.json); `metaclip curate")
    (tmp_path / "file").touch()
    assert refused(metaclip, tmp_path / "file").startswith(f"{tmp_path / 'file'}: no such folder")
    long = tmp_path / ("x" * 300)
    assert refused(metaclip, long) == f"{long}: can't be read: {os.strerror(errno.ENAMETOOLONG)}"


def test_unfinished(run: Path, metaclip: Command) -> None:
    os.replace(run / "manifest.json", run / "plan.json")
    assert refused(metaclip, run) == (
        f"{run}: the curation is unfinished; run the same `metaclip curate` again to finish it"
    )


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "1.0", None])
def test_another_version(made: Path, run: Path, metaclip: Command, version: Any) -> None:
    edit(run, lambda manifest: manifest.update(format_version=version))
    assert refused(metaclip, run).startswith(
        f"{run / 'manifest.json'}: a run of format version {version}, this program reads {FORMAT_VERSION}; "
    )
    arguments = ("curate", made / "pool", "--metadata", made / "metadata.parquet", "--out", run, "--workers", 1)
    assert metaclip(*arguments).complaint.startswith(
        f"{run / 'manifest.json'}: a run of format version {version}, this program writes {FORMAT_VERSION}; use --overwrite"
    )
    assert metaclip(*arguments, "--overwrite").status == 0
    assert open_run(run).fingerprint == open_run(made / "one").fingerprint


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"[]", b"7", b"null", b'"format_version"', b"{}", b'{"settings": {}}', b"[" * 100_000],
)
def test_a_manifest_that_is_none(made: Path, run: Path, metaclip: Command, data: bytes) -> None:
    (run / "manifest.json").write_bytes(data)
    assert refused(metaclip, run).startswith(f"{run / 'manifest.json'}: damaged, not the manifest of a run; ")
    again = metaclip("curate", made / "pool", "--metadata", made / "metadata.parquet", "--out", run)
    assert (
        again.complaint == f"{run / 'manifest.json'}: damaged; use --overwrite to begin anew, or choose another --out"
    )


def test_a_manifest_that_is_cut(run: Path, metaclip: Command) -> None:
    whole = (run / "manifest.json").read_bytes()
    for n_bytes in range(0, len(whole) - 2, 97):
        (run / "manifest.json").write_bytes(whole[:n_bytes])
        assert refused(metaclip, run).startswith(f"{run / 'manifest.json'}: damaged")


def edit(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((run / "manifest.json").read_bytes())
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest))


NEEDED = [
    *(["fingerprint"], ["settings"], ["settings", "seed"], ["tables"], ["parts"], ["totals"], ["skipped"]),
    *(["metadata"], ["metadata", "sources"], ["metadata", "entries"], ["metadata", "dropped"]),
    *(["tables", "entries.parquet"], ["tables", "skipped.parquet", "xxh3_128"], ["parts", 1, "name"]),
    *(["parts", 0, "rows"], ["parts", 0, "size_bytes"], ["parts", 1, "xxh3_128"]),
    *(["totals", name] for name in ("read", "pairs", "skipped", "duplicates", "filtered", "matches", "repeated_ids")),
]


@pytest.mark.parametrize("path", NEEDED, ids=lambda path: "-".join(map(str, path)))
def test_keys_that_are_missing(run: Path, metaclip: Command, path: list[Any]) -> None:
    def remove(value: Any) -> None:
        for key in path[:-1]:
            value = value[key]
        del value[path[-1]]

    edit(run, remove)
    assert refused(metaclip, run).startswith(f"{run / 'manifest.json'}: incomplete ({path[-1]!r} is missing); ")


@pytest.mark.parametrize(
    "values",
    [
        {"totals": 7},
        {"parts": "x"},
        {"parts": [7]},
        {"settings": []},
        {"tables": {"entries.parquet": None}},
        {"skipped": 1},
    ],
    ids=str,
)
def test_values_that_can_not_be(run: Path, metaclip: Command, values: dict[str, Any]) -> None:
    edit(run, lambda manifest: manifest.update(values))
    assert refused(metaclip, run).startswith(f"{run / 'manifest.json'}: incomplete (")


def test_parts_that_are_not_counted(run: Path, metaclip: Command) -> None:
    edit(run, lambda manifest: manifest["totals"].update(pairs=399))
    assert refused(metaclip, run).startswith(f"{run / 'manifest.json'}: its parts hold 400 pairs, not 399 as it says; ")


FILES = ["parts/00000.parquet", "parts/00001.parquet", "entries.parquet", "skipped.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing(made: Path, run: Path, metaclip: Command, name: str) -> None:
    (run / name).unlink()
    assert refused(metaclip, run) == (
        f"{run / name}: missing, the run is incomplete; restore it, or curate again with --overwrite"
    )
    again = ("curate", made / "pool", "--metadata", made / "metadata.parquet", "--out", run, "--workers", 1)
    assert metaclip(*again).complaint.startswith(f"{run / name}: missing")
    assert metaclip(*again, "--overwrite").status == 0
    assert (run / name).read_bytes() == (made / "one" / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_altered(run: Path, metaclip: Command, name: str) -> None:
    whole = (run / name).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for data in (bytes(flipped), whole[:-1], whole + b"\0", b""):
        (run / name).write_bytes(data)
        assert refused(metaclip, run).startswith(f"{run / name}: altered since the run was written; restore it, or ")
    (run / name).write_bytes(whole)
    assert open_run(run).n_pairs == 400


@pytest.mark.parametrize("name", ["parts/00000.parquet", "manifest.json"])
def test_a_file_of_another_run(made: Path, run: Path, metaclip: Command, name: str) -> None:
    shutil.copy(made / "two" / name, run / name)
    assert refused(metaclip, run).startswith(f"{run / 'parts/00000.parquet'}: altered")


def test_parts_that_have_changed_places(run: Path, metaclip: Command) -> None:
    a, b = run / "parts/00000.parquet", run / "parts/00001.parquet"
    os.replace(a, run / "c")
    os.replace(b, a)
    os.replace(run / "c", b)
    assert refused(metaclip, run).startswith(f"{a}: altered")


@pytest.mark.parametrize("name", ["parts/00001.parquet", "entries.parquet"])
def test_a_large_run_is_checked_when_it_is_read(
    run: Path, metaclip: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Above 2 GiB only the sizes are checked at once: damage is an error, but a later one."""
    monkeypatch.setattr(run_module, "VERIFY_BYTES", 0)
    size = (run / name).stat().st_size
    (run / name).write_bytes(b"PAR1" + bytes(size - 8) + b"PAR1")
    assert open_run(run).n_pairs == 400
    complaint = metaclip("info", run, "-t", "5").complaint
    assert complaint.startswith(f"{run / name}: ")
    assert "curate again" in complaint
    with pytest.raises(RunError, match="curate again"):
        open_run(run).balance()


def test_matches_that_are_not_counted(run: Path, metaclip: Command) -> None:
    total = open_run(run).totals["matches"]
    for wrong in (total + 1, total - 1, 0):
        edit(run, lambda manifest, wrong=wrong: manifest["totals"].update(matches=wrong))
        complaint = metaclip("info", run, "-t", "5").complaint
        assert complaint.startswith(str(run))
        assert "curate again" in complaint


@pytest.mark.parametrize("name", ["indptr", "entry_ids", "identities"])
def test_an_index_that_is_cut_or_was_never_finished_is_made_anew(run: Path, metaclip: Command, name: str) -> None:
    figures = metaclip("info", run, "-t", "5", "--json").out
    path = run / f"index/{name}.npy"
    whole = path.read_bytes()
    (run / f"index/.{name}.npy.77.tmp").write_bytes(whole[:99])  # of a killed process
    for data in (b"", whole[:50], whole[:-1], None):
        path.unlink() if data is None else path.write_bytes(data)
        assert metaclip("info", run, "-t", "5", "--json").out == figures
        assert path.read_bytes() == whole
    assert not list((run / "index").glob(".*.tmp"))
