"""CSV and TSV: header, quoting, rows that aren't."""

from __future__ import annotations

import csv as stdlib_csv
import gzip
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaclip_core.errors import PoolError
from metaclip_core.pools import ReadOptions, csv, open_pool, read_shard, record

from .builders import assert_bad, assert_bad_file, pair, read_pool


@pytest.fixture(autouse=True)
def _field_size_limit() -> Iterator[None]:
    """The limit is the process's: a test that lowers ours leaves that of others as it was."""
    limit = stdlib_csv.field_size_limit()
    yield
    stdlib_csv.field_size_limit(limit)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def write_good(path: Path) -> Path:
    return write(path, b"text\ngood\n")


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.tsv", "p.tsv.gz", "P.TSV"])
def test_a_row_is_a_pair(tmp_path: Path, name: str) -> None:
    data = 'url,caption\nhttps://x,"a; b"\n,\n,日\n'.replace(",", "\t" if "tsv" in name.lower() else ",")
    rows, errors = read_pool(write(tmp_path / name, data.encode()))
    assert errors == []
    assert rows == [
        pair(f"{name}#0", "0", "a; b", "https://x"),
        pair(f"{name}#1", "1", ""),
        pair(f"{name}#2", "2", "日"),
    ]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b'text\n"a\nb"\n', ["a\nb"]),
        (b'text\r\n"a\r\nb"\r\nc\r\n', ["a\r\nb", "c"]),
        (b'text\n"say ""hi"""\n', ['say "hi"']),
        (b'text\nsay "hi"\n', ['say "hi"']),
        (b"text\ra\rb", ["a", "b"]),
        (b"\xef\xbb\xbftext\na\n", ["a"]),
        (b"\n\ntext\na\n", ["a"]),
        (b"text\na\0b\n", ["a\0b"]),
        (b"text,text2\na,b\n", ["a"]),
        (b'n,text\n1,"a,b"\n', ["a,b"]),
    ],
)
def test_texts(tmp_path: Path, data: bytes, texts: list[str]) -> None:
    rows, errors = read_pool(write(tmp_path / "p.csv", data))
    assert errors == []
    assert [row["text"] for row in rows] == texts


def test_blank_rows_count_and_are_passed_over(tmp_path: Path) -> None:
    rows, errors = read_pool(write(tmp_path / "p.csv", b"text,n\n\na,1\n\r\nb,2\n"))
    assert errors == []
    assert [(row["identity"], row["text"]) for row in rows] == [("p.csv#1", "a"), ("p.csv#3", "b")]


def test_identities_and_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", b"uid,key,sha,text\nu,k,s,a\nv,,t,b\n")
    rows, _ = read_pool(path)
    assert [(row["identity"], row["key"]) for row in rows] == [("u", "k"), ("v", "v")]
    rows, _ = read_pool(path, options=ReadOptions(id_column="sha", text_column="uid"))
    assert [(row["identity"], row["text"]) for row in rows] == [("s", "u"), ("t", "v")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a", "wrong_field_count"),
        (b"a,2,3", "wrong_field_count"),
        (b"caf\xe9,2", "invalid_utf8"),
        (b'"a" b,2', "invalid_csv"),
        (b"x" * 50 + b",2", "field_too_long"),
        (b'"' + b"x" * 30 + b"\n" + b"x" * 30 + b'",2', "field_too_long"),
        (b"x" * 300 + b",2", "line_too_long"),
    ],
)
def test_bad_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: bytes, reason: str) -> None:
    monkeypatch.setattr(csv, "MAX_TEXT_BYTES", 40)
    monkeypatch.setattr(csv, "MAX_LINE_CHARS", 200)
    path = write(tmp_path / "p.csv", b"text,n\nx,1\n" + row + b"\ny,3\n")
    assert_bad(path, [("row 1", reason)], ["x", "y"])


