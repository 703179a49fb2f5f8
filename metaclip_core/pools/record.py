"""What every pool format gives: batches of pairs in one schema, and the shards they are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from metaclip_core.errors import PassedOver, RecordError

__all__ = ["BATCH_SIZE", "PAIR_SCHEMA", "BadRecord", "Format", "ReadOptions", "Shard", "pair_batch", "raise_bad_record"]

BATCH_SIZE = 16_384
"""Pairs in a batch at most: some 2 MB of captions, so a reader's memory is small and a kernel call is long."""

PAIR_SCHEMA = pa.schema(
    [
        pa.field("identity", pa.large_string(), nullable=False),  # docs/algorithm.md, "Identity of a pair"
        pa.field("key", pa.large_string(), nullable=False),  # what people call the pair
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("url", pa.large_string()),
        pa.field("image_path", pa.large_string()),  # the file that holds the picture
        pa.field("image_offset", pa.int64()),  # bytes from its start; null: the file is the picture
        pa.field("image_size", pa.int64()),  # bytes
    ]
)


def pair_batch(arrays: Sequence[pa.Array], extra_columns: Sequence[str]) -> pa.RecordBatch:
    """A batch of the columns of PAIR_SCHEMA, then of the extra ones."""
    extra = [pa.field(name, array.type) for name, array in zip(extra_columns, arrays[len(PAIR_SCHEMA) :], strict=True)]
    return pa.RecordBatch.from_arrays(list(arrays), schema=pa.schema([*PAIR_SCHEMA, *extra]))


BadRecord = Callable[[RecordError], None]
"""Called with each record that gives no pair. It raises the error, or counts it and returns: then the reader goes on.

A PassedOver is never to be raised."""


def raise_bad_record(error: RecordError) -> None:
    """The policy `--on-error raise`: the first bad record ends the reading."""
    if not isinstance(error, PassedOver):
        raise error


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the user says about the columns of a pool; None: found by the usual names.

    `extra_columns` are read beside those of PAIR_SCHEMA, for a filter to judge by.
    """

    text_column: str | None = None
    id_column: str | None = None
    extra_columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The unit of work: a file of a pool, or a range of its records.

    `name` is the path below the POOL argument with `/` between folders (the file's own name when the argument is the
    file): with a record's place in the file it makes the identity of a pair without an id.
    `start` and `stop` bound the records, counted from 0 (a WARC's: by byte); `stop` None is to the end of the file.
    """

    format: str
    path: str
    name: str
    size_bytes: int
    options: ReadOptions = ReadOptions()
    start: int = 0
    stop: int | None = None


class Format(Protocol):
    """A pool format: one module with these names, registered in `metaclip_core.pools`."""

    @property
    def EXTENSIONS(self) -> tuple[str, ...]:
        """The file names' endings, lower case with their dot (or words): what an error message offers."""
        ...

    def recognises(self, path: str) -> bool:
        """Whether the file is of this format, judged by its name; a folder's path ends with a slash."""
        ...

    def split(self, shard: Shard) -> list[Shard]:
        """The shards of one whole file, in order; none when it holds no record.

        Raises RecordError when the file can't be read (it may be skipped), PoolError when its columns don't do.
        """
        ...

    def read(self, shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
        """The pairs of a shard as batches of PAIR_SCHEMA and the extra columns, at most BATCH_SIZE each, in order."""
        ...
