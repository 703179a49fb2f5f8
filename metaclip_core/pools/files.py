"""The files of a pool: folders searched, globs and brace ranges spelled out, here or behind a URL."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.inputs import base_name, is_remote, open_input

__all__ = ["FoundFile", "edges", "expanded", "files_below"]

MAX_NAMES = 1_000_000
"""A brace range of more names is a mistake: `{0..9999999999}` would only fill the memory."""

EDGE_BYTES = 65_536
"""Of a file's begin and end that go into its fingerprint."""


class FoundFile(NamedTuple):
    """A file or folder that a format takes: its path or URL, its path below the POOL argument, format, and size."""

    path: str
    name: str
    format: str
    size_bytes: int


Recognise = Callable[[str], str | None]
"""The format of a path, a folder's with a slash at its end; None when no format takes it."""


def expanded(argument: str) -> list[str]:
    """The paths that a POOL argument means: itself where it exists, else by its braces, then by `*`, `?` and `[]`.

    Raises PoolError when a pattern matches nothing, SettingsError for a brace range of too many names.
    """
    if not is_remote(argument) and os.path.lexists(argument):
        return [argument]
    paths = [argument]
    if "{" in argument:
        import bracex

        try:
            paths = bracex.expand(argument, limit=MAX_NAMES)
        except bracex.ExpansionLimitException as error:
            raise SettingsError(f"{argument}: the braces stand for more than {MAX_NAMES:,} names") from error
    return [path for pattern in paths for path in (_matching(pattern) if _is_pattern(pattern) else [pattern])]


def _is_pattern(path: str) -> bool:
    return glob.has_magic(path) and not (is_remote(path) and not glob.has_magic(path.partition("?")[0]))


def _matching(pattern: str) -> list[str]:
    if is_remote(pattern):
        with _remote_errors(pattern):
            system, path = _file_system(pattern)
            found = sorted(system.unstrip_protocol(each) for each in system.glob(path))
        found = [each for each in found if not base_name(each).startswith(".")]
    else:
        found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise PoolError(f"{pattern}: no file has a name of this pattern")
    return found


def files_below(path: str, recognise: Recognise, kinds: str) -> Iterator[FoundFile]:
    """The files and folders that formats take, of one path: the file itself, or a folder's, by name.

    A folder is searched through all its levels. Hidden files, runs and files of no known format are passed over in it, and
    so are tables and pictures beside tars, which describe the same pairs. `kinds`: of the formats, for messages.
    """
    if is_remote(path):
        yield from _remote_files(path, recognise, kinds)
    elif os.path.isdir(path):
        found = _search(path, recognise)
        if not found:
            raise PoolError(f"{path}: no file in the folder has a known format ({kinds})")
        for name, format_name in found:
            yield _local(os.path.join(path, *name.split("/")), name, format_name)
    elif os.path.isfile(path):
        yield _local(path, PurePath(path).name, _known(path, recognise, kinds))
    elif os.path.lexists(path):
        raise PoolError(f"{path}: neither a file nor a folder, or a link to nothing")
    else:
        raise PoolError(f"{path}: no such file or folder")


def _known(path: str, recognise: Recognise, kinds: str) -> str:
    format_name = recognise(base_name(path))
    if format_name is None:
        raise PoolError(f"{path}: its name says no known format ({kinds}); choose one with --format")
    return format_name


def _local(path: str, name: str, format_name: str) -> FoundFile:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PoolError(f"{os.fsencode(path)!r}: the name is not valid UTF-8; rename it") from error
    path = os.path.abspath(path)
    try:
        size_bytes = os.path.getsize(path)
    except OSError as error:
        raise PoolError(f"{path}: the file can't be looked at: {error.strerror or error}") from error
    return FoundFile(path, PurePath(path).name if name == "." else name, format_name, size_bytes)


