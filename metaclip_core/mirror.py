"""A run in a store, as a folder of this machine: for memory maps, DuckDB, FAISS, and whoever reads it twice.

The copy lies in the user's cache under the run's fingerprint. Of a file that is there, the size (and of runs up to 2 GiB
the content) is held against the manifest in the store before it is used; a file that is fetched, its content always.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from filelock import FileLock

from metaclip_core.errors import MEND, RunError
from metaclip_core.progress import OnProgress, Progress
from metaclip_core.storage import (
    cache_folder,
    file_digest,
    is_as_described,
    make_folder,
    remove_leftovers,
    write_atomically,
)
from metaclip_core.store import StorePath

__all__ = ["fetch", "mirror_folder"]

_AT_ONCE = 8  # files on their way: a store answers slowly, and to many at once


def mirror_folder(store: StorePath, fingerprint: str) -> Path:
    """Where the copy of the run of this fingerprint lies, or will; its last part is the run's own name."""
    return cache_folder() / "runs" / fingerprint / store.name


def fetch(
    store: StorePath,
    folder: Path,
    files: Mapping[str, Mapping[str, Any]],
    *,
    check_content: bool,
    on_progress: OnProgress | None = None,
) -> None:
    """Fetch what is missing in the copy, or isn't what the manifest says. `files`: their lines in it, by name.

    Raises RunError for a file that the store has altered, StorageError.
    """
    for parent in sorted({(folder / name).parent for name in files}):
        make_folder(parent)
    with FileLock(folder / ".lock"), ThreadPoolExecutor(_AT_ONCE) as threads:
        missing = [name for name in files if not _is_here(folder / name, files[name], check_content)]
        for parent in {(folder / name).parent for name in missing}:
            remove_leftovers(parent)
        fetched = [threads.submit(_fetch, store / name, folder / name, files[name]) for name in missing]
        try:
            for done, future in enumerate(as_completed(fetched), start=1):
                future.result()
                if on_progress is not None:
                    on_progress(Progress("fetch", done, len(missing), 0))
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _is_here(path: Path, described: Mapping[str, Any], check_content: bool) -> bool:
    return path.exists() and is_as_described(path, described, check_content=check_content)


def _fetch(source: StorePath, path: Path, described: Mapping[str, Any]) -> None:
    with write_atomically(path) as file:
        for block in source.blocks():
            file.write(block)
        if file_digest(file)["xxh3_128"] != described["xxh3_128"]:
            raise RunError(f"{source}: altered since the run was written; {MEND}")
