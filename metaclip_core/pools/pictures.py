"""The pictures of a pool, read back from where they are: a run copies texts, never images.

Most are a range of a file's bytes. One that is packed within a parquet or zip file has the path `FILE#INSIDE`, with
`column/row` or the member's name behind the `#`, and no offset.
"""

from __future__ import annotations

import os
import posixpath
import re
import zipfile
import zlib
from functools import lru_cache
from typing import Any

from metaclip_core.errors import PoolError
from metaclip_core.inputs import full_path, is_remote, open_input

__all__ = ["MAX_PICTURE_BYTES", "beside", "inside", "read_picture"]

MAX_PICTURE_BYTES = 128 * 2**20
"""The largest photographs are a third of this: more is no picture to show or to embed, and would fill the memory."""


_INSIDE = re.compile(r"(.+\.(parquet|zip))#(.+)", re.DOTALL | re.IGNORECASE)

_LARGEST_GROUP_BYTES = 512 * 2**20  # of a parquet column, to keep in memory for its other rows


def inside(path: str, name: str) -> str:
    """The path of a picture that is packed within the file."""
    return f"{path}#{name}"


def beside(table_path: str, name: object) -> str | None:
    """The path of a picture that a table names relative to itself; None for a name that leads out of its folder."""
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return None
    relative = posixpath.normpath(name)
    if relative.startswith(("/", "..")) or relative == ".":
        return None
    return f"{full_path(table_path).replace(os.sep, '/').rpartition('/')[0]}/{relative}"


def read_picture(path: str, offset: int | None = None, size: int | None = None) -> bytes:
    """The encoded picture: `size` bytes of the file from `offset`; the whole file when the offset is None.

    Raises PoolError when the file is gone, shorter than it was, or the picture larger than MAX_PICTURE_BYTES.
    """
    if offset is None and (packed := _INSIDE.fullmatch(path)) and not os.path.exists(path):
        return _read_packed(packed[1], packed[2].lower(), packed[3])
    if (offset is not None and (offset < 0 or size is None)) or (size is not None and size < 0):
        raise PoolError(f"{path}: a picture can't have the offset {offset} and the size {size}")
    start, n_bytes = offset or 0, size or 0
    try:
        if not is_remote(path) and not os.path.isfile(path):  # a pipe would be waited for
            what = "it is not a file" if os.path.exists(path) else "the file is gone"
            raise PoolError(f"{path}: {what}; put the pool back where it was when it was curated")
        with open_input(path) as file:
            if offset is None:
                n_bytes = max(file.seek(0, os.SEEK_END), n_bytes)
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


def _read_packed(path: str, kind: str, name: str) -> bytes:
    try:
        size_bytes = 0 if is_remote(path) else os.path.getsize(path)
        data = _zip_member(path, name) if kind == "zip" else _parquet_value(path, name, size_bytes)
    except OSError as error:
        raise PoolError(
            f"{path}: the picture can't be read: {error.strerror or error}; put the pool back where it was"
        ) from error
    except (
        ValueError,
        KeyError,
        IndexError,
        RuntimeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise PoolError(
            f"{path}: its picture {name} can't be read: {error}; is it the file that was curated?"
        ) from error
    if data is None or len(data) > MAX_PICTURE_BYTES:
        what = "is null" if data is None else f"has more than {MAX_PICTURE_BYTES:,} bytes"
        raise PoolError(f"{path}: its picture {name} {what}")
    return data


def _zip_member(path: str, name: str) -> bytes:
    with open_input(path) as file, zipfile.ZipFile(file) as archive, archive.open(name) as member:
        return member.read(MAX_PICTURE_BYTES + 1)


def _parquet_value(path: str, name: str, size_bytes: int) -> bytes | None:
    """The bytes in `column/row`; the row group is kept for its neighbours, unless it is very large."""
    import pyarrow.parquet as pq

    column, _, number = name.rpartition("/")
    row, group = int(number), 0
    with open_input(path) as source, pq.ParquetFile(source) as file:
        metadata = file.metadata
        while row >= metadata.row_group(group).num_rows:
            row -= metadata.row_group(group).num_rows
            group += 1
        if metadata.row_group(group).total_byte_size > _LARGEST_GROUP_BYTES:
            for batch in file.iter_batches(16, row_groups=[group], columns=[column]):
                if row < batch.num_rows:
                    return _bytes_of(batch.column(0)[row])
                row -= batch.num_rows
    return _bytes_of(_row_group(path, size_bytes, group, column)[row])


@lru_cache(maxsize=2)
def _row_group(path: str, size_bytes: int, group: int, column: str) -> Any:
    import pyarrow.parquet as pq

    with open_input(path) as source, pq.ParquetFile(source) as file:
        return file.read_row_group(group, columns=[column]).column(0)


def _bytes_of(value: Any) -> bytes | None:
    plain = value.as_py()
    return plain.get("bytes") if isinstance(plain, dict) else plain
