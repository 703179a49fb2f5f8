"""Zip archives of samples, in WebDataset's layout: `KEY.jpg`, `KEY.txt`, `KEY.json`.

A stored picture is a range of the archive's bytes, like a tar's; a compressed one is read back by its name.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.inputs import full_path, open_input
from metaclip_core.pools.pairs import Pair, Place, batched
from metaclip_core.pools.pictures import inside
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.samples import NAME, grouped, kind_of, sample_pairs

EXTENSIONS = (".zip",)

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of the name and of what follows it

_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError),
    *(ValueError, OverflowError, struct.error),
)
"""What zipfile raises for damaged, encrypted (RuntimeError) or exotic archives; some of it slips out unwrapped."""


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """The archive as one shard. Raises RecordError when it is none, or packs shards and no samples."""
    at = Place(shard.path)
    try:
        with open_input(shard.path) as file, zipfile.ZipFile(file) as archive:
            names = [info.filename for info in archive.infolist() if not info.filename.endswith("/")]
    except _ERRORS as error:
        raise at.error("unreadable_file", f"the file can't be read as a zip: {error}") from error
    if names and not any(_key(name) for name in names):
        raise at.error("no_sample", f"the zip has no picture or text in it, but {names[0]!r}; unpack it")
    return [shard] if names else []


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record), shard.options.extra_columns)


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    try:
        with open_input(shard.path) as file, zipfile.ZipFile(file) as archive:
            files = _Zip(file, archive, full_path(shard.path))
            for sample in grouped(_members(archive)):
                try:
                    pairs = sample_pairs(sample, files, shard)
                except RecordError as error:
                    bad_record(error)
                    continue
                yield from pairs
    except _ERRORS as error:
        bad_record(Place(shard.path).error("unreadable_file", f"the file can't be read as a zip: {error}"))


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    info: zipfile.ZipInfo


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, str, _Member]]:
    """(key, extension, member) of the regular files that a sample may have, in the archive's order."""
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if key := _key(info.filename):
            if stat.S_ISLNK(mode):
                continue
            yield *key, _Member(info.filename, info.file_size, info)


def _key(name: str) -> tuple[str, str] | None:
    match = NAME.fullmatch(name)
    return (match[1], match[2].lower()) if match and kind_of(match[2].lower()) else None


@dataclass(frozen=True)
class _Zip:
    """The members' bytes."""

    file: BinaryIO
    archive: zipfile.ZipFile
    path: str

    def read(self, member: _Member, n_bytes: int, at: Place) -> bytes:
        try:
            with self.archive.open(member.info) as file:
                return file.read(n_bytes)
        except _ERRORS as error:
            raise at.error("unreadable_member", f"{member.name} can't be read: {error}") from error

    def picture(self, member: _Member) -> tuple[str, int | None, int | None]:
        if member.info.compress_type != zipfile.ZIP_STORED:
            return inside(self.path, member.name), None, None
        self.file.seek(member.info.header_offset)
        _, n_name, n_extra = _LOCAL_HEADER.unpack(self.file.read(_LOCAL_HEADER.size))
        return self.path, member.info.header_offset + _LOCAL_HEADER.size + n_name + n_extra, member.size
