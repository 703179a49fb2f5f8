"""Sources put together: one after the other up to a budget, as the paper's Table 1 counts them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from metaclip_core.errors import MetadataError, SettingsError
from metaclip_core.metadata.entries import by_count, usable
from metaclip_core.metadata.files import SourcePath, read_rows
from metaclip_core.storage import make_folder, write_atomically

__all__ = ["BUDGET", "merge_sources", "source_table"]

BUDGET = 500_000
"""The paper's number of entries."""


def merge_sources(paths: Sequence[SourcePath], out: str | Path, *, budget: int = BUDGET) -> pl.DataFrame:
    """Write the entries of the files as one metadata, and return its Table 1 (`source_table`).

    The files' order is the sources'. Each adds the entries that no earlier one has, by descending count (those without
    one last), then by entry, until there are `budget`. An entry that is in has all its sources. Raises MetadataError.
    """
    if budget < 1:
        raise SettingsError(f"a budget must be 1 or more, got {budget}")
    if not paths:
        raise SettingsError("no metadata file to merge")
    files = [by_count(usable(read_rows(path))).with_columns(pl.lit(i).alias("file")) for i, path in enumerate(paths)]
    rows = pl.concat(files)
    entries = (
        rows.explode("sources")
        .group_by("entry", maintain_order=True)
        .agg(pl.col("sources").unique(maintain_order=True))
        .head(budget)
    )
    if not entries.height:
        raise MetadataError("nothing to merge: no file has an entry")
    out = Path(out)
    make_folder(out.parent)
    with write_atomically(out) as file:
        entries.write_parquet(file, compression="zstd")
    names = rows["sources"].explode().unique(maintain_order=True).to_list()
    given = rows.explode("sources").group_by("sources").agg(pl.col("entry").n_unique().cast(pl.Int64).alias("given"))
    return (
        source_table(entries, names)
        .join(given, left_on="source", right_on="sources", how="left")
        .select("source", "given", "members", "new", "total")
    )


def source_table(entries: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The paper's Table 1 of a metadata: a row a source, in the order of `names`.

    Columns, all int64 but the first: `source`; `members`, entries that it has; `new`, those that no earlier source has;
    `total`, the running sum of `new`.
    """
    first = pl.col("sources").list.eval(pl.element().replace_strict(names, range(len(names)))).list.min()
    news = entries.select(first.alias("place"))["place"].value_counts()
    members = entries["sources"].explode().value_counts()
    table = pl.DataFrame({"source": names, "place": range(len(names))}, schema={"source": pl.String, "place": pl.Int64})
    return (
        table.join(members.rename({"sources": "source", "count": "members"}), on="source", how="left")
        .join(news.rename({"count": "new"}).cast({"place": pl.Int64}), on="place", how="left")
        .sort("place")
        .select("source", pl.col("members", "new").fill_null(0).cast(pl.Int64))
        .with_columns(pl.col("new").cum_sum().alias("total"))
    )
