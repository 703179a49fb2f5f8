"""Files that are whole or absent: written under a temporary name, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

from metaclip_core.errors import StorageError

__all__ = [
    "file_digest",
    "make_folder",
    "remove_leftovers",
    "storage_errors",
    "write_array",
    "write_atomically",
    "write_json",
]

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your quota is used up; free some space and run the same command again",
    errno.EACCES: "not writable; choose another folder or change its permissions",
    errno.EPERM: "not writable; choose another folder or change its permissions",
    errno.EROFS: "on a read-only file system; choose another folder",
    errno.EFBIG: "the file would be larger than this disk or `ulimit -f` allows; raise the limit, or choose another folder",
    errno.EEXIST: "there is a file of this name; choose another folder",
    errno.ENOTDIR: "a file stands where a folder above it should be; choose another folder",
}


# How polars says it: its errors have no errno. numpy's don't either, hence `write_array`.
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error of the block into a StorageError that names `path` and says what to do."""
    try:
        yield
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        number = getattr(error, "errno", None)
        if number is None and (found := _RUST_ERROR.search(str(error))):
            number = int(found[1])
        if number is None and not isinstance(error, OSError):
            raise
        advice = _ADVICE.get(number or 0) or (os.strerror(number) if number else str(error))
        raise StorageError(f"can't write {path}: {advice}") from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises StorageError."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def write_atomically(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write that appears under `path` when the block ends without an error, complete and on the disk.

    Readers see the old file or the new one, never a part of it, whenever the process or the machine dies; one that isn't
    `durable` is as safe from the process's death, but not waited for: a machine that dies may leave it damaged. Raises
    StorageError when it can't be written; what it had written is removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("wb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes have left of `write_atomically`; no other may be at work in the folder."""
    with storage_errors(folder):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document atomically, indented, in UTF-8."""
    with write_atomically(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def write_array(path: Path, array: np.ndarray, *, durable: bool = True) -> None:
    """Write an array as .npy; see `write_atomically`.

    Not by `np.save`, which hides from a full disk's error which one it is.
    """
    array = np.ascontiguousarray(array)
    with write_atomically(path, durable=durable) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)


def file_digest(path: Path) -> dict[str, Any]:
    """A file's size in bytes and the XXH3-128 of its content."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return {"size_bytes": path.stat().st_size, "xxh3_128": digest.hexdigest()}
