"""Pairs that are read one by one in Python: the checks on their values, and the way from rows to batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from metaclip_core.errors import PassedOver, RecordError
from metaclip_core.pools import record

__all__ = ["MAX_TEXT_BYTES", "Pair", "Place", "batched", "check_unicode", "id_of", "parse_object", "text_of"]

MAX_TEXT_BYTES = 16 * 2**20
"""No caption is this long: what is longer is a file in the wrong place, and would only fill the memory."""

MAX_BATCH_CHARS = 64 * 2**20
"""A batch of very long texts is closed early, so that the memory stays bounded by this and not by BATCH_SIZE."""


class Pair(NamedTuple):
    """One row of PAIR_SCHEMA."""

    identity: str
    key: str
    text: str
    url: str | None = None
    image_path: str | None = None
    image_offset: int | None = None
    image_size: int | None = None


class Place(NamedTuple):
    """Where a record is: a file, and a place in it (empty: the whole file)."""

    path: str
    name: str = ""

    def error(self, reason: str, detail: str) -> RecordError:
        return RecordError(self.path, self.name, reason, detail)

    def passed_over(self, reason: str, detail: str) -> PassedOver:
        return PassedOver(self.path, self.name, reason, detail)


def batched(pairs: Iterable[Pair]) -> Iterator[pa.RecordBatch]:
    """Batches of PAIR_SCHEMA, at most BATCH_SIZE pairs each; an empty one never."""
    rows: list[Pair] = []
    n_chars = 0
    for pair in pairs:
        rows.append(pair)
        n_chars += len(pair.text)
        if len(rows) >= record.BATCH_SIZE or n_chars >= MAX_BATCH_CHARS:
            yield _batch(rows)
            rows, n_chars = [], 0
    if rows:
        yield _batch(rows)


def _batch(rows: list[Pair]) -> pa.RecordBatch:
    fields = zip(record.PAIR_SCHEMA, zip(*rows, strict=True), strict=True)
    arrays = [pa.array(values, type=field.type) for field, values in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=record.PAIR_SCHEMA)


def parse_object(data: bytes, at: Place) -> dict[str, Any]:
    """The JSON object that the bytes are; RecordError `invalid_utf8` or `invalid_json`."""
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise at.error("invalid_utf8", f"the JSON is not valid UTF-8 at its byte {error.start}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python converts
        raise at.error("invalid_json", f"the JSON is broken: {error}") from error
    if not isinstance(value, dict):
        raise at.error("invalid_json", f"the JSON is {_kind(value)}, not an object")
    return value


def text_of(value: object, column: str, at: Place) -> str:
    """The text, which may be empty; RecordError `no_text` when it is missing, `text_not_string` when it is no string."""
    if isinstance(value, str):
        return value
    if value is None:
        raise at.error("no_text", f"it has no text: {column!r} is missing or null")
    raise at.error("text_not_string", f"{column!r} is {_kind(value)}, not a string")


def id_of(value: object, column: str, at: Place) -> str:
    """The id as a string (an integer in decimal digits); RecordError `no_id` when it can't identify anything."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = "missing or null" if value is None else "empty" if value == "" else _kind(value)
    raise at.error("no_id", f"it has no id: {column!r} is {found}; a string or an integer is needed")


def check_unicode(at: Place, **values: str | None) -> None:
    """RecordError `invalid_utf8` when a value can't be written as UTF-8: bytes that weren't, or a lone surrogate."""
    for name, value in values.items():
        if value is None or value.isascii():
            continue
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise at.error("invalid_utf8", f"the {name} is not valid UTF-8 at character {error.start}") from error


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), "null")
