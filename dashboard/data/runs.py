"""Which runs the app may open: the one it was started with, and those below the folders given as `--root`.

An address names a run by its fingerprint, never by a path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from metaclip_core.errors import RunError
from metaclip_core.run import Run, open_run

__all__ = [
    "KnownRun",
    "exports_folder",
    "jobs_folder",
    "known_runs",
    "lists_folder",
    "open_known",
    "roots",
    "runs_folder",
    "start_error",
]

_DEPTH = 4  # folders below a root that are looked into for runs
_MOST_RUNS = 500


@dataclass(frozen=True, kw_only=True)
class KnownRun:
    """A run that can be chosen. `id`: the first 12 hex digits of its fingerprint, as the address has it."""

    id: str
    path: str
    pairs: int

    @property
    def name(self) -> str:
        return Path(self.path).name


def roots() -> list[Path]:
    """The folders given at the start: runs and pools below them may be opened."""
    return [Path(name) for name in os.environ.get("METACLIP_ROOTS", "").split(os.pathsep) if name]


def runs_folder() -> Path | None:
    """Where runs curated from a page are written; None: nowhere, the app was given no folder."""
    return roots()[0] / "runs" if roots() else None


def exports_folder() -> Path | None:
    """Where exports started from a page are written; None: nowhere, the app was given no folder."""
    return roots()[0] / "exports" if roots() else None


def lists_folder() -> Path | None:
    """Where lists of entries typed into a page are written; None: nowhere, the app was given no folder."""
    return roots()[0] / "lists" if roots() else None


def jobs_folder() -> Path:
    """Where the jobs started from pages keep their files."""
    name = os.environ.get("METACLIP_JOBS")
    return Path(name) if name else Path.home() / ".cache" / "metaclip-dashboard" / "jobs"


@st.cache_data(ttl=5, show_spinner=False)
def known_runs() -> list[KnownRun]:
    """The run the app was started with first, then the others by path. An unreadable folder is passed over."""
    first = os.environ.get("METACLIP_RUN")
    folders = ([Path(first)] if first else []) + [folder for root in roots() for folder in _run_folders(root, _DEPTH)]
    found: dict[str, KnownRun] = {}
    for folder in folders[:_MOST_RUNS]:
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            run_id = str(manifest["fingerprint"])[:12]
            pairs = int(manifest["totals"]["pairs"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.setdefault(run_id, KnownRun(id=run_id, path=str(folder.resolve()), pairs=pairs))
    return list(found.values())


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink())
    except OSError:
        return
    if (folder / "manifest.json").exists():
        yield folder
    elif depth:
        for child in children:
            if not child.name.startswith("."):
                yield from _run_folders(child, depth - 1)


def open_known(known: KnownRun) -> Run:
    """Open a run of `known_runs`; opened once for all sessions while it is unchanged. Raises RunError."""
    status = (Path(known.path) / "manifest.json").stat()
    return _open(known.path, (status.st_mtime_ns, status.st_size))


def start_error() -> str | None:
    """Why the run that the app was started with can't be opened; None when it can, or there is none."""
    path = os.environ.get("METACLIP_RUN")
    if not path:
        return None
    try:
        stamp = (Path(path) / "manifest.json").stat()
        _open(path, (stamp.st_mtime_ns, stamp.st_size))
    except OSError:
        try:
            open_run(path)
        except RunError as error:
            return str(error)
    except RunError as error:
        return str(error)
    return None


@st.cache_resource(max_entries=4, show_spinner="Opening the run")
def _open(path: str, stamp: tuple[int, int]) -> Run:
    return open_run(path)
