"""The records of a WARC, one by one in bounded memory, from any gzip member on.

A place in the file is a byte offset, as CommonCrawl's index gives it: that of the record, or of its gzip member. So a file
can be read in ranges, and what is damaged costs its own member.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

from metaclip_core.inputs import open_input
from metaclip_core.pools.pairs import Place
from metaclip_core.pools.record import BadRecord, Shard

__all__ = ["MAX_PAYLOAD_BYTES", "Record", "ranges", "records"]

RANGE_BYTES = 64 * 2**20
"""Bytes of a shard: seconds of parsing, and a file of CommonCrawl (1 GB) becomes progress and work for all cores."""

MAX_PAYLOAD_BYTES = 16 * 2**20
"""CommonCrawl cuts a page at 5 MiB; the JSON of one with many links is longer. What is longer is neither."""

_MAX_HEADER_BYTES = 2**20
_BLOCK_BYTES = 2**16
_GZIP_MAGIC = b"\x1f\x8b\x08"


def ranges(shard: Shard) -> list[Shard]:
    """The file in ranges of about RANGE_BYTES: a record belongs to the one that its place is in; none for an empty file.

    Raises RecordError `unreadable_file` when it can't be opened, or is no WARC.
    """
    at = Place(shard.path)
    try:
        with open_input(shard.path) as file:
            head = file.read(_BLOCK_BYTES)
    except OSError as error:
        raise at.error("unreadable_file", f"the file can't be read: {error.strerror or error}") from error
    start = _inflated_start(head) if head.startswith(_GZIP_MAGIC) else head
    if start is None or (start.strip() and not start.startswith(b"WARC/")):
        raise at.error("unreadable_file", "the file isn't a WARC: it doesn't begin with a record")
    if not start.strip():
        return []
    starts = range(0, shard.size_bytes, RANGE_BYTES)
    stops = [*starts[1:], None]
    sizes = [min(RANGE_BYTES, shard.size_bytes - start) for start in starts]
    return [replace(shard, start=a, stop=b, size_bytes=n) for a, b, n in zip(starts, stops, sizes, strict=True)]


class Record(NamedTuple):
    """A record that was asked for: its place, warcio's view of its headers, and what it holds, decoded."""

    place: str
    headers: Any
    http_headers: Any
    payload: bytes


def records(shard: Shard, wanted: Callable[[Any], bool], bad_record: BadRecord) -> Iterator[Record]:
    """The records of the shard's range of which `wanted` is true (it is given warcio's record), in order.

    What can't be read is reported, and the next gzip member read.
    """
    at = Place(shard.path)
    try:
        with open_input(shard.path) as file:
            stream = _first_stream(file, shard)
            while stream is not None and (shard.stop is None or stream.offset < shard.stop):
                at = Place(shard.path, f"byte {stream.offset}")
                try:
                    yield from _records_of(stream, shard, wanted, bad_record)
                    offset, head = stream.rest()
                except zlib.error as error:
                    bad_record(at.error("damaged_gzip", f"the gzip member here is damaged: {error}"))
                    file.seek(stream.offset + 1)
                    offset, head = stream.offset + 1, b""
                stream = _next_member(file, offset, head) if stream.is_gzip else None
    except _CutOff:
        bad_record(at.error("truncated", "the file is cut off within this record; fetch it again"))
    except OSError as error:
        bad_record(at.error("unreadable_file", f"the file can't be read: {error.strerror or error}"))


class _CutOff(Exception):
    """The file ends within a gzip member. No EOFError: warcio takes that for the end of the records."""


