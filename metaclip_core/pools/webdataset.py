"""WebDataset tars, as img2dataset writes them: `KEY.jpg`, `KEY.txt`, `KEY.json`, one sample after the other.

Pictures are not read, but for the first bytes of each: a pair says where in the tar its picture is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.inputs import full_path, open_input
from metaclip_core.pools.pairs import Pair, Place, batched
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.samples import NAME, Sample, sample_pairs
from metaclip_core.pools.tar import Member, members, open_tar

EXTENSIONS = (".tar",)

# Recognised to be refused with a reason: passed over in silence, a pool would lose its pairs.
COMPRESSED_EXTENSIONS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS + COMPRESSED_EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """The tar as one shard; whether it is whole is seen when it is read."""
    try:
        with open_input(shard.path) as file:
            empty = next(members(open_tar(file, shard.path), file, shard.path), None) is None
    except OSError as error:
        raise _unreadable(shard, error) from error
    return [] if empty else [shard]


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record), shard.options.extra_columns)


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    image_path = full_path(shard.path)
    try:
        with open_input(shard.path) as file:
            files = _Tar(file, image_path)
            for sample in _samples(file, shard, bad_record):
                try:
                    pairs = sample_pairs(sample, files, shard)
                except RecordError as error:
                    bad_record(error)
                    continue
                yield from pairs
    except OSError as error:
        bad_record(_unreadable(shard, error))


def _unreadable(shard: Shard, error: OSError) -> RecordError:
    return Place(shard.path).error("unreadable_file", f"the file can't be read: {error.strerror or error}")


def _samples(file: BinaryIO, shard: Shard, bad_record: BadRecord) -> Iterator[Sample]:
    """The whole samples in order.

    The one at which a damaged tar breaks off is not given, even if it could be all there: what is missing may be its
    id. It is the record that the error stands for.
    """
    sample: Sample | None = None
    last_key = ""
    ended: RecordError | None = None
    try:
        for member in members(open_tar(file, shard.path), file, shard.path):
            match = NAME.fullmatch(member.name)
            if match is None:  # no extension, or a hidden file such as macOS's ._KEY.jpg
                continue
            key, extension = match[1], match[2].lower()
            if sample is None or not sample.takes(key, extension):
                if sample is not None:
                    yield sample
                    last_key = sample.key
                sample = Sample(key)
            sample.add(member, extension)
    except RecordError as error:
        ended = error
    if sample is not None and (ended is None or ended.reason == "data_after_end"):
        yield sample
        last_key = sample.key
    if ended is not None:
        place = f"after key {last_key}" if last_key else ended.place
        bad_record(Place(shard.path, place).error(ended.reason, ended.detail))


@dataclass(frozen=True)
class _Tar:
    """The members' bytes."""

    file: BinaryIO
    path: str

    def read(self, member: Member, n_bytes: int, at: Place) -> bytes:
        self.file.seek(member.offset)
        return self.file.read(min(member.size, n_bytes))

    def picture(self, member: Member) -> tuple[str, int, int]:
        return self.path, member.offset, member.size