def _search(folder: str, recognise: Recognise) -> list[tuple[str, str]]:
    """(path below the folder, format) of each recognised file or folder, by the path."""

    def refuse(error: OSError) -> None:
        raise PoolError(f"{error.filename}: the folder can't be read: {error.strerror}") from error

    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # by a second link, or in a ring of links
            folders.clear()
            continue
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not _is_run(os.path.join(parent, name))
        )
        seen.add(real)
        below = Path(parent).relative_to(folder)
        here = [
            ((below / name).as_posix(), format_name)
            for name in files
            if not name.startswith(".")
            and os.path.isfile(os.path.join(parent, name))
            and (format_name := recognise(name)) is not None
        ]
        if not here and (format_name := recognise(parent.rstrip("/") + "/")) is not None:
            here = [(below.as_posix(), format_name)]
        found += _leading(here)
    return sorted(found)


def _is_run(folder: str) -> bool:
    """Whether the folder is a run, finished or not: its parts are copies of pairs, its tables are no pairs at all."""
    kinds = (("manifest.json", "entries.parquet", "parts"), ("plan.json", "staging", "parts"))
    return any(all(os.path.exists(os.path.join(folder, name)) for name in names) for names in kinds)


def _leading(files: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The tars of a folder where there are some, else all of its files."""
    tars = [(name, format_name) for name, format_name in files if format_name == "webdataset"]
    return tars or files


def _remote_files(url: str, recognise: Recognise, kinds: str) -> list[FoundFile]:
    with _remote_errors(url):
        system, path = _file_system(url)
        if not (url.endswith("/") or system.info(path)["type"] == "directory"):
            return [FoundFile(url, base_name(url), _known(url, recognise, kinds), _size(system, path, url))]
        root = path.rstrip("/") + "/"
        folders: dict[str, list[tuple[str, str]]] = {}
        names = [each.removeprefix(root) for each in system.find(path)]
        runs = _runs_among(names)
        for name in names:
            if not any(part.startswith(".") for part in name.split("/")) and not name.startswith(runs):
                format_name = recognise(base_name(name))
                if format_name is not None:
                    folders.setdefault(name.rpartition("/")[0], []).append((name, format_name))
        found = sorted(each for files in folders.values() for each in _leading(files))
        if not found:
            raise PoolError(f"{url}: no file in the folder has a known format ({kinds})")
        return [
            FoundFile(system.unstrip_protocol(root + name), name, format_name, _size(system, root + name, root + name))
            for name, format_name in found
        ]


def _runs_among(names: list[str]) -> tuple[str, ...]:
    """The folders among these files' that are runs, finished or not (see `_is_run`), each with a slash at its end."""
    known, folders = set(names), {name.rpartition("/")[0] for name in names}
    finished = {name.removesuffix("manifest.json") for name in names if name.endswith("/manifest.json")}
    unfinished = {name.removesuffix("plan.json") for name in names if name.endswith("/plan.json")}
    runs = {run for run in finished if f"{run}entries.parquet" in known and f"{run}parts" in folders}
    return tuple(runs | {run for run in unfinished if folders & {f"{run}parts", f"{run}staging"}})


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(url)


def _size(system: Any, path: str, url: str) -> int:
    size_bytes = system.info(path).get("size")
    if size_bytes is None:
        raise PoolError(f"{url}: the server doesn't say how large the file is; fetch it first")
    return int(size_bytes)


@contextmanager
def _remote_errors(url: str) -> Iterator[None]:
    """Turn what a protocol's client may raise (each has errors of its own) into PoolError."""
    try:
        yield
    except PoolError:
        raise
    except FileNotFoundError as error:
        raise PoolError(f"{url}: there is no such file, or no server that answers") from error
    except Exception as error:
        raise PoolError(f"{url}: can't be reached: {error or type(error).__name__}") from error


def edges(path: str, size_bytes: int) -> Iterable[bytes]:
    """What tells one file from another without reading it: its first and last bytes, or a folder's names and sizes.

    Raises PoolError.
    """
    try:
        if not is_remote(path) and os.path.isdir(path):
            with os.scandir(path) as entries:
                listed = sorted((entry.name, entry.stat().st_size) for entry in entries if entry.is_file())
            yield from (f"{name}\0{size}\0".encode("utf-8", "surrogateescape") for name, size in listed)
            return
        with open_input(path) as file:
            yield file.read(EDGE_BYTES)
            if file.seekable():
                file.seek(max(0, size_bytes - EDGE_BYTES))
                yield file.read(EDGE_BYTES)
    except OSError as error:
        raise PoolError(f"{path}: {error.strerror or error}") from error
