"""The table that each source is written as: `entry`, `sources`, and `count` where it is known."""

from __future__ import annotations

import string
from pathlib import Path

import polars as pl

from metaclip_core.storage import make_folder, write_atomically

__all__ = ["by_count", "usable", "write_entries"]


def usable(entries: pl.DataFrame) -> pl.DataFrame:
    """The rows whose `entry` is neither blank nor a single ASCII punctuation mark, which the authors drop too."""
    entry = pl.col("entry")
    return entries.filter((entry.str.strip_chars() != "") & ~entry.is_in(list(string.punctuation)))


def by_count(entries: pl.DataFrame) -> pl.DataFrame:
    """By descending count, those without one last; then by entry."""
    return entries.sort(["count", "entry"], descending=[True, False], nulls_last=True, maintain_order=True)


def write_entries(path: str | Path, entries: pl.DataFrame, source: str) -> None:
    """Write entries (`entry: str`, and columns such as `count`) as those of one source, atomically."""
    path = Path(path)
    make_folder(path.parent)
    sources = pl.lit([source], pl.List(pl.String)).alias("sources")
    table = entries.select("entry", sources, pl.exclude("entry", "sources"))
    with write_atomically(path) as file:
        table.write_parquet(file, compression="zstd")
