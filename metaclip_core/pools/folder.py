"""A folder of pictures, each with a text beside it: `a.jpg` and `a.txt`, or `a.json` with a usual field for the text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.pools.pairs import Pair, Place, batched
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.samples import grouped, kind_of, sample_pairs

EXTENSIONS = ("a folder of .jpg with .txt or .json",)


def recognises(path: str) -> bool:
    """A folder's path ends with a slash; it is of this format when one of its pictures has a text beside it."""
    if not path.endswith("/"):
        return False
    kinds: dict[str, set[str]] = {}
    try:
        for name in os.listdir(path):
            stem, _, extension = name.rpartition(".")
            kinds.setdefault(stem, set()).add(kind_of(extension.lower()))
    except OSError:
        return False
    return any(stem and "image" in found and {"txt", "json"} & found for stem, found in kinds.items())


def split(shard: Shard) -> list[Shard]:
    """The folder as one shard, without those below it, which are shards of their own."""
    return [shard]


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record), shard.options.extra_columns)


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    files = _Folder(shard.path, os.path.realpath(shard.path))
    for sample in grouped(_members(shard, bad_record)):
        at = Place(shard.path, f"key {sample.key}")
        if sample.get("image") is None:
            bad_record(at.passed_over("no_picture", "the text has no picture beside it"))
            continue
        try:
            pairs = sample_pairs(sample, files, shard)
        except RecordError as error:
            bad_record(error)
            continue
        yield from pairs


@dataclass(frozen=True)
class _Member:
    name: str
    size: int


def _members(shard: Shard, bad_record: BadRecord) -> Iterator[tuple[str, str, _Member]]:
    """(key, extension, member) of the pictures and texts, by name; the key is the name up to its last dot."""
    found: list[tuple[str, str, _Member]] = []
    try:
        with os.scandir(shard.path) as entries:
            for entry in entries:
                key, _, extension = entry.name.rpartition(".")
                if key and not entry.name.startswith(".") and kind_of(extension.lower()) and entry.is_file():
                    found.append((key, extension.lower(), _Member(entry.name, entry.stat().st_size)))
    except OSError as error:
        bad_record(Place(shard.path).error("unreadable_file", f"the folder can't be read: {error.strerror or error}"))
    yield from sorted(found, key=lambda each: (each[0], each[1], each[2].name))


@dataclass(frozen=True)
class _Folder:
    """The files' bytes."""

    path: str
    real: str

    def read(self, member: _Member, n_bytes: int, at: Place) -> bytes:
        path = os.path.join(self.path, member.name)
        if os.path.islink(path) and os.path.dirname(os.path.realpath(path)) != self.real:
            detail = (
                f"{member.name} is a link that leads out of the folder; copy the file, or give the folder it lies in"
            )
            raise at.error("link_outside", detail)
        try:
            with open(path, "rb") as file:
                return file.read(n_bytes)
        except OSError as error:
            raise at.error("unreadable_member", f"{member.name} can't be read: {error.strerror or error}") from error

    def picture(self, member: _Member) -> tuple[str, None, int]:
        return os.path.abspath(os.path.join(self.path, member.name)), None, member.size
