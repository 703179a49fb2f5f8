"""The pictures of a pool, read back from where they are: a run copies texts, never images."""

from __future__ import annotations

import os

from metaclip_core.errors import PoolError

__all__ = ["MAX_PICTURE_BYTES", "read_picture"]

MAX_PICTURE_BYTES = 128 * 2**20
"""The largest photographs are a third of this: more is no picture to show or to embed, and would fill the memory."""


def read_picture(path: str, offset: int | None = None, size: int | None = None) -> bytes:
    """The encoded picture: `size` bytes of the file from `offset`; the whole file when the offset is None.

    Raises PoolError when the file is gone, shorter than it was, or the picture larger than MAX_PICTURE_BYTES.
    """
    if (offset is not None and (offset < 0 or size is None)) or (size is not None and size < 0):
        raise PoolError(f"{path}: a picture can't have the offset {offset} and the size {size}")
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            what = "it is not a file" if os.path.exists(path) else "the file is gone"
            raise PoolError(f"{path}: {what}; put the pool back where it was when it was curated")
        with open(path, "rb") as file:
            file_bytes = os.fstat(file.fileno()).st_size
            start = 0 if offset is None else offset
            n_bytes = max(file_bytes, size or 0) if offset is None else size or 0
            if n_bytes > MAX_PICTURE_BYTES:
                raise PoolError(f"{path}: a picture of {n_bytes:,} bytes; at most {MAX_PICTURE_BYTES:,} are read")
            file.seek(start)
            data = file.read(n_bytes)
    except OSError as error:
        raise PoolError(f"{path}: the picture can't be read: {error.strerror or error}") from error
    except (ValueError, OverflowError) as error:  # a name with a NUL in it, an offset beyond 64 bits
        raise PoolError(f"{path}: the picture can't be read: {error}") from error
    if len(data) < n_bytes:
        raise PoolError(
            f"{path}: the file ends {n_bytes - len(data):,} bytes before its picture at byte {start:,} does; "
            f"it is not the file that was curated, or it is cut off"
        )
    return data
