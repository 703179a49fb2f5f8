"""Files of lines, plain or gzip, and what can go wrong while they are read."""

from __future__ import annotations

import gzip
import zlib
from typing import BinaryIO, cast

from metaclip_core.errors import RecordError
from metaclip_core.pools.pairs import Place

__all__ = ["STREAM_ERRORS", "WHOLE_FILE_REASONS", "open_stream", "stream_error"]

STREAM_ERRORS = (OSError, EOFError, zlib.error)
"""What a read from `open_stream` may raise; gzip says EOFError when the file ends before its data does."""

WHOLE_FILE_REASONS = ("invalid_header", "truncated", "unreadable_file")
"""When a file's first error has one of these, there is no record before it and none is read after it."""

GZIP_MAGIC = b"\x1f\x8b"


def open_stream(path: str) -> BinaryIO:
    """The file's bytes, unpacked when it is gzip by its name or by its first bytes; raises STREAM_ERRORS."""
    with open(path, "rb") as file:
        magic = file.read(len(GZIP_MAGIC))
    if magic == GZIP_MAGIC or path.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return open(path, "rb")


def stream_error(error: Exception, at: Place) -> RecordError:
    """The record that stands for all of the file that can't be read, for the caller to raise `from` the error."""
    if isinstance(error, EOFError):
        return at.error("truncated", "the gzip file is cut off here; fetch or write it again")
    return at.error("unreadable_file", f"the file can't be read: {getattr(error, 'strerror', None) or error}")
