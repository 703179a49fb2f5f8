"""Where pairs come from: the formats, the files of a pool, and the way to read them.

A format is one module (the `Format` protocol of `record.py`) and one line in FORMATS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

import pyarrow as pa

from metaclip_core.errors import PoolError, RecordError, SettingsError
from metaclip_core.pools import csv, jsonl, parquet, warc, wat, webdataset
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

    A folder is searched through all its levels. Hidden files, runs and files of no known format are passed over in it,
    and so are tables beside tars, which describe the same pairs (img2dataset writes `00000.parquet` beside `00000.tar`);
    a format that is named takes them. A file that can't be read goes to `bad_record`.
    Raises PoolError when there is nothing to read, SettingsError for an unknown format.
    """
    if format != "auto" and format not in FORMATS:
        raise SettingsError(f"unknown pool format {format!r}; allowed are auto, {', '.join(FORMATS)}")
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    formats = FORMATS if format == "auto" else {format: FORMATS[format]}
    shards: list[Shard] = []
    seen: set[str] = set()
    for shard in (shard for path in given for shard in _files(os.fspath(path), formats, options)):
        if shard.path in seen:
            raise PoolError(f"{shard.path}: the pool reaches this file twice; name it, or a folder above it, once")
        seen.add(shard.path)
        try:
            if not shard.size_bytes:
                raise RecordError(shard.path, "", "empty_file", "the file is empty; remove it, or write it again")
            shards += FORMATS[shard.format].split(shard)
        except RecordError as error:
            bad_record(error)
    if not shards:
        where = ", ".join(os.fspath(path) for path in given) or "no path given"
        raise PoolError(f"{where}: the pool is empty, there is no record to read")
    return shards


def read_shard(shard: Shard, bad_record: BadRecord = raise_bad_record) -> Iterator[pa.RecordBatch]:
    """The pairs of a shard as batches of PAIR_SCHEMA, in the file's order; SettingsError for an unknown format."""
    if shard.format not in FORMATS:
        raise SettingsError(f"{shard.path}: unknown pool format {shard.format!r}; allowed are {', '.join(FORMATS)}")
    return FORMATS[shard.format].read(shard, bad_record)


def _files(path: str, formats: dict[str, Format], options: ReadOptions) -> Iterator[Shard]:
    """The files of one POOL argument, each as one whole shard."""
    if os.path.isdir(path):
        for name, format_name in _search(path, formats):
            yield _whole(os.path.join(path, *name.split("/")), name, format_name, options)
    elif os.path.isfile(path):
        chosen = _recognise(path, formats) if len(formats) > 1 else next(iter(formats))
        if chosen is None:
            raise PoolError(
                f"{path}: its name says no known format ({_endings(formats)}); choose one with --format: "
                f"{', '.join(formats)}"
            )
        yield _whole(path, PurePath(path).name, chosen, options)
    elif os.path.lexists(path):
        raise PoolError(f"{path}: neither a file nor a folder, or a link to nothing")
    else:
        raise PoolError(f"{path}: no such file or folder")


def _whole(path: str, name: str, format_name: str, options: ReadOptions) -> Shard:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PoolError(f"{os.fsencode(path)!r}: the name is not valid UTF-8; rename it") from error
    path = os.path.abspath(path)
    try:
        size_bytes = os.path.getsize(path)
    except OSError as error:
        raise PoolError(f"{path}: the file can't be looked at: {error.strerror or error}") from error
    return Shard(format=format_name, path=path, name=name, size_bytes=size_bytes, options=options)


def _search(folder: str, formats: dict[str, Format]) -> list[tuple[str, str]]:
    """(path below the folder, format) of each recognised file, by the path."""

    def refuse(error: OSError) -> None:
        raise PoolError(f"{error.filename}: the folder can't be read: {error.strerror}") from error

    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # by a second link, or in a ring of links
            folders.clear()
            continue
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not _is_run(os.path.join(parent, name))
        )
        seen.add(real)
        below = Path(parent).relative_to(folder)
        here = [
            ((below / name).as_posix(), format_name)
            for name in files
            if not name.startswith(".")
            and os.path.isfile(os.path.join(parent, name))
            and (format_name := _recognise(name, formats)) is not None
        ]
        if any(format_name == "webdataset" for _, format_name in here):
            here = [(name, format_name) for name, format_name in here if format_name == "webdataset"]
        found += here
    if not found:
        raise PoolError(f"{folder}: no file in the folder has a known format ({_endings(formats)})")
    return sorted(found)


def _is_run(folder: str) -> bool:
    """Whether the folder is a run, finished or not: its parts are copies of pairs, its tables are no pairs at all."""
    kinds = (("manifest.json", "entries.parquet", "parts"), ("plan.json", "staging", "parts"))
    return any(all(os.path.exists(os.path.join(folder, name)) for name in names) for names in kinds)


def _recognise(path: str, formats: dict[str, Format]) -> str | None:
    return next((name for name, module in formats.items() if module.recognises(path)), None)


def _endings(formats: dict[str, Format]) -> str:
    return "; ".join(f"{name}: {' '.join(module.EXTENSIONS)}" for name, module in formats.items())
