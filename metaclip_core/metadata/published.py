"""Metadata as others publish it: its entries' sources found again, and its counts as a reference distribution.

A *reference* is any file of entries with counts: the authors' `entry_counts_400m.json`, the `entries.parquet` of a run,
or a parquet with `entry` and `count`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from metaclip_core.errors import MetadataError
from metaclip_core.inputs import base_name, is_remote, open_input
from metaclip_core.metadata.files import UNTAGGED, AnyPath, SourcePath, read_rows
from metaclip_core.metadata.merging import source_table
from metaclip_core.metadata.table import sources_in_order
from metaclip_core.storage import make_folder, write_atomically

__all__ = ["counts_for", "counts_of_whole", "import_metadata", "lay_over", "load_reference"]


def load_reference(path: AnyPath) -> pl.DataFrame:
    """A reference distribution: `entry: str`, `count: int64`, each entry once. Raises MetadataError."""
    rows = read_rows(path)
    if rows["count"].null_count():
        raise MetadataError(f"{path}: not a reference, it has no count for {rows['count'].null_count():,} entries")
    return rows.group_by("entry", maintain_order=True).agg(pl.col("count").sum())


def counts_for(entries: pl.Series, reference: pl.DataFrame) -> pl.Series:
    """The reference's count of each entry, 0 where it has none: int64, in the order of `entries`."""
    table = pl.DataFrame({"entry": entries})
    return table.join(reference, on="entry", how="left", maintain_order="left")["count"].fill_null(0)


def counts_of_whole(path: AnyPath, entries: pl.DataFrame) -> np.ndarray:
    """The counts of a larger pool for a run's entries (`entry`, `count`), to balance a part of it by: int64 (n_entries,).

    `path`: a run directory, or a reference. Raises MetadataError when an entry has fewer pairs there than here: then it
    isn't of a pool that this one is a part of, or is of another metadata.
    """
    if not is_remote(path) and Path(path).is_dir():
        path = Path(path) / "entries.parquet"
    elif is_remote(path) and not base_name(path).lower().endswith((".parquet", ".json")):
        path = f"{str(path).rstrip('/')}/entries.parquet"
    counts = counts_for(entries["entry"], load_reference(path))
    fewer = entries.filter(counts < entries["count"])
    if fewer.height:
        entry, count = fewer.select("entry", "count").row(0)
        raise MetadataError(
            f"{path}: not the counts of a pool that this one is a part of: {fewer.height:,} entries have fewer pairs there, "
            f"such as {entry!r} with {count:,} here"
        )
    return counts.to_numpy()


def import_metadata(
    path: AnyPath, out: str | Path, *, sources: Sequence[SourcePath] = (), counts: AnyPath | None = None
) -> pl.DataFrame:
    """Write a published list of entries as `entry, sources, count`, and return its Table 1 (`source_table`).

    An entry gets every source of the files in `sources` that has it, else `custom`. `counts`: an object of entry and
    count, or a list of counts in the order of the entries; without it those that `path` itself has. The table then is a
    reference, too. Raises MetadataError, also when the counts belong to other entries.
    """
    entries = read_rows(path)
    membership = [
        read_rows(source).explode("sources").with_columns(pl.lit(number).alias("file"))
        for number, source in enumerate(sources)
    ]
    if counts is not None:
        entries = entries.with_columns(_published_counts(counts, entries["entry"]))
    if membership:
        tags = (
            pl.concat(membership)
            .group_by("entry", maintain_order=True)
            .agg(pl.col("sources").unique(maintain_order=True).alias("found"))
        )
        entries = entries.join(tags, on="entry", how="left", maintain_order="left").with_columns(
            pl.coalesce("found", pl.lit([UNTAGGED], pl.List(pl.String))).alias("sources")
        )
    columns = ["entry", "sources", *(["count"] if entries["count"].null_count() < entries.height else [])]
    out = Path(out)
    make_folder(out.parent)
    with write_atomically(out) as file:
        entries.select(columns).write_parquet(file, compression="zstd")
    names = [name for frame in membership for name in frame["sources"].unique(maintain_order=True)]
    names += sources_in_order(entries["sources"].explode().unique(maintain_order=True).to_list())
    return source_table(entries, list(dict.fromkeys(names)))


def _published_counts(path: AnyPath, entries: pl.Series) -> pl.Series:
    counts = _list_of_counts(path)
    if counts is None:
        reference = load_reference(path)
        known = reference["entry"].is_in(entries.implode())
        if not known.any():
            raise MetadataError(
                f"{path}: none of its {reference.height:,} entries is in the metadata; a file of another?"
            )
        return counts_for(entries, reference)
    if len(counts) != len(entries):
        raise MetadataError(f"{path}: {len(counts):,} counts for {len(entries):,} entries; a file of another metadata?")
    return pl.Series("count", counts, dtype=pl.Int64)


def _list_of_counts(path: AnyPath) -> list[int] | None:
    """The file's JSON list of whole numbers; None when it is something else, for `load_reference` to judge."""
    try:
        with open_input(path) as file:
            if not file.read(64).lstrip().startswith(b"["):
                return None
        with open_input(path) as file:
            values = json.load(file)
    except OSError as error:
        raise MetadataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{path}: not JSON: {error}") from error
    for row, value in enumerate(values):
        if type(value) is not int or not 0 <= value < 2**63:
            raise MetadataError(f"{path}: element {row} is {value!r}, expected a count")
    return list(values)


def lay_over(entries: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """A pool's counts over a reference's, the entries that differ most first.

    `entries`: a run's (`entry`, `count`). Columns: `entry`; `mine`, `published` int64 counts, 0 where one lacks it;
    `my_share`, `published_share` float64 of all matches (0 to 1); `log2_ratio` float64 of the shares, infinite where one
    is 0; `g2` float64, the log-likelihood ratio of the two counts (Dunning 1993), which orders the rows: a large ratio of
    rare entries is no large difference. Entries without a match in both are left out.
    """
    both = (
        entries.select("entry", pl.col("count").alias("mine"))
        .join(reference.rename({"count": "published"}), on="entry", how="full", coalesce=True)
        .with_columns(pl.col("mine", "published").fill_null(0).cast(pl.Int64))
        .filter((pl.col("mine") > 0) | (pl.col("published") > 0))
    )
    my_total, published_total = max(int(both["mine"].sum()), 1), max(int(both["published"].sum()), 1)
    mine, published = pl.col("mine"), pl.col("published")
    expected_share = (mine + published) / (my_total + published_total)

    def term(count: pl.Expr, total: int) -> pl.Expr:
        return pl.when(count > 0).then(count * (count / (expected_share * total)).log()).otherwise(0.0)

    return both.with_columns(
        (mine / my_total).alias("my_share"),
        (published / published_total).alias("published_share"),
        ((mine / my_total) / (published / published_total)).log(2).alias("log2_ratio"),
        (2 * (term(mine, my_total) + term(published, published_total))).alias("g2"),
    ).sort("g2", "entry", descending=[True, False])
