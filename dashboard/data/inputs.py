"""What may be curated from a page: files below the folders that the app was given, and what is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import streamlit as st

from dashboard.data.runs import roots
from metaclip_core.errors import RecordError
from metaclip_core.pools import FORMATS, ReadOptions, open_pool, read_shard

__all__ = ["Inputs", "Preview", "inputs", "preview"]

_MOST_FILES = 2_000
_DEPTH = 6
_SHOWN = 8
_METADATA_ENDINGS = (".parquet", ".json", ".txt")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Paths by what the page calls them: pools (files, and folders of several) and metadata files."""

    pools: dict[str, str]
    metadata: dict[str, str]
    cut_off: bool


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The first records of a pool. `skipped`: those passed over before them, with place and reason."""

    pairs: pl.DataFrame
    shards: int
    formats: tuple[str, ...]
    columns: tuple[str, ...]
    skipped: tuple[str, ...]


@st.cache_data(ttl=10, show_spinner="Looking through the folders")
def inputs() -> Inputs:
    """What lies below the roots; hidden folders, links to folders and finished runs are passed over."""
    pools: dict[str, str] = {}
    metadata: dict[str, str] = {}
    n_files = 0
    for root in roots():
        for folder, folders, files in os.walk(root):
            below = Path(folder).relative_to(root)
            if "manifest.json" in files or "plan.json" in files or len(below.parts) >= _DEPTH:
                folders.clear()
                if "manifest.json" in files or "plan.json" in files:
                    continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = 0
            for name in sorted(files):
                if name.startswith(".") or n_files >= _MOST_FILES:
                    continue
                label, path = _label(root, below / name), Path(folder) / name
                n_files += 1
                if name.endswith(_METADATA_ENDINGS) and _is_metadata(path):
                    metadata[label] = str(path)
                elif any(module.recognises(name) for module in FORMATS.values()):
                    pools[label] = str(path)
                    here += 1
            if here > 1:
                pools[f"{_label(root, below)}/  ({here:,} files)"] = folder
    return Inputs(
        pools=dict(sorted(pools.items())), metadata=dict(sorted(metadata.items())), cut_off=n_files >= _MOST_FILES
    )


def _label(root: Path, below: Path) -> str:
    return (Path(root.name) / below).as_posix()


def _is_metadata(path: Path) -> bool:
    if path.suffix != ".parquet":
        return True
    try:
        return "entry" in pq.read_schema(path).names
    except (OSError, pa.ArrowException):
        return False


@st.cache_data(max_entries=16, show_spinner="Reading the first records")
def preview(paths: tuple[str, ...], text_column: str | None, id_column: str | None) -> Preview:
    """The first records of a pool, as `metaclip curate` would read them. Raises PoolError, SettingsError."""
    skipped: list[str] = []

    def note(error: RecordError) -> None:
        if len(skipped) < 20:
            skipped.append(f"{error.path}, {error.place}: {error.detail}")

    options = ReadOptions(text_column=text_column, id_column=id_column)
    shards = open_pool(list(paths), options=options, bad_record=note)
    tables: list[pa.RecordBatch] = []
    for shard in shards:
        for batch in read_shard(shard, note):
            tables.append(batch.slice(0, _SHOWN))
            break
        if sum(len(table) for table in tables) >= _SHOWN:
            break
    first = Path(shards[0].path)
    columns = tuple(pq.read_schema(first).names) if first.suffix == ".parquet" else ()
    pairs = pl.DataFrame(pa.Table.from_batches(tables))[:_SHOWN] if tables else pl.DataFrame()
    return Preview(
        pairs=pairs,
        shards=len(shards),
        formats=tuple(sorted({shard.format for shard in shards})),
        columns=columns,
        skipped=tuple(skipped),
    )
