"""The metadata of a run: how its sources overlap, and its counts beside those of another pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import streamlit as st

from dashboard.data.inputs import inputs
from dashboard.data.runs import known_runs
from metaclip_core.errors import MetadataError
from metaclip_core.metadata.published import lay_over, load_reference
from metaclip_core.run import Run
from metaclip_core.storage import make_folder, write_atomically

__all__ = ["laid_over", "overlaps", "references", "write_list"]


def overlaps(run: Run) -> pl.DataFrame:
    """Entries that two sources share: `source` str, and an int64 column a source; on the diagonal a source's own."""
    return _overlaps(run, run.fingerprint)


@st.cache_resource(max_entries=4, show_spinner=False)
def _overlaps(_run: Run, fingerprint: str) -> pl.DataFrame:
    masks, names = _run.source_masks, _run.source_names
    has = [(masks & np.uint32(1 << i)) != 0 for i in range(len(names))]
    return pl.DataFrame(
        {"source": names, **{name: [int((a & b).sum()) for b in has] for name, a in zip(names, has, strict=True)}}
    )


def references(run: Run) -> dict[str, str]:
    """Files of counts to lay a run over, by what the page calls them: other runs, and metadata with counts."""
    found = {
        f"run {known.name}": str(Path(known.path) / "entries.parquet")
        for known in known_runs()
        if known.id != run.fingerprint[:12]
    }
    files = {label: path for label, path in inputs().metadata.items() if not path.endswith(".txt")}
    return found | files


def laid_over(run: Run, path: str) -> pl.DataFrame:
    """`metadata.published.lay_over`. Raises MetadataError when the file has no counts."""
    return _laid_over(run, run.fingerprint, path, Path(path).stat().st_mtime_ns if Path(path).exists() else 0)


@st.cache_resource(max_entries=2, show_spinner="Laying one over the other")
def _laid_over(_run: Run, fingerprint: str, path: str, stamp: int) -> pl.DataFrame:
    if not Path(path).exists():
        raise MetadataError(f"{path}: the file is gone")
    return lay_over(_run.entries, load_reference(path))


def write_list(folder: Path, name: str, entries: list[str]) -> Path:
    """Write a list of entries, one a line, as `name`.txt; returns its path. Raises StorageError."""
    make_folder(folder)
    path = folder / f"{name}.txt"
    with write_atomically(path) as file:
        file.write("\n".join(entries).encode() + b"\n")
    return path
