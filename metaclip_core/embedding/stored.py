"""Embeddings beside a run in a store: fetched when they are looked for, put there when they are finished.

An index over them is made on each machine: it is a file for memory maps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from metaclip_core.run import Run
from metaclip_core.storage import make_folder, write_atomically
from metaclip_core.store import StorePath

__all__ = ["fetch_embeddings", "put_embeddings"]

_AT_ONCE = 8  # files on their way
_MANIFEST = "manifest.json"
_FILE = re.compile(r"(\w+)/(manifest\.json|present\.npy|(?:image|text)/\d+\.(?:npy|json))", re.ASCII)


def fetch_embeddings(run: Run) -> None:
    """Copy finished embeddings that a run has in its store to this machine, unless they are here. Raises StorageError."""
    if run.store is None:
        return
    models: dict[str, dict[str, int]] = {}
    for name, size_bytes in (run.store / "embeddings").sizes().items():
        if found := _FILE.fullmatch(name):
            models.setdefault(found[1], {})[found[2]] = size_bytes
    for fingerprint, files in models.items():
        if files.pop(_MANIFEST, None) is not None:
            _fetch(run.store / "embeddings" / fingerprint, run.path / "embeddings" / fingerprint, files)


def _fetch(store: StorePath, folder: Path, files: Mapping[str, int]) -> None:
    """Its manifest comes last; where another one is here, nothing that is here is taken for the store's."""
    manifest = (store / _MANIFEST).read_bytes()
    for parent in {(folder / name).parent for name in files}:
        make_folder(parent)
    with FileLock(folder / ".fetching"):
        is_same = (folder / _MANIFEST).exists() and (folder / _MANIFEST).read_bytes() == manifest
        missing = [name for name, size in files.items() if not (is_same and _has_size(folder / name, size))]
        if is_same and not missing:
            return
        for name in (_MANIFEST, "index.json", "index.faiss"):
            (folder / name).unlink(missing_ok=True)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(lambda name: _copy(store / name, folder / name), missing))
        with write_atomically(folder / _MANIFEST) as file:
            file.write(manifest)


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.exists() and path.stat().st_size == size_bytes


def _copy(source: StorePath, path: Path) -> None:
    with write_atomically(path) as file:
        for block in source.blocks():
            file.write(block)


def put_embeddings(run: Run, folder: Path) -> None:
    """Put finished embeddings beside a run in a store, unless they are there, the manifest last. Raises StorageError."""
    if run.store is None:
        return
    store = run.store / "embeddings" / folder.name
    manifest = store / _MANIFEST
    if manifest.exists() and manifest.read_bytes() == (folder / _MANIFEST).read_bytes():
        return
    manifest.unlink(missing_ok=True)
    names = [path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.is_file()]
    found = [match[2] for name in names if (match := _FILE.fullmatch(name)) and match[2] != _MANIFEST]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda name: (store / name).put(folder / name), found))
    manifest.put(folder / _MANIFEST)
