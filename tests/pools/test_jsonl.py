"""JSON lines: lines, objects, values, and cut files."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from pathlib import Path

import pytest

from metaclip_core.errors import PoolError
from metaclip_core.pools import PAIR_SCHEMA, ReadOptions, jsonl, open_pool, read_shard, record

from .builders import assert_bad, assert_bad_file, pair, read_pool


def write(path: Path, *lines: object) -> Path:
    data = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def write_good(path: Path) -> Path:
    return write(path, {"text": "good"})


@pytest.mark.parametrize("name", ["p.jsonl", "p.ndjson", "p.jsonl.gz", "P.JSONL"])
def test_a_line_is_a_pair(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name, {"caption": "a dog", "url": "https://x"}, {"caption": "", "url": 3}, {"caption": "日"}
    )
    rows, errors = read_pool(path)
    assert errors == []
    assert rows == [
        pair(f"{name}#0", "0", "a dog", "https://x"),
        pair(f"{name}#1", "1", ""),
        pair(f"{name}#2", "2", "日"),
    ]


def test_blank_lines_count_and_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", b"\n", {"text": "a"}, b"  \r\n", b'{"text": "b"}\r\n', b'{"text": "\\u0000c"}')
    rows, errors = read_pool(path)
    assert errors == []
    assert rows == [pair("p.jsonl#1", "1", "a"), pair("p.jsonl#3", "3", "b"), pair("p.jsonl#4", "4", "\0c")]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    rows, errors = read_pool(write(tmp_path / "p.jsonl", b"\xef\xbb\xbf", {"text": "a"}))
    assert (rows, errors) == ([pair("p.jsonl#0", "0", "a")], [])


@pytest.mark.parametrize(
    ("line", "options", "identity", "key"),
    [
        ({"text": "a", "uid": "u"}, ReadOptions(), "u", "u"),
        ({"text": "a", "uid": 12}, ReadOptions(), "12", "12"),
        ({"text": "a", "uid": "u", "key": "k"}, ReadOptions(), "u", "k"),
        ({"text": "a", "key": 5}, ReadOptions(), "p.jsonl#0", "5"),
        ({"text": "a", "key": None}, ReadOptions(), "p.jsonl#0", "0"),
        ({"text": "a", "id": "u"}, ReadOptions(), "p.jsonl#0", "0"),
        ({"text": "a", "id": "u"}, ReadOptions(id_column="id"), "u", "u"),
        ({"text": "b", "alt": "a"}, ReadOptions(text_column="alt"), "p.jsonl#0", "0"),
    ],
)
def test_identities_and_keys(
    tmp_path: Path, line: dict[str, object], options: ReadOptions, identity: str, key: str
) -> None:
    rows, errors = read_pool(write(tmp_path / "p.jsonl", line), options=options)
    assert (rows, errors) == ([pair(identity, key, "a")], [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"\n', "invalid_json"),
        (b"word\n", "invalid_json"),
        (b'["text"]\n', "invalid_json"),
        (b"null\n", "invalid_json"),
        (b"[" * 99_999 + b"\n", "invalid_json"),
        (b'{"text": "caf\xe9"}\n', "invalid_utf8"),
        (b'{"text": "\\udc00"}\n', "invalid_utf8"),
        (b'{"text": "a", "url": "\\udc00"}\n', "invalid_utf8"),
        (b'{"url": "x"}\n', "no_text"),
        (b'{"text": null}\n', "no_text"),
        (b'{"text": ["a", 1]}\n', "text_not_string"),
        (b'{"text": [["alt", null]]}\n', "text_not_string"),
        (b'{"text": []}\n', "no_text"),
        (b'{"text": "' + b"x" * 200 + b'"}\n', "line_too_long"),
    ],
)
def test_bad_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, reason: str) -> None:
    if reason == "line_too_long":
        monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 100)
    path = write(tmp_path / "p.jsonl", {"text": "x"}, line, {"text": "y"})
    assert_bad(path, [("line 2", reason)], ["x", "y"])


def test_lines_without_an_id(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"text": "x", "uid": 1}, {"text": "y"}, {"text": "z", "uid": 1.5})
    assert_bad(path, [("line 2", "no_id"), ("line 3", "no_id")], ["x"])


def test_the_limit_of_a_line_is_that_of_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 20)
    fits, too_long = b'{"text":"' + b"x" * 9 + b'"}', b'{"text":"' + b"x" * 11 + b'"}'
    path = write(tmp_path / "p.jsonl", fits + b"\n", too_long + b"\n", fits + b"\n", too_long)
    assert len(fits) == 20
    assert_bad(path, [("line 2", "line_too_long"), ("line 4", "line_too_long")], ["x" * 9] * 2)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([{"body": "a"}, {"n": 1}], ReadOptions(), r"no column .*usual name.*columns are body, n\. .*--text-column"),
        ([{"text": "a"}], ReadOptions(text_column="alt"), r"no column 'alt'; its columns are text\. .*--text-column"),
        ([{"text": "a"}], ReadOptions(id_column="sha"), r"no column 'sha'; its columns are text\. .*--id-column"),
        ([{"\ud800": "a"}], ReadOptions(), r"columns are \\ud800\."),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, lines: list[object], options: ReadOptions, message: str) -> None:
    path = write(tmp_path / "p.jsonl", *lines)
    with pytest.raises(PoolError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_pool(path, options=options)


def test_the_first_records_together_show_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", b"broken\n", {"url": "u"}, {"text": "b", "title": "t"})
    assert_bad(path, [("line 1", "invalid_json"), ("line 2", "no_text")], ["b"])


def test_a_file_without_any_object_gives_its_bad_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", b"[1]\n", b"x\n")
    rows, errors = read_pool(path)
    assert (rows, [(error.place, error.reason) for error in errors]) == (
        [],
        [("line 1", "invalid_json"), ("line 2", "invalid_json")],
    )


def test_a_cut_gzip_keeps_what_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl.gz", *({"text": f"{i:x}" * 50} for i in range(1000)))
    path.write_bytes(path.read_bytes()[:-500])
    rows, (error,) = read_pool(path)
    assert (error.reason, error.place) == ("truncated", f"line {len(rows) + 1}")
    assert 0 < len(rows) < 1000
    assert [row["text"] for row in rows] == [f"{i:x}" * 50 for i in range(len(rows))]


@pytest.mark.parametrize(
    ("data", "place", "reason"),
    [
        (b"no gzip", "line 1", "unreadable_file"),
        (gzip.compress(b'{"text": "a"}\n', mtime=0)[:12], "line 1", "truncated"),
        (b"\x1f\x8b\xff\xff" + bytes(30), "line 1", "unreadable_file"),
        (b"", "", "empty_file"),
    ],
)
def test_a_file_that_is_no_gzip(tmp_path: Path, data: bytes, place: str, reason: str) -> None:
    (tmp_path / "bad.jsonl.gz").write_bytes(data)
    assert_bad_file(tmp_path, "bad.jsonl.gz", place, reason, write_good)


def test_damage_within_a_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl.gz", {"text": "a"})
    data = bytearray(path.read_bytes())
    data[-5] ^= 1  # its checksum
    path.write_bytes(data)
    _, (error,) = read_pool(path)
    assert (error.place, error.reason) == ("line 2", "unreadable_file")


def test_a_gzip_is_known_by_its_bytes_too(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n', mtime=0))
    assert read_pool(path) == ([pair("p.jsonl#0", "0", "a")], [])


@pytest.mark.parametrize("data", [b"\n\n", b"  ", gzip.compress(b"", mtime=0)])
def test_a_file_without_lines_has_no_shard(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.jsonl").write_bytes(data)
    with pytest.raises(PoolError, match="the pool is empty"):
        open_pool(tmp_path)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    path = write(tmp_path / "p.jsonl", *({"text": f"t{i}"} for i in range(8)))
    whole = read_pool(path)
    monkeypatch.setattr(record, "BATCH_SIZE", size)
    assert read_pool(path) == whole
    assert [row["text"] for row in whole[0]] == [f"t{i}" for i in range(8)]


def test_long_texts_close_a_batch_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip_core.pools.pairs.MAX_BATCH_CHARS", 25)
    (shard,) = open_pool(write(tmp_path / "p.jsonl", *({"text": "x" * 10} for _ in range(7))))
    assert [batch.num_rows for batch in read_shard(shard)] == [3, 3, 1]


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(record, "BATCH_SIZE", 256)
    path = write(tmp_path / name, *({"text": "x" * 1000} for _ in range(10_000)))
    (shard,) = open_pool(path)
    tracemalloc.start()
    try:
        n_read = sum(batch.num_rows for batch in read_shard(shard))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_read == 10_000
    assert peak_bytes < 3_000_000


def test_a_long_line_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 10_000)
    path = write(tmp_path / "p.jsonl.gz", {"text": "a"}, b"x" * 20_000_000 + b"\n", {"text": "b"})
    tracemalloc.start()
    try:
        rows, errors = read_pool(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row["text"] for row in rows] == ["a", "b"]
    assert [error.reason for error in errors] == ["line_too_long"]
    assert peak_bytes < 8_000_000


def test_several_texts_of_a_picture(tmp_path: Path) -> None:
    lines = [{"caption": ["a", "b"], "uid": "u"}, {"caption": [["alt", "c"], ["title", ""]]}, {"caption": "d"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, errors = read_pool(tmp_path / "p.jsonl", options=ReadOptions(id_column=None))
    assert [error.reason for error in errors] == ["no_id", "no_id"]
    assert [(row["identity"], row["key"], row["text"]) for row in rows] == [("u/0", "u/0", "a"), ("u/1", "u/1", "b")]
    lines[0].pop("uid")
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, errors = read_pool(tmp_path / "p.jsonl")
    assert [(row["identity"], row["text"]) for row in rows] == [
        ("p.jsonl#0/0", "a"), ("p.jsonl#0/1", "b"), ("p.jsonl#1/0/alt", "c"), ("p.jsonl#1/1/title", ""),
        ("p.jsonl#2", "d"),
    ]  # fmt: skip


def test_extra_columns(tmp_path: Path) -> None:
    lines = ['{"text": "a", "n": 1, "b": true, "m": 1, "s": "x"}', '{"text": "b", "n": 2.5, "m": "y", "s": "\\ud800"}',
             '{"text": "c", "n": %s, "m": {"k": 1}}' % ("9" * 400)]  # fmt: skip
    (tmp_path / "p.jsonl").write_text("\n".join(lines[:2]))
    (shard,) = open_pool(tmp_path / "p.jsonl", options=ReadOptions(extra_columns=("n", "b", "m", "s")))
    (batch,) = read_shard(shard)
    assert batch.schema.names == [*PAIR_SCHEMA.names, "n", "b", "m", "s"]
    found = [batch[name].to_pylist() for name in ("n", "b", "m", "s")]
    assert found == [[1.0, 2.5], [True, None], ["1", "y"], ["x", "?"]]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    (batch,) = read_shard(shard)
    assert batch["n"].to_pylist() == ["1", "2.5", "9" * 400]
    with pytest.raises(PoolError, match=r"has no column 'w'; its columns are text, n, .* --filter"):
        open_pool(tmp_path / "p.jsonl", options=ReadOptions(extra_columns=("w",)))
