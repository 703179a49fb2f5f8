"""Metadata files: parquet, the paper's `metadata.json`, plain text; several of them as one table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip_core.errors import MetadataError, SettingsError
from metaclip_core.inputs import base_name, open_input
from metaclip_core.metadata.table import MAX_SOURCES, Dropped, Metadata, MetadataFile, source_masks, sources_in_order

__all__ = ["AnyPath", "SourcePath", "load_metadata", "metadata_argument", "read_rows"]

AnyPath = str | Path  # of a file, or a URL
SourcePath = AnyPath | tuple[str | None, AnyPath]

UNTAGGED = "custom"
_SOURCE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def metadata_argument(argument: str) -> tuple[str | None, str]:
    """Take `[NAME=]FILE` of the command line apart. A file whose own name has a `=` is meant where it exists."""
    name, equals, path = argument.partition("=")
    if equals and _SOURCE_NAME.fullmatch(name) and not Path(argument).exists():
        return name, path
    return None, argument


def load_metadata(*paths: SourcePath) -> Metadata:
    """Read one metadata file, or several as one table; an entry keeps all its sources and its first place.

    A path or URL is a parquet file (`entry: str`, and `sources: list[str]` where it is tagged), a `.json` list of strings
    (or object of entry and count), or UTF-8 text, an entry a line. `(name, path)` names the source of all its entries;
    an untagged file is `custom`.
    Raises MetadataError when a file can't be read as what it is, or nothing usable is in it.
    """
    if not paths:
        raise SettingsError("no metadata file given")
    frames, files = [], []
    for path in paths:
        frame = read_rows(path)
        frames.append(frame.select("entry", "sources"))
        files.append(MetadataFile(name=base_name(path[1] if isinstance(path, tuple) else path), n_rows=frame.height))
    return _build(pl.concat(frames), tuple(files), ", ".join(file.name for file in files))


def read_rows(path: SourcePath) -> pl.DataFrame:
    """The rows of one metadata file as they are: `entry: str`, `sources: list[str]`, `count: int64` (null: unknown).

    See `load_metadata` for what a file may be.
    """
    name, path = path if isinstance(path, tuple) else (None, path)
    if name is not None and not _SOURCE_NAME.fullmatch(name):
        raise SettingsError(f"source name {name!r}: use letters, digits, _ and -, beginning with a letter")
    try:
        with open_input(path) as file:
            content = file.read()
    except OSError as error:
        raise MetadataError(f"metadata {path}: {error.strerror or error}") from error
    if content.startswith(b"PAR1") or base_name(path).endswith(".parquet"):
        frame = _read_parquet(path, content)
    elif base_name(path).endswith(".json"):
        frame = _untagged(*_read_json(path, content))
    else:
        frame = _untagged(_read_text(path, content))
    if name is not None:
        frame = frame.with_columns(pl.lit([name], pl.List(pl.String)).alias("sources"))
    return frame


def _untagged(entries: list[str], counts: list[int] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entry": pl.Series(entries, dtype=pl.String),
            "sources": pl.repeat([UNTAGGED], len(entries), dtype=pl.List(pl.String), eager=True),
            "count": pl.Series(counts or [None] * len(entries), dtype=pl.Int64),
        }
    )


def _read_parquet(path: AnyPath, content: bytes) -> pl.DataFrame:
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        columns = file.schema_arrow.names
        if "entry" not in columns:
            raise MetadataError(f"metadata {path}: no column 'entry' among {', '.join(columns) or 'none'}")
        table = file.read(columns=[name for name in ("entry", "sources", "count") if name in columns])
        table.validate(full=True)
        frame = pl.DataFrame(pl.from_arrow(table))
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise MetadataError(f"metadata {path}: not a readable parquet file: {error}") from error
    if "count" not in columns:
        frame = frame.with_columns(pl.lit(None, pl.Int64).alias("count"))
    if not frame["count"].dtype.is_integer():
        raise MetadataError(f"metadata {path}: column 'count' holds {frame['count'].dtype}, expected whole numbers")
    if frame["entry"].dtype == pl.Categorical:
        frame = frame.with_columns(pl.col("entry").cast(pl.String))
    if frame["entry"].dtype != pl.String:
        raise MetadataError(f"metadata {path}: column 'entry' holds {frame['entry'].dtype}, expected strings")
    frame = frame.with_columns(pl.col("entry").fill_null(""), pl.col("count").cast(pl.Int64))
    if "sources" not in frame.columns:
        frame = frame.with_columns(pl.lit([UNTAGGED], pl.List(pl.String)).alias("sources"))
    if frame["sources"].dtype == pl.String:
        frame = frame.with_columns(pl.concat_list("sources"))
    if frame["sources"].dtype != pl.List(pl.String):
        raise MetadataError(
            f"metadata {path}: column 'sources' holds {frame['sources'].dtype}, expected lists of names"
        )
    tagged = pl.col("sources").list.drop_nulls()
    return frame.select(
        "entry", pl.when(tagged.list.len() > 0).then(tagged).otherwise(pl.lit([UNTAGGED])).alias("sources"), "count"
    )


def _read_json(path: AnyPath, content: bytes) -> tuple[list[str], list[int] | None]:
    """The entries, and their counts where the file is an object of entry and count."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"metadata {path}: not JSON: {error}") from error
    if not isinstance(value, list | dict):
        raise MetadataError(
            f"metadata {path}: expected a JSON list of strings, or an object of entry and count, "
            f"got {type(value).__name__}"
        )
    entries = list(value)
    for row, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise MetadataError(f"metadata {path}: element {row} is {type(entry).__name__}, expected a string")
    try:
        "".join(entries).encode()
    except UnicodeEncodeError as error:
        raise MetadataError(f"metadata {path}: an entry has half a surrogate pair, which is no text") from error
    if isinstance(value, list):
        return entries, None
    for entry, count in value.items():
        if type(count) is not int or not 0 <= count < 2**63:
            raise MetadataError(f"metadata {path}: the count of {entry!r} is {count!r}, expected a whole number")
    return entries, list(value.values())


