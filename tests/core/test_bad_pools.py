"""Bad pools all the way from the command to the run: one clear line, or a counted and located skip.

What each reader makes of each kind of damage is tested in tests/pools.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_core.errors import RunError
from metaclip_core.run import open_run

from .commands import Done
from .conftest import Command

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
NOT_UTF8 = pa.array([b"a dog", b"caf\xe9"]).view(pa.string())


def tar(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def table(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


A_DOG = (("a.jpg", JPEG), ("a.txt", b"a dog"))
B_DOG = (("b.jpg", JPEG), ("b.txt", b"b dog"))
GOOD_PAIRS = 3  # of the good file beside the bad one


@pytest.fixture
def curate(tmp_path: Path, metaclip: Command) -> Callable[..., Done]:
    """Curate the folder `pool`, in which a good file lies already, into `run`."""
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/good.jsonl").write_text('{"text": "a good dog"}\n' * GOOD_PAIRS)
    (tmp_path / "metadata.txt").write_text("dog\n")

    def run(*options: Any) -> Done:
        metadata, out = tmp_path / "metadata.txt", tmp_path / "run"
        workers = () if "--workers" in options else ("--workers", 1)
        return metaclip("curate", tmp_path / "pool", "--metadata", metadata, "--out", out, *workers, *options)

    return run


# file, content, pairs that can still be read, place, reason
BAD_RECORDS: list[tuple[str, bytes, int, str, str]] = [
    ("cut.tar", tar(*A_DOG, *B_DOG)[:2_600], 1, "after key a", "truncated"),
    ("page.tar", tar(("a.jpg", b"<html>"), ("a.txt", b"a dog"), *B_DOG), 1, "key a", "not_an_image"),
    ("latin.tar", tar(("a.txt", b"caf\xe9"), *B_DOG), 1, "key a", "invalid_utf8"),
    ("wordless.tar", tar(("a.jpg", JPEG), *B_DOG), 1, "key a", "no_text"),
    ("none.tar", b"no tar at all", 0, "", "unreadable_file"),
    ("packed.tar.gz", gzip.compress(tar(*A_DOG), mtime=0), 0, "", "compressed_tar"),
    ("empty.tar", b"", 0, "", "empty_file"),
    ("latin.jsonl", b'{"text": "a dog"}\n{"text": "caf\xe9"}\n', 1, "line 2", "invalid_utf8"),
    ("broken.jsonl", b'{"text": "a dog"\n{"text": "a dog"}\n', 1, "line 1", "invalid_json"),
    ("null.jsonl", b'{"text": null}\n{"text": "a dog"}\n', 1, "line 1", "no_text"),
    ("cut.jsonl.gz", gzip.compress(b'{"text": "a dog"}\n' * 9, mtime=0)[:-8], 9, "line 10", "truncated"),
    ("latin.csv", b"text\na dog\ncaf\xe9\n", 1, "row 1", "invalid_utf8"),
    ("wide.csv", b"text,n\na dog, a cat,1\nb dog,2\n", 1, "row 0", "wrong_field_count"),
    ("latin.parquet", table({"text": NOT_UTF8}), 1, "row 1", "invalid_utf8"),
    ("null.parquet", table({"text": ["a dog", None]}), 1, "row 1", "no_text"),
    ("cut.parquet", table({"text": ["a dog"] * 99})[:-1], 0, "", "unreadable_file"),
    ("empty.parquet", b"", 0, "", "empty_file"),
]


@pytest.mark.parametrize(
    ("name", "data", "n_pairs", "place", "reason"), BAD_RECORDS, ids=[row[0] for row in BAD_RECORDS]
)
def test_one_bad_record(
    tmp_path: Path, curate: Callable[..., Done], name: str, data: bytes, n_pairs: int, place: str, reason: str
) -> None:
    path = tmp_path / "pool" / name
    path.write_bytes(data)
    if ".tar" in name:  # a folder with tars is read for its tars only
        (tmp_path / "pool/good.jsonl").unlink()
        (tmp_path / "pool/zgood.tar").write_bytes(tar(*((f"{i}.txt", b"a good dog") for i in range(GOOD_PAIRS))))

    complaint = curate().complaint
    assert complaint.startswith(f"{path}, {place}: " if place else f"{path}: ")
    assert complaint.endswith("(--on-error skip counts such records and goes on)")
    if (tmp_path / "run").exists():
        with pytest.raises(RunError, match="unfinished"):
            open_run(tmp_path / "run")

    done = curate("--on-error", "skip", "--overwrite")
    assert done.status == 0
    assert f"skipped: 1 (1 {reason}), listed in {tmp_path / 'run/skipped.parquet'}" in done.out
    run = open_run(tmp_path / "run")
    assert run.totals["read"] == run.totals["pairs"] + run.totals["skipped"] == n_pairs + GOOD_PAIRS + 1
    assert run.totals["matched_pairs"] == n_pairs + GOOD_PAIRS
    assert run.manifest["skipped"] == {reason: 1}
    (skip,) = run.skipped.rows(named=True)
    assert (skip["path"], skip["place"], skip["reason"]) == (str(path), place, reason)
    assert skip["detail"]


def test_a_bad_record_in_another_process(tmp_path: Path, curate: Callable[..., Done]) -> None:
    path = tmp_path / "pool/broken.jsonl"
    path.write_text('{"text": "a dog"}\n' * 5 + "{\n")
    assert curate("--workers", 2).complaint.startswith(f"{path}, line 6: the JSON is broken")


def test_skips_are_located_up_to_a_limit_and_all_counted(
    tmp_path: Path, curate: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaclip_core.stages._SKIPS_LOCATED", 3)
    (tmp_path / "pool/bad.jsonl").write_text('{"text": "a dog"}\n' + "{\n" * 5 + "[]\n" * 2 + '{"text": 1}\n')
    assert curate("--on-error", "skip").status == 0
    run = open_run(tmp_path / "run")
    assert run.manifest["skipped"] == {"invalid_json": 7, "text_not_string": 1}
    assert run.totals["skipped"] == 8
    assert run.skipped["place"].to_list() == ["line 2", "line 3", "line 4"]


def test_no_pair_is_left(tmp_path: Path, curate: Callable[..., Done]) -> None:
    (tmp_path / "pool/good.jsonl").write_text("{\n[]\n")
    complaint = curate("--on-error", "skip").complaint
    assert complaint == "the pool has no pair: 1 files were read, and every record was skipped or missing"
    with pytest.raises(RunError, match="unfinished"):
        open_run(tmp_path / "run")


BAD_COLUMNS = [
    ("a.parquet", table({"n": [1], "body": ["a dog"]}), (), r"no column of it has a usual name of a text"),
    ("a.parquet", table({"text": [1]}), (), "its column 'text' holds int64, not strings"),
    ("a.parquet", table({"text": ["x"]}), ("--text-column", "body"), "it has no column 'body'; its columns are text"),
    ("a.parquet", table({"text": ["x"]}), ("--id-column", "sha"), "it has no column 'sha'; its columns are text"),
    ("a.jsonl", b'{"body": "a dog"}\n', (), "no column of it has a usual name of a text"),
    ("a.csv", b"body,n\na dog,1\n", (), "no column of it has a usual name of a text"),
    ("a.tsv", b"body\tn\na dog\t1\n", ("--text-column", "b"), "it has no column 'b'; its columns are body, n"),
]


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize(("name", "data", "options", "message"), BAD_COLUMNS)
def test_the_column_of_the_text_is_missing(
    tmp_path: Path, curate: Callable[..., Done], name: str, data: bytes, options: Any, message: str, policy: str
) -> None:
    """No single record is to blame, so nothing is skipped."""
    (tmp_path / "pool/good.jsonl").unlink()
    path = tmp_path / "pool" / name
    path.write_bytes(data)
    complaint = curate("--on-error", policy, *options).complaint
    assert complaint.startswith(f"{path}: {message}")
    assert "--text-column" in complaint or "--id-column" in complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.parquet", table({"text": ["", " ", "\t"], "alt": ["a dog"] * 3})),
        ("a.jsonl", b'{"text": "", "alt": "a dog"}\n' * 3),
        ("a.csv", b'text,alt\n"",a dog\n , a dog\n"",a dog\n'),
    ],
)
def test_the_column_of_the_text_is_empty(tmp_path: Path, curate: Callable[..., Done], name: str, data: bytes) -> None:
    (tmp_path / "pool/good.jsonl").write_text('{"text": "a good dog", "alt": "x"}\n' * GOOD_PAIRS)
    path = tmp_path / "pool" / name
    path.write_bytes(data)
    assert curate().complaint == f"{path}: the text of all 3 records is empty; name another with --text-column"
    with pytest.raises(RunError, match="unfinished"):
        open_run(tmp_path / "run")
    assert curate("--text-column", "alt", "--overwrite").status == 0
    assert open_run(tmp_path / "run").totals["matched_pairs"] == 3
    assert curate("--on-error", "skip", "--overwrite").status == 0  # pairs without a match, as others are
    assert {name: open_run(tmp_path / "run").totals[name] for name in ("pairs", "matched_pairs", "skipped")} == {
        "pairs": 6,
        "matched_pairs": 3,
        "skipped": 0,
    }


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (None, b"", "no file in the folder has a known format"),
        ("notes.txt", b"a dog\n", "no file in the folder has a known format"),
        ("a.csv", b"text\n", "the pool is empty, there is no record to read"),
        ("a.jsonl", b"\n\n", "the pool is empty, there is no record to read"),
        ("a.parquet", table({"text": pa.array([], pa.string())}), "the pool is empty, there is no record to read"),
        ("a.tar", bytes(10_240), "the pool is empty, there is no record to read"),
    ],
)
def test_nothing_to_read(
    tmp_path: Path, curate: Callable[..., Done], name: str | None, data: bytes, message: str, policy: str
) -> None:
    (tmp_path / "pool/good.jsonl").unlink()
    if name is not None:
        (tmp_path / "pool" / name).write_bytes(data)
    assert curate("--on-error", policy).complaint.startswith(f"{tmp_path / 'pool'}: {message}")
    assert not (tmp_path / "run").exists()


def test_a_pool_that_is_not_there(tmp_path: Path, metaclip: Command, curate: Callable[..., Done]) -> None:
    arguments = ("--metadata", tmp_path / "metadata.txt", "--out", tmp_path / "run")
    gone = tmp_path / "gone.tar"
    assert metaclip("curate", gone, *arguments).complaint == f"{gone}: no such file or folder"
    good = tmp_path / "pool/good.jsonl"
    assert metaclip("curate", good, gone, *arguments).complaint == f"{gone}: no such file or folder"
    assert metaclip("curate", good, tmp_path / "metadata.txt", *arguments).complaint.startswith(
        f"{tmp_path / 'metadata.txt'}: its name says no known format"
    )
    assert metaclip("curate", good, good, *arguments).complaint.startswith(f"{good}: the pool reaches this file twice")
    assert not (tmp_path / "run").exists()


def test_a_pool_that_has_changed_since(tmp_path: Path, curate: Callable[..., Done]) -> None:
    assert curate().status == 0
    (tmp_path / "pool/good.jsonl").write_text('{"text": "a bold dog"}\n' * GOOD_PAIRS)
    assert curate().complaint.startswith(f"{tmp_path / 'run'}: holds a run of other settings (inputs differ); ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "tfrecord"), "unknown pool format 'tfrecord'"),
        (("--boundaries", "word"), "unknown boundary mode 'word'"),
        (("--engine", "dask"), "unknown engine 'dask'"),
        (("--seed", "-1"), "seed must be a whole number"),
        (("--seed", "x"), "invalid int value"),
        (("--workers", "0"), "must be 1 or more"),
        (("--on-error", "ignore"), "invalid choice: 'ignore'"),
        (("--metadata",), "expected at least one argument"),
    ],
)
def test_wrong_usage(tmp_path: Path, curate: Callable[..., Done], options: tuple[str, ...], message: str) -> None:
    done = curate(*options)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert not (tmp_path / "run").exists()
