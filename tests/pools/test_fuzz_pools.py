"""Whatever the bytes of a file are: pairs, bad records and PoolError, nothing else."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaclip_core.errors import PassedOver, PoolError, RecordError

from .builders import JPEG, read_pool, read_strictly, sample, tar_bytes
from .test_commoncrawl import LINKS, response, wat
from .test_zip_and_folder import zip_bytes

bounded = settings(
    max_examples=80, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", None, "é"], "uid": [1, 2, 3], "url": ["x", "y", None]}), buffer)
    return buffer.getvalue()


JSON_LINES = b"".join(json.dumps({"text": f"é{i}", "uid": i}, ensure_ascii=False).encode() + b"\n" for i in range(5))
TABLE = 'uid,text,url\n1,"a\nb",x\n2,é,\n3,"c ""d""",y\n'.encode()
PAGE = '<meta charset=utf-8><base href="b/"><img src=x alt="é"><img src="y" title=t>'
FIELDS = b'{"uid": 1, "url": "x"}'
VALID = {
    "p.tar": tar_bytes([*sample("a"), ("a.json", FIELDS), ("n" * 200 + ".txt", b"b")], format=tarfile.PAX_FORMAT),
    "q.tar": tar_bytes([*sample("a"), ("a.json", FIELDS), ("n" * 200 + ".txt", b"b")], format=tarfile.GNU_FORMAT),
    "p.parquet": parquet_bytes(),
    "p.jsonl": JSON_LINES,
    "p.jsonl.gz": gzip.compress(JSON_LINES, mtime=0),
    "p.csv": TABLE,
    "p.csv.gz": gzip.compress(TABLE, mtime=0),
    "p.tsv": TABLE.replace(b",", b"\t"),
    "p.warc": response(PAGE, gzip_=False) + response(PAGE, gzip_=False),
    "p.warc.gz": response(PAGE) + response(PAGE),
    "p.wat": gzip.decompress(wat(LINKS)),
    "p.wat.gz": wat(LINKS) + wat(LINKS),
    "p.zip": zip_bytes({"a.jpg": JPEG, "a.txt": b"a", "b.json": b'{"caption": ["x", "y"]}'}, zipfile.ZIP_DEFLATED),
    "q.zip": zip_bytes({"a.jpg": JPEG, "a.txt": b"a", "b.txt": b"b"}),
}


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        rows, errors = read_pool(path)
    except PoolError:
        return
    assert all(type(error) in (RecordError, PassedOver) for error in errors)
    if any(type(error) is RecordError for error in errors):
        with pytest.raises(RecordError):
            read_strictly(path)
    else:
        read_strictly(path)
        again, _ = read_pool(path)
        assert again == rows


@pytest.mark.parametrize("name", VALID)
@bounded
@given(data=st.binary(max_size=3000))
def test_random_bytes(tmp_path: Path, name: str, data: bytes) -> None:
    check(tmp_path / name, data)


@pytest.mark.parametrize("name", VALID)
@bounded
@given(draw=st.data())
def test_damaged_files(tmp_path: Path, name: str, draw: st.DataObject) -> None:
    data = bytearray(VALID[name])
    # Most bytes of a tar are zeros of no meaning: damage where something is written.
    places = [i for i, byte in enumerate(data) if byte] if name.endswith("tar") else range(len(data))
    for place in draw.draw(st.lists(st.sampled_from(places), max_size=6)):
        data[place] = draw.draw(st.integers(0, 255))
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, len(data)))
    change = draw.draw(st.sampled_from(["none", "cut", "drop", "double"]))
    if change == "cut":
        del data[stop:]
    elif change == "drop":
        del data[start:stop]
    elif change == "double":
        data[stop:stop] = data[start:stop]
    check(tmp_path / name, bytes(data))


@bounded
@given(
    picture=st.one_of(st.just(JPEG), st.binary(max_size=20)),
    text=st.one_of(st.none(), st.binary(max_size=20)),
    fields=st.one_of(st.none(), st.binary(max_size=30), st.just(FIELDS)),
)
def test_any_folder(tmp_path: Path, picture: bytes, text: bytes | None, fields: bytes | None) -> None:
    files = {"a.jpg": picture, "a.txt": text, "a.json": fields, "b.jpg": JPEG, "b.txt": b"good"}
    folder = tmp_path / "f"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)
    rows, errors = read_pool(folder)
    assert len(rows) + len(errors) == 2
    assert rows[-1]["text"] == "good"


N_RECORDS = {
    "q.zip": 2,
    "tar": 2,
    "parquet": 3,
    "jsonl": 5,
    "jsonl.gz": 5,
    "warc": 4,
    "warc.gz": 4,
    "wat": 6,
    "wat.gz": 12,
}


def test_the_files_are_valid_before_they_are_damaged(tmp_path: Path) -> None:
    for name, data in VALID.items():
        (tmp_path / name).write_bytes(data)
        rows, errors = read_pool(tmp_path / name)
        assert len(rows) + len(errors) == N_RECORDS.get(name, N_RECORDS.get(name[2:], 3)), name
        bad = [error.reason for error in errors if type(error) is RecordError]
        assert bad == (["no_text"] if "parquet" in name else [])
