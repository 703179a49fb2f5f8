"""Files that are whole or absent, on a disk or in a store.

On a disk they are written under a temporary name, flushed and renamed; into a store they are put when they are complete.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

from metaclip_core.errors import StorageError
from metaclip_core.store import Place, StoreError, StorePath

__all__ = [
    "cache_folder",
    "file_digest",
    "is_as_described",
    "json_bytes",
    "make_folder",
    "mapped",
    "move",
    "names_in",
    "read_array",
    "remove_folder",
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


def cache_folder() -> Path:
    """The user's cache of this program."""
    root = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(root) if root else Path.home() / ".cache") / "metaclip-dashboard"


@contextmanager
def storage_errors(path: Place) -> Iterator[None]:
    """Turn an operating system's error of the block into a StorageError that names `path` and says what to do."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        number = getattr(error, "errno", None)
        if number is None and (found := _RUST_ERROR.search(str(error))):
            number = int(found[1])
        if number is None and not isinstance(error, OSError):
            raise
        advice = _ADVICE.get(number or 0) or (os.strerror(number) if number else str(error))
        raise StorageError(f"can't write {path}: {advice}") from error


def make_folder(path: Place) -> None:
    """Make a folder and those above it; a store has none. Raises StorageError."""
    if isinstance(path, StorePath):
        return
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def write_atomically(path: Place, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write that appears under `path` when the block ends without an error, complete and on the disk.

    Readers see the old file or the new one, never a part of it, whenever the process or the machine dies; one that isn't
    `durable` is as safe from the process's death, but not waited for: a machine that dies may leave it damaged. Raises
    StorageError when it can't be written; what it had written is removed. It may be read from, too.
    """
    if isinstance(path, StorePath):
        with storage_errors(path), tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
            with (Path(folder) / path.name).open("w+b") as file:
                yield file
            path.put(Path(folder) / path.name)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("w+b") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Place) -> None:
    """Remove what killed processes have left of `write_atomically`; no other may be at work in the folder."""
    if isinstance(folder, StorePath):
        return
    with storage_errors(folder):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def remove_folder(folder: Place) -> None:
    """Remove a folder and all in it, where there is one. Raises StorageError."""
    with storage_errors(folder):
        if isinstance(folder, StorePath):
            folder.remove_all()
        elif folder.exists():
            shutil.rmtree(folder)


def move(path: Place, new: Place) -> None:
    """Give a small file another name, in place of the file that has it. It is under one of the two names at any time."""
    with storage_errors(path):
        if isinstance(path, Path) and isinstance(new, Path):
            os.replace(path, new)
            return
    with write_atomically(new) as file:
        file.write(path.read_bytes())
    with storage_errors(path):
        path.unlink()


def names_in(folder: Place) -> set[str]:
    """The names of the files and folders in a folder; none where there is no such folder. Raises StorageError."""
    with storage_errors(folder):
        if isinstance(folder, StorePath):
            return folder.names()
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def write_json(path: Place, value: Any) -> None:
    """Write one JSON document atomically."""
    with write_atomically(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """A JSON document as it is written: indented, in UTF-8, with a line end."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def write_array(path: Place, array: np.ndarray, *, durable: bool = True) -> dict[str, Any]:
    """Write an array as .npy, see `write_atomically`; returns the file's `file_digest`.

    Not by `np.save`, which hides from a full disk's error which one it is.
    """
    array = np.ascontiguousarray(array)
    with write_atomically(path, durable=durable) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)
        return file_digest(file)


def read_array(path: Place) -> np.ndarray:
    """An array as `write_array` wrote it, memory-mapped on a disk. Raises OSError, ValueError, EOFError."""
    if isinstance(path, StorePath):
        return np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def mapped(path: Place) -> pa.NativeFile:
    """A file to read, memory-mapped on a disk, and in memory from a store. Raises OSError, ArrowException."""
    return pa.BufferReader(path.read_bytes()) if isinstance(path, StorePath) else pa.memory_map(str(path))


def file_digest(file: Path | BinaryIO) -> dict[str, Any]:
    """The size in bytes and the XXH3-128 of a file's content; of an open file from its start."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return file_digest(opened)
    digest, size_bytes = xxhash.xxh3_128(), 0
    file.seek(0)
    while block := file.read(1 << 22):
        digest.update(block)
        size_bytes += len(block)
    return {"size_bytes": size_bytes, "xxh3_128": digest.hexdigest()}


def is_as_described(path: Place, described: Mapping[str, Any], *, check_content: bool = True) -> bool:
    """Whether a file is the one that `file_digest` described, by its size and, where that is checked, its content.

    Of a file in a store, which is whole or absent whatever dies, the size says enough. Raises OSError.
    """
    if isinstance(path, StorePath):
        return path.size() == described["size_bytes"]
    if path.stat().st_size != described["size_bytes"]:
        return False
    return not check_content or file_digest(path)["xxh3_128"] == described["xxh3_128"]
