"""Where pairs come from: the formats, the files of a pool, and the way to read them.

A format is one module (the `Format` protocol of `record.py`) and one line in FORMATS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pyarrow as pa

from metaclip_core.errors import PoolError, RecordError, SettingsError
from metaclip_core.pools import csv, folder, jsonl, parquet, warc, wat, webdataset, zipped
from metaclip_core.pools.files import FoundFile, expanded, files_below
from metaclip_core.pools.record import (
    BATCH_SIZE,
    PAIR_SCHEMA,
    BadRecord,
    Format,
    ReadOptions,
    Shard,
    raise_bad_record,
)

__all__ = [
    "BATCH_SIZE",
    "FORMATS",
    "PAIR_SCHEMA",
    "BadRecord",
    "Format",
    "ReadOptions",
    "Shard",
    "open_pool",
    "raise_bad_record",
    "read_shard",
]

# In the order in which they are asked whether a file is theirs.
FORMATS: dict[str, Format] = {
    "webdataset": webdataset,
    "parquet": parquet,
    "jsonl": jsonl,
    "csv": csv,
    "wat": wat,
    "warc": warc,
    "zip": zipped,
    "folder": folder,
}

USUAL_COLUMNS = ReadOptions()

AnyPath = str | os.PathLike[str]


def open_pool(
    paths: AnyPath | Sequence[AnyPath],
    *,
    format: str = "auto",
    options: ReadOptions = USUAL_COLUMNS,
    bad_record: BadRecord = raise_bad_record,
) -> list[Shard]:
    """The shards of the pool's files and folders: in the order given, a folder's by name.

    A path may be a URL, and have braces (`{00000..00099}.tar`) and `*` in it. A folder is searched through all its
    levels. Hidden files, runs and files of no known format are passed over in it, and so are tables beside tars, which describe
    the same pairs (img2dataset writes `00000.parquet` beside `00000.tar`); a format that is named takes them. A file that
    can't be read goes to `bad_record`. Raises PoolError when there is nothing to read, SettingsError for an unknown format.
    """
    if format != "auto" and format not in FORMATS:
        raise SettingsError(f"unknown pool format {format!r}; allowed are auto, {', '.join(FORMATS)}")
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    formats = FORMATS if format == "auto" else {format: FORMATS[format]}
    kinds = "; ".join(f"{name}: {' '.join(module.EXTENSIONS)}" for name, module in formats.items())

    def recognise(path: str) -> str | None:
        return next((name for name, module in formats.items() if module.recognises(path)), None)

    def recognise_file(path: str) -> str | None:
        """A file that is given by itself has the format that is named, whatever its own name."""
        return recognise(path) if format == "auto" else format

    shards: list[Shard] = []
    seen: set[str] = set()
    for path in (path for argument in given for path in expanded(os.fspath(argument))):
        is_folder = path.endswith("/") or os.path.isdir(path)
        for found in files_below(path, recognise if is_folder else recognise_file, kinds):
            if found.path in seen:
                raise PoolError(f"{found.path}: the pool reaches this file twice; name it, or a folder above it, once")
            seen.add(found.path)
            try:
                shards += _split(found, options)
            except RecordError as error:
                bad_record(error)
    if not shards:
        where = ", ".join(os.fspath(path) for path in given) or "no path given"
        raise PoolError(f"{where}: the pool is empty, there is no record to read")
    return shards


def _split(found: FoundFile, options: ReadOptions) -> list[Shard]:
    if not found.size_bytes:
        raise RecordError(found.path, "", "empty_file", "the file is empty; remove it, or write it again")
    shard = Shard(format=found.format, path=found.path, name=found.name, size_bytes=found.size_bytes, options=options)
    return FORMATS[found.format].split(shard)


def read_shard(shard: Shard, bad_record: BadRecord = raise_bad_record) -> Iterator[pa.RecordBatch]:
    """The pairs of a shard as batches of PAIR_SCHEMA, in the file's order; SettingsError for an unknown format."""
    if shard.format not in FORMATS:
        raise SettingsError(f"{shard.path}: unknown pool format {shard.format!r}; allowed are {', '.join(FORMATS)}")
    return FORMATS[shard.format].read(shard, bad_record)
