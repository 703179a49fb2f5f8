"""Pairs that are read one by one in Python: the checks on their values, and the way from rows to batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from metaclip_core.errors import PassedOver, RecordError
from metaclip_core.pools import record

__all__ = [
    "MAX_TEXT_BYTES",
    "Pair",
    "Place",
    "batched",
    "check_unicode",
    "id_of",
    "parse_object",
    "texts_of",
    "with_texts",
]

MAX_TEXT_BYTES = 16 * 2**20
"""No caption is this long: what is longer is a file in the wrong place, and would only fill the memory."""

MAX_BATCH_CHARS = 64 * 2**20
"""A batch of very long texts is closed early, so that the memory stays bounded by this and not by BATCH_SIZE."""


class Pair(NamedTuple):
    """One row of PAIR_SCHEMA, and the values of the extra columns."""

    identity: str
    key: str
    text: str
    url: str | None = None
    image_path: str | None = None
    image_offset: int | None = None
    image_size: int | None = None
    extras: tuple[Any, ...] = ()


class Place(NamedTuple):
    """Where a record is: a file, and a place in it (empty: the whole file)."""

    path: str
    name: str = ""

    def error(self, reason: str, detail: str) -> RecordError:
        return RecordError(self.path, self.name, reason, detail)

    def passed_over(self, reason: str, detail: str) -> PassedOver:
        return PassedOver(self.path, self.name, reason, detail)


def batched(pairs: Iterable[Pair], extra_columns: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """Batches of PAIR_SCHEMA and the extra columns, at most BATCH_SIZE pairs each; an empty one never."""
    rows: list[Pair] = []
    n_chars = 0
    for pair in pairs:
        rows.append(pair)
        n_chars += len(pair.text)
        if len(rows) >= record.BATCH_SIZE or n_chars >= MAX_BATCH_CHARS:
            yield _batch(rows, extra_columns)
            rows, n_chars = [], 0
    if rows:
        yield _batch(rows, extra_columns)


def _batch(rows: list[Pair], extra_columns: Sequence[str]) -> pa.RecordBatch:
    *columns, extras = zip(*rows, strict=True)
    arrays = [pa.array(values, type=field.type) for field, values in zip(record.PAIR_SCHEMA, columns, strict=True)]
    arrays += [_scalars([row[i] for row in extras]) for i in range(len(extra_columns))]
    return record.pair_batch(arrays, extra_columns)


def _scalars(values: list[Any]) -> pa.Array:
    """Values of JSON as one column: of booleans, numbers, or else strings."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool}:
        return pa.array(values, pa.bool_())
    try:
        if kinds <= {int, float}:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
    except OverflowError:  # a whole number that no column can hold
        pass
    return pa.array([None if value is None else _shown(value) for value in values], pa.large_string())


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def with_texts(pair: Pair, texts: Sequence[tuple[str, str]]) -> Iterator[Pair]:
    """The pair with each of the texts (see `texts_of`)."""
    for suffix, text in texts:
        yield pair._replace(identity=pair.identity + suffix, key=pair.key + suffix, text=text)


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


def texts_of(value: object, column: str, at: Place) -> list[tuple[str, str]]:
    """(suffix of the pair's identity, text) of each text of a picture; a text may be empty.

    One is a string; several are a list of strings, or of `[field, text]` as MetaCLIP's authors keep them, with the
    suffixes `/0`, `/1`, ... or `/0/alt`, .... RecordError `no_text` when there is none, `text_not_string` for what is else.
    """
    if isinstance(value, str):
        return [("", value)]
    if value is None or value == []:
        raise at.error("no_text", f"it has no text: {column!r} is missing, null or empty")
    if not isinstance(value, list):
        raise at.error("text_not_string", f"{column!r} is {_kind(value)}, not a string")
    texts: list[tuple[str, str]] = []
    for number, each in enumerate(value):
        field, text = each if isinstance(each, list) and len(each) == 2 else ("", each)
        if not isinstance(text, str) or not isinstance(field, str):
            raise at.error("text_not_string", f"element {number} of {column!r} is {_kind(each)}, not a string")
        texts.append((f"/{number}/{field}" if field else f"/{number}", text))
    return texts


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
