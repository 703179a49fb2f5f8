"""JSON lines: one object a line, plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.inputs import open_unpacked
from metaclip_core.pools.columns import ID_NAME, Columns, find_columns
from metaclip_core.pools.pairs import Pair, Place, batched, check_unicode, id_of, parse_object, texts_of, with_texts
from metaclip_core.pools.pictures import beside
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.streams import STREAM_ERRORS, WHOLE_FILE_REASONS, stream_error

EXTENSIONS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")

MAX_LINE_BYTES = 64 * 2**20
"""Room for a record with a thumbnail or an embedding in it; a longer line is a file that isn't JSON lines."""

N_HEAD_OBJECTS = 100
"""Objects whose fields are taken for the file's columns: one alone may lack the field that its neighbours have."""

UTF8_BOM = b"\xef\xbb\xbf"


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """The file as one shard: only a reader from its start knows the numbers of its lines."""
    columns, n_lines = _head(shard)
    return [shard] if columns is not None or n_lines else []


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record), shard.options.extra_columns)


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    try:
        columns, _ = _head(shard)
    except RecordError as error:
        bad_record(error)
        return
    if columns is None:  # no line is an object: each is reported below
        columns = Columns(text=shard.options.text_column or "text", id=shard.options.id_column)
    for number, line in _lines(shard.path, bad_record):
        try:
            pairs = _pairs_of(shard, columns, number, line)
        except RecordError as error:
            bad_record(error)
            continue
        yield from pairs


def _pairs_of(shard: Shard, columns: Columns, number: int, line: bytes) -> list[Pair]:
    at = _place(shard.path, number)
    fields = parse_object(line, at)
    texts = texts_of(fields.get(columns.text), columns.text, at)
    id_ = None if columns.id is None else id_of(fields.get(columns.id), columns.id, at)
    url = fields.get(columns.url) if columns.url is not None else None
    key = fields.get(columns.key) if columns.key is not None else None
    pair = Pair(
        identity=f"{shard.name}#{number}" if id_ is None else id_,
        key=_key(key) or id_ or str(number),
        text="",
        url=url if isinstance(url, str) else None,
        image_path=None if columns.file is None else beside(shard.path, fields.get(columns.file)),
        extras=tuple(fields.get(name) for name in columns.extra),
    )
    pairs = list(with_texts(pair, texts))
    for each in pairs:
        check_unicode(at, text=each.text, id=each.identity, url=each.url, key=each.key, picture=each.image_path)
    return pairs


def _key(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _place(path: str, number: int) -> Place:
    return Place(path, f"line {number + 1}")  # as an editor counts


def _lines(path: str, bad_record: BadRecord) -> Iterator[tuple[int, bytes]]:
    """(number from 0, bytes) of each line that isn't blank; too long lines and the end of a cut file are reported."""
    number = 0
    try:
        with open_unpacked(path) as stream:
            for line in _bounded_lines(stream):
                if line is None:
                    detail = f"the line is longer than {MAX_LINE_BYTES:,} bytes; is the file JSON lines?"
                    bad_record(_place(path, number).error("line_too_long", detail))
                elif line and not line.isspace():
                    yield number, line.removeprefix(UTF8_BOM) if number == 0 else line
                number += 1
    except STREAM_ERRORS as error:
        bad_record(stream_error(error, _place(path, number)))


def _bounded_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Each line; None for one that is too long, which is never held as a whole."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(2**20)
        yield None


def _head(shard: Shard) -> tuple[Columns | None, int]:
    """The columns by the fields of the first objects, None if there is no object; and how many lines aren't blank.

    Raises PoolError when the text or the id isn't among the fields, RecordError when the file can't be read at all.
    """
    fields: dict[str, Any] = {}
    has_id = False
    n_lines = n_objects = 0
    errors: list[RecordError] = []  # of the head; `_pairs` meets and reports them again
    for number, line in _lines(shard.path, errors.append):
        n_lines += 1
        try:
            found = parse_object(line, _place(shard.path, number))
        except RecordError:
            continue
        fields |= found
        has_id |= found.get(ID_NAME) is not None
        n_objects += 1
        if n_objects == N_HEAD_OBJECTS:
            break
    if not n_lines and errors and errors[0].reason in WHOLE_FILE_REASONS:
        raise errors[0]
    names = [name for name in fields if name != ID_NAME or has_id or shard.options.id_column]  # null throughout is none
    columns = find_columns(shard.path, names, shard.options) if n_objects else None
    return columns, n_lines + len(errors)
