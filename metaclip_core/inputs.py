"""Files to read, wherever they are: on this machine or behind a URL, plain or compressed, always as a stream."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from metaclip_core.errors import MetaclipError

__all__ = ["base_name", "client_errors", "full_path", "input_errors", "is_remote", "open_input", "open_unpacked"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_GZIP_MAGIC, _BZIP2_MAGIC = b"\x1f\x8b", b"BZh"


def is_remote(path: str | Path) -> bool:
    """Whether the path is a URL, such as `https://...` or `s3://...`."""
    return _URL.match(str(path)) is not None


def base_name(path: str | Path) -> str:
    """The last part of a path or URL, without the URL's query."""
    name = str(path).partition("?")[0] if is_remote(path) else str(path)
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def full_path(path: str) -> str:
    """The path from the root; a URL is one already."""
    return path if is_remote(path) else os.path.abspath(path)


def open_input(path: str | Path) -> BinaryIO:
    """The bytes of a file or URL (fsspec's protocols), to be read from the start. Raises OSError, also for a URL."""
    if not is_remote(path):
        return open(path, "rb")
    import fsspec

    with client_errors(path):
        return cast(BinaryIO, fsspec.open(str(path), "rb").open())


@contextmanager
def client_errors(url: str | Path) -> Iterator[None]:
    """Turn what a protocol's client raises, each has errors of its own, into OSError."""
    try:
        yield
    except OSError:
        raise
    except ImportError as error:  # no package for the protocol
        raise OSError(f"{error}{_how_to_install(str(url))}") from error
    except ValueError as error:  # no such protocol
        raise OSError(str(error)) from error
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _how_to_install(url: str) -> str:
    """What to do about a protocol that fsspec leaves to another package, such as s3fs."""
    from fsspec.registry import known_implementations

    known = known_implementations.get(url.partition("://")[0].lower(), {})
    package = known.get("class", "").partition(".")[0]
    return f": pip install {package}" if package not in ("", "fsspec") else ""


def open_unpacked(path: str | Path, on_bytes: Callable[[int], Any] | None = None) -> BinaryIO:
    """The file's content, unpacked when its first bytes say gzip or bzip2.

    `on_bytes` is told how many bytes of the file itself are read, for a progress bar. Raises OSError, also when the name
    says gzip and the content doesn't; reading raises OSError, EOFError (cut off) or zlib.error.
    """
    raw = io.BufferedReader(_Counted(open_input(path), on_bytes), 1 << 20)
    magic = raw.peek(3)[:3]
    if magic.startswith(_GZIP_MAGIC):
        return cast(BinaryIO, _Gzip(raw))
    if magic == _BZIP2_MAGIC:
        return cast(BinaryIO, _Bzip2(raw))
    if base_name(path).lower().endswith(".gz"):
        raw.close()
        raise gzip.BadGzipFile("its name says gzip, but it is not")
    return cast(BinaryIO, raw)


class _Gzip(gzip.GzipFile):
    """Closes the file, too."""

    def __init__(self, packed: Any) -> None:
        super().__init__(fileobj=packed)
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


class _Bzip2(bz2.BZ2File):
    """Closes the file, too."""

    def __init__(self, packed: Any) -> None:
        super().__init__(packed)
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


@contextmanager
def input_errors(path: str | Path, kind: type[MetaclipError]) -> Iterator[None]:
    """Turn what opening and reading a file may raise into an error of this kind that names it."""
    try:
        yield
    except EOFError as error:
        raise kind(f"{path}: the file is cut off; fetch it again") from error
    except (OSError, zlib.error) as error:
        raise kind(f"{path}: {getattr(error, 'strerror', None) or error}") from error


class _Counted(io.RawIOBase):
    """A stream that tells how much of it is read."""

    def __init__(self, stream: BinaryIO, on_bytes: Callable[[int], Any] | None) -> None:
        self._stream, self._on_bytes = stream, on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        if self._on_bytes is not None:
            self._on_bytes(len(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
