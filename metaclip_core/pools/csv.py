"""Tables in text: comma-separated, or tab-separated when the name says .tsv; plain or gzip.

Quoting is that of RFC 4180 in both, checked strictly: a stray quote is a bad row, not a caption that swallows its
neighbours. A row's number counts from 0 after the header, bad rows and blank ones included.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TextIO

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.inputs import open_unpacked
from metaclip_core.pools.columns import Columns, find_columns
from metaclip_core.pools.pairs import MAX_TEXT_BYTES, Pair, Place, batched, check_unicode, id_of
from metaclip_core.pools.pictures import beside
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.streams import STREAM_ERRORS, WHOLE_FILE_REASONS, stream_error

EXTENSIONS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

MAX_LINE_CHARS = 64 * 2**20
"""A longer line is a file that isn't a table, and would only fill the memory."""


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """The file as one shard: a quoted field may hold line breaks, so only a reader from its start knows the rows."""
    errors: list[RecordError] = []
    with closing(_rows(shard, errors.append)) as rows:
        row = next(rows, None)
    if errors and errors[0].reason in WHOLE_FILE_REASONS:
        raise errors[0]
    return [shard] if row is not None or errors else []


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record), shard.options.extra_columns)


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    for layout, number, row in _rows(shard, bad_record):
        try:
            pair = _pair(shard, layout, number, row)
        except RecordError as error:
            bad_record(error)
            continue
        yield pair


@dataclass(frozen=True)
class _Layout:
    """Where in a row the columns are."""

    columns: Columns
    header: list[str]

    def value(self, row: list[str], column: str | None) -> str | None:
        return None if column is None else row[self.header.index(column)]


def _pair(shard: Shard, layout: _Layout, number: int, row: list[str]) -> Pair:
    at = _place(shard.path, number)
    if len(row) != len(layout.header):
        detail = f"the row has {len(row)} fields, the header {len(layout.header)}; is a field with a comma unquoted?"
        raise at.error("wrong_field_count", detail)
    columns = layout.columns
    id_ = None if columns.id is None else id_of(layout.value(row, columns.id), columns.id, at)
    pair = Pair(
        identity=f"{shard.name}#{number}" if id_ is None else id_,
        key=layout.value(row, columns.key) or id_ or str(number),
        text=layout.value(row, columns.text) or "",
        url=layout.value(row, columns.url) or None,  # a table in text has no other way to say null
        image_path=None if columns.file is None else beside(shard.path, layout.value(row, columns.file)),
        extras=tuple(_scalar(layout.value(row, name)) for name in columns.extra),
    )
    check_unicode(at, text=pair.text, id=pair.identity, url=pair.url, key=pair.key, picture=pair.image_path)
    return pair


def _scalar(value: str | None) -> str | float | None:
    """The value as a number where it is one; null where it is empty."""
    try:
        return float(value) if value else None
    except ValueError:
        return value


def _place(path: str, number: int) -> Place:
    return Place(path, f"row {number}")


def _rows(shard: Shard, bad_record: BadRecord) -> Generator[tuple[_Layout, int, list[str]], None, None]:
    """(layout, number, fields) of each row that isn't blank; what can't be parsed is reported."""
    at = Place(shard.path)
    try:
        with open_unpacked(shard.path) as stream:
            # An undecodable byte becomes a surrogate: so it costs its own row, found by check_unicode, and no other.
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
            reader = _reader(text, shard.path)
            try:
                header = next((row for row in reader if row), None)
            except (csv.Error, _LineTooLong) as error:
                bad_record(at.error("invalid_header", f"the row with the names of the columns is broken: {error}"))
                return
            if header is None:
                return
            hint = " The first row must hold the names of the columns."
            layout = _Layout(find_columns(shard.path, header, shard.options, hint=hint), header)
            number = -1
            while True:
                number += 1
                at = _place(shard.path, number)
                first_line = reader.line_num + 1
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except (csv.Error, _LineTooLong) as error:
                    bad_record(_broken(error, at, first_line, reader.line_num))
                    continue
                if row:
                    yield layout, number, row
    except STREAM_ERRORS as error:
        bad_record(stream_error(error, at))


def _reader(text: TextIO, path: str) -> Any:
    # The limit is the process's, there is no other; the default (131,072) is below a long text.
    csv.field_size_limit(MAX_TEXT_BYTES)
    delimiter = "\t" if path.lower().endswith((".tsv", ".tsv.gz")) else ","
    return csv.reader(_Lines(text), delimiter=delimiter, strict=True)


def _broken(error: Exception, at: Place, first_line: int, last_line: int) -> RecordError:
    reason = "invalid_csv"
    if isinstance(error, _LineTooLong):
        reason = "line_too_long"
    elif "field limit" in str(error):
        reason = "field_too_long"
    return at.error(
        reason, f"the row is broken, in lines {first_line} to {max(first_line, last_line)} of the file: {error}"
    )


class _LineTooLong(Exception):
    """Takes the news through csv.reader, which then drops the row."""

    def __str__(self) -> str:
        return f"a line is longer than {MAX_LINE_CHARS:,} characters"


class _Lines:
    """The lines of a text; a class and no generator, because it goes on after an error."""

    def __init__(self, text: TextIO) -> None:
        self._text = text

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE_CHARS + 1)
        if not line:
            raise StopIteration
        if len(line) <= MAX_LINE_CHARS or line.endswith(("\n", "\r")):
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self._text.readline(2**20)
        raise _LineTooLong