def _read_text(path: AnyPath, content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MetadataError(
            f"metadata {path}: line {line} is not UTF-8; expected parquet, .json or UTF-8 text"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise MetadataError(f"metadata {path}: line {line} has a NUL byte; expected parquet, .json or UTF-8 text")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _build(rows: pl.DataFrame, files: tuple[MetadataFile, ...], where: str) -> Metadata:
    rows = rows.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    found = rows["sources"].explode().drop_nulls().unique(maintain_order=True).to_list()
    names = sources_in_order(found)
    if len(names) > MAX_SOURCES:
        raise MetadataError(f"metadata {where}: {len(names)} sources, at most {MAX_SOURCES} are possible")
    rows = rows.with_columns(pl.Series("mask", source_masks(rows["sources"], names)))

    empty = pl.col("entry") == ""
    blank = (pl.col("entry").str.strip_chars() == "") & ~empty
    usable = rows.filter(~empty & ~blank)
    table = usable.group_by("entry", maintain_order=True).agg(pl.col("mask").bitwise_or(), pl.col("row").first())
    if table.height == 0:
        raise MetadataError(f"metadata {where}: no usable entry in {rows.height} rows")
    return Metadata(
        entry_array=table["entry"].to_arrow().cast(pa.large_string()),
        sources=table["mask"].to_numpy().astype(np.uint32),
        source_names=names,
        original_ids=table["row"].to_numpy(),
        files=files,
        dropped=Dropped(
            empty=rows.filter(empty)["row"].to_numpy(),
            blank=rows.filter(blank)["row"].to_numpy(),
            doubled=usable.filter(~pl.col("entry").is_first_distinct())["row"].to_numpy(),
        ),
    )