class _Stream:
    """Bytes for warcio: of one gzip member, or of a plain file; between records only so many, lest a line has no end."""

    def __init__(self, file: BinaryIO, offset: int, pending: bytes, *, gzip: bool) -> None:
        self.offset = offset  # of its begin in the file
        self.is_gzip = gzip
        self.budget = math.inf
        self._file, self._pending = file, pending
        self._n_raw = len(pending)
        self._inflate = zlib.decompressobj(31) if gzip else None

    def read(self, size: int) -> bytes:
        data = self._read(size)
        self.budget -= len(data)
        if self.budget < 0:
            raise ValueError(f"its header has more than {_MAX_HEADER_BYTES:,} bytes")
        return data

    def _read(self, size: int) -> bytes:
        if self._inflate is None:
            data, self._pending = self._pending, b""
            return data or self._file.read(size)
        while not self._inflate.eof:
            raw = self._pending or self._file.read(_BLOCK_BYTES)
            self._n_raw += 0 if self._pending else len(raw)
            data = self._inflate.decompress(raw, size)
            self._pending = self._inflate.unconsumed_tail
            if data:
                return data
            if not raw and not self._inflate.eof:
                raise _CutOff
        return b""

    def rest(self) -> tuple[int, bytes]:
        """What follows a member: its offset, and as many bytes of it as are read. Reads the member to its end."""
        self.budget = math.inf
        while self._inflate is not None and self.read(_BLOCK_BYTES):
            pass
        unused = b"" if self._inflate is None else self._inflate.unused_data
        return self.offset + self._n_raw - len(unused), unused


def _first_stream(file: BinaryIO, shard: Shard) -> _Stream | None:
    """The first gzip member that begins in the shard's range or behind it; a plain file as a whole is its first shard's."""
    head = file.read(_BLOCK_BYTES)
    if not head.startswith(_GZIP_MAGIC):
        return None if shard.start else _Stream(file, 0, head, gzip=False)
    if shard.start:
        file.seek(shard.start)
        head = b""
    return _next_member(file, shard.start, head)


def _next_member(file: BinaryIO, offset: int, head: bytes) -> _Stream | None:
    """The first gzip member from here on (`head`: its first bytes, if read) that begins with a WARC record, or is empty."""
    while True:
        found = head.find(_GZIP_MAGIC)
        kept = len(_GZIP_MAGIC) - 1
        if found < 0:
            more = file.read(_BLOCK_BYTES)
            if not more:
                return None
            offset, head = offset + max(len(head) - kept, 0), head[-kept:] + more
            continue
        offset, head = offset + found, head[found:]
        if len(head) < _BLOCK_BYTES:
            head += file.read(_BLOCK_BYTES)
        start = _inflated_start(head)
        if start is not None and (b"WARC/".startswith(start[:5]) or start.startswith(b"\r\n")):  # or its begin
            return _Stream(file, offset, head, gzip=True)
        offset, head = offset + 1, head[1:]


def _inflated_start(head: bytes) -> bytes | None:
    """The first bytes that the gzip member holds; None when it is damaged from the start."""
    try:
        return zlib.decompressobj(31).decompress(head, 64)
    except zlib.error:
        return None


def _records_of(
    stream: _Stream, shard: Shard, wanted: Callable[[Any], bool], bad_record: BadRecord
) -> Iterator[Record]:
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed
    from warcio.statusandheaders import StatusAndHeadersParserException

    place = str(stream.offset)
    try:
        stream.budget = _MAX_HEADER_BYTES
        iterator = ArchiveIterator(stream)
        for record in iterator:
            stream.budget = math.inf
            within = iterator.offset
            place = f"{stream.offset}+{within}" if within and stream.is_gzip else str(stream.offset + within)
            if wanted(record):
                content = _payload(record)
                if content is None:
                    detail = f"the record has more than {MAX_PAYLOAD_BYTES:,} bytes"
                    bad_record(Place(shard.path, f"byte {place}").error("record_too_long", detail))
                else:
                    yield Record(place, record.rec_headers, record.http_headers, content)
            while record.raw_stream.read(_BLOCK_BYTES):
                pass
            stream.budget = _MAX_HEADER_BYTES
    except (ArchiveLoadFailed, StatusAndHeadersParserException, ValueError, AttributeError) as error:
        # AttributeError: warcio's, of a response without an address.
        detail = f"the record isn't one of a WARC: {str(error).strip()[:200]}"
        bad_record(Place(shard.path, f"byte {place}").error("invalid_record", detail))


def _payload(record: Any) -> bytes | None:
    """The record's content without HTTP headers, chunks and encodings; None when it is too long."""
    blocks: list[bytes] = []
    n_bytes = 0
    stream = record.content_stream()
    while block := stream.read(_BLOCK_BYTES):
        blocks.append(block)
        n_bytes += len(block)
        if n_bytes > MAX_PAYLOAD_BYTES:
            return None
    return b"".join(blocks)
