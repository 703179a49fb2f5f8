"""Files of an object store, or of anything else that fsspec speaks to, with the methods of `pathlib.Path` that a run needs.

A store holds whole objects: it has no folders, no append, no locks, and nothing in it can be memory-mapped. A file is put
there in one piece, so it is whole or absent as on a disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaclip_core.errors import StorageError
from metaclip_core.inputs import client_errors, is_remote

__all__ = ["Place", "StoreError", "StorePath", "place_of"]

_PUT_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
"""Protocols (Amazon's, Google's, Azure's) whose objects appear when they are complete, and can be put unless they are there.

Elsewhere a file is put under another name and moved.
"""


class StoreError(StorageError, OSError):
    """What a store, or the way to it, has against reading or writing a file; the message names both."""


@dataclass(frozen=True)
class StorePath:
    """A file, or a folder, by its URL without a slash at its end. Methods raise StoreError, whatever the protocol."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> StorePath:
        return StorePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def with_name(self, name: str) -> StorePath:
        """Another file of the same folder."""
        return StorePath(f"{self.url.rpartition('/')[0]}/{name}")

    @property
    def protocol(self) -> str:
        return self.url.partition("://")[0].lower()

    @contextmanager
    def _system(self, what: str = "read") -> Iterator[tuple[Any, str]]:
        """fsspec's file system, and the path in it. `what` is done with them, for a message."""
        import fsspec

        try:
            with client_errors(self.url):
                yield fsspec.core.url_to_fs(self.url)
        except OSError as error:
            why = f"not found ({error})" if isinstance(error, FileNotFoundError) else error
            raise StoreError(f"can't {what} {self.url}: {why}") from error

    def exists(self) -> bool:
        """Whether there is such a file."""
        with self._system() as (system, path):
            system.invalidate_cache()
            return bool(system.isfile(path))

    def size(self) -> int:
        """The file's bytes."""
        with self._system() as (system, path):
            system.invalidate_cache()
            return int(system.info(path)["size"])

    def read_bytes(self) -> bytes:
        with self._system() as (system, path):
            return bytes(system.cat_file(path))

    def read_range(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`."""
        with self._system() as (system, path):
            return bytes(system.cat_file(path, start, stop))

    def blocks(self) -> Iterator[bytes]:
        """The file in pieces of a few MB."""
        with self._system() as (system, path), system.open(path, "rb") as file:
            while block := file.read(1 << 22):
                yield block

    def put(self, file: Path) -> None:
        """Make a file of this machine appear here, whole."""
        with self._system("write") as (system, path):
            if _puts_at_once(system):
                system.put_file(str(file), path)
                return
            folder, _, name = path.rpartition("/")
            temporary = f"{folder}/.{name}.tmp"
            system.makedirs(folder, exist_ok=True)
            try:
                system.put_file(str(file), temporary)
                system.mv(temporary, path)
            except BaseException:
                if system.exists(temporary):
                    system.rm_file(temporary)
                raise

    def create(self, data: bytes) -> bool:
        """Make the file with this content unless it exists, and say whether it is made.

        Of two that do so at once, one is told no where objects can be put unless they are there; elsewhere perhaps none.
        """
        with self._system("write") as (system, path):
            if not _puts_at_once(system):
                if self.exists():
                    return False
                system.makedirs(path.rpartition("/")[0], exist_ok=True)
                system.pipe_file(path, data)
                return True
            try:
                system.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            return True

    def unlink(self, missing_ok: bool = False) -> None:
        with self._system("remove") as (system, path):
            try:
                system.rm_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def names(self) -> set[str]:
        """The names of the files and folders in this folder; none where there is no such folder."""
        with self._system() as (system, path):
            system.invalidate_cache()
            try:
                found = [name.rstrip("/") for name in system.ls(path, detail=False)]
            except FileNotFoundError:
                return set()
            root = path.rstrip("/") + "/"
            return {name.removeprefix(root) for name in found if name.startswith(root)}

    def sizes(self) -> dict[str, int]:
        """The bytes of each file below this folder, by its name from here; none where there is no such folder."""
        with self._system() as (system, path):
            system.invalidate_cache()
            try:
                found = system.find(path, detail=True)
            except FileNotFoundError:
                return {}
            root = path.rstrip("/") + "/"
            return {name.removeprefix(root): int(info["size"]) for name, info in found.items() if name.startswith(root)}

    def remove_all(self) -> None:
        """Remove this folder, where there is one, and all in it."""
        with self._system("remove") as (system, path):
            system.invalidate_cache()
            if system.exists(path):
                system.rm(path, recursive=True)


def _puts_at_once(system: Any) -> bool:
    return not _PUT_AT_ONCE.isdisjoint([system.protocol] if isinstance(system.protocol, str) else system.protocol)


Place = Path | StorePath
"""A file or folder of a run: of this machine's file systems, or of a store."""


def place_of(path: str | os.PathLike[str] | StorePath) -> Place:
    """Where a path or a URL leads; `file://` to this machine."""
    if isinstance(path, StorePath):
        return path
    name = os.fspath(path)
    if not is_remote(name):
        return Path(name)
    if name.partition("://")[0].lower() in ("file", "local"):
        from fsspec.implementations.local import LocalFileSystem

        return Path(LocalFileSystem._strip_protocol(name))
    return StorePath(name.rstrip("/"))