def test_an_id_that_is_empty(tmp_path: Path) -> None:
    assert_bad(write(tmp_path / "p.csv", b"uid,text\n1,a\n,b\n3,c\n"), [("row 1", "no_id")], ["a", "c"])


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", b'text\na\n"b\nc\n')
    assert_bad(path, [("row 1", "invalid_csv")], ["a"])
    _, (error,) = read_pool(path)
    assert "in lines 3 to 4 of the file" in error.detail


def test_a_byte_that_is_not_utf8_in_a_column_that_is_not_read(tmp_path: Path) -> None:
    rows, errors = read_pool(write(tmp_path / "p.csv", b"text,author\na,Andr\xe9\n"))
    assert ([row["text"] for row in rows], errors) == (["a"], [])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"n,body\n1,a\n", ReadOptions(), r"no column .*columns are n, body\. .*--text-column.*first row must hold"),
        (b"text\na\n", ReadOptions(text_column="alt"), r"no column 'alt'; its columns are text\. .*--text-column"),
        (b"text\na\n", ReadOptions(id_column="sha"), r"no column 'sha'; its columns are text\. .*--id-column"),
        (b"text,text\na,b\n", ReadOptions(), r"it has 2 columns 'text'; rename"),
        (b"caf\xe9,\na,b\n", ReadOptions(), r"columns are caf\\udce9, ''"),
    ],
)
def test_columns_that_do_not_do(tmp_path: Path, data: bytes, options: ReadOptions, message: str) -> None:
    path = write(tmp_path / "p.csv", data)
    with pytest.raises(PoolError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_pool(path, options=options)


@pytest.mark.parametrize(
    ("name", "data", "place", "reason"),
    [
        ("bad.csv", b'"text\n', "", "invalid_header"),
        ("bad.csv", b'"te"xt\na\n', "", "invalid_header"),
        ("bad.csv.gz", b"no gzip", "", "unreadable_file"),
        ("bad.csv.gz", gzip.compress(b"text\na\n", mtime=0)[:11], "", "truncated"),
        ("bad.csv", b"", "", "empty_file"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, name: str, data: bytes, place: str, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert_bad_file(tmp_path, name, place, reason, write_good)


def test_a_cut_gzip_keeps_what_is_whole(tmp_path: Path) -> None:
    texts = [f"{i:x}" * 50 for i in range(1000)]
    path = write(tmp_path / "p.csv.gz", "\n".join(["text", *texts]).encode())
    path.write_bytes(path.read_bytes()[:-500])
    rows, (error,) = read_pool(path)
    assert (error.reason, error.place) == ("truncated", f"row {len(rows)}")
    assert 0 < len(rows) < 1000
    assert [row["text"] for row in rows] == texts[: len(rows)]


@pytest.mark.parametrize("data", [b"text,n\n", b"text,n", b"\n\n", b"text\n\n\n"])
def test_a_file_without_rows_has_no_shard(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PoolError, match="the pool is empty"):
        open_pool(write(tmp_path / "p.csv", data))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    path = write(tmp_path / "p.csv", b"text\n" + b"".join(b"t%d\n" % i for i in range(8)))
    whole = read_pool(path)
    monkeypatch.setattr(record, "BATCH_SIZE", size)
    assert read_pool(path) == whole
    assert [row["text"] for row in whole[0]] == [f"t{i}" for i in range(8)]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "BATCH_SIZE", 256)
    (shard,) = open_pool(write(tmp_path / "p.csv", b"text\n" + (b"x" * 1000 + b"\n") * 10_000))
    tracemalloc.start()
    try:
        n_read = sum(batch.num_rows for batch in read_shard(shard))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_read == 10_000
    assert peak_bytes < 3_000_000


def test_extra_columns_are_numbers_where_they_can_be(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("text,similarity,lang\na,0.5,en\nb,,de\nc,-1e3,\n")
    (shard,) = open_pool(tmp_path / "p.csv", options=ReadOptions(extra_columns=("similarity", "lang")))
    (batch,) = read_shard(shard)
    assert [batch[name].to_pylist() for name in ("similarity", "lang")] == [[0.5, None, -1000.0], ["en", "de", None]]
