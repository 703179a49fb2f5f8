"""What can go wrong while files of lines are read, plain or compressed (`inputs.open_unpacked`)."""

from __future__ import annotations

import zlib

from metaclip_core.errors import RecordError
from metaclip_core.pools.pairs import Place

__all__ = ["STREAM_ERRORS", "WHOLE_FILE_REASONS", "stream_error"]

STREAM_ERRORS = (OSError, EOFError, zlib.error)
"""What a read from `open_unpacked` may raise; gzip says EOFError when the file ends before its data does."""

WHOLE_FILE_REASONS = ("invalid_header", "truncated", "unreadable_file")
"""When a file's first error has one of these, there is no record before it and none is read after it."""


def stream_error(error: Exception, at: Place) -> RecordError:
    """The record that stands for all of the file that can't be read, for the caller to raise `from` the error."""
    if isinstance(error, EOFError):
        return at.error("truncated", "the gzip file is cut off here; fetch or write it again")
    return at.error("unreadable_file", f"the file can't be read: {getattr(error, 'strerror', None) or error}")
