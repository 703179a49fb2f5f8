"""The tables of the first page; dataframe cells show text as it is."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from dashboard.components.figures import csv_download

__all__ = ["ROW_BY_CELL", "chosen_rows", "count_column", "percents", "share_column", "source_table", "top_table"]


ROW_BY_CELL: Any = ["single-row", "single-cell"]
"""A table's selection mode: a row is chosen by its box, or by a click anywhere in it."""


def chosen_rows(table: Any) -> list[int]:
    """The row that is chosen in a table of this mode, by its place; none, or one."""
    selection = table["selection"]
    return [*selection["rows"], *(row for row, _ in selection.get("cells", ()))][:1]


def count_column(label: str, help_text: str | None = None) -> Any:
    """A column of whole numbers, grouped."""
    return st.column_config.NumberColumn(label, format="localized", help=help_text)


def share_column(label: str, help: str | None = None) -> Any:
    """A column of shares that `percents` made, with one decimal."""
    return st.column_config.NumberColumn(label, format="%.1f %%", help=help)


def percents(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """The table with these shares (0 to 1) as percent."""
    return table.with_columns(pl.col(columns) * 100)


def source_table(sources: pl.DataFrame) -> None:
    """`distribution.source_totals`."""
    st.dataframe(
        percents(sources, "share"),
        hide_index=True,
        key="source_table",
        column_config={
            "source": "source",
            "entries": count_column(
                "entries", "Entries that belong to the source; one of several sources counts for each."
            ),
            "first_entries": count_column(
                "first here", "Entries that no earlier source has: the paper's way of counting."
            ),
            "enabled_entries": count_column("on", "Entries that take part: any of their sources is on."),
            "matched_entries": count_column("matched", "Entries that are on and match a pair."),
            "matches_before": count_column("matches before", "The sum of c over these entries."),
            "share": share_column("of all matches"),
            "matches_after": count_column("matches after", "Matches among the curated pairs."),
        },
    )
    csv_download(sources, name="sources")


def top_table(top: pl.DataFrame) -> None:
    """`distribution.top_entries`."""
    st.dataframe(
        percents(top, "yes_probability"),
        hide_index=True,
        key="top_table",
        height=35 * (len(top) + 1) + 3 if len(top) else "auto",
        column_order=["entry", "sources", "before", "cap", "after", "yes_probability"],
        column_config={
            "entry": "entry",
            "sources": st.column_config.ListColumn("sources"),
            "before": count_column("before", "c: pairs of the pool that the entry matches."),
            "cap": st.column_config.NumberColumn("cap", format="localized", help="min(c, t)"),
            "after": count_column(
                "after", "Curated pairs that carry the entry, kept through whichever of their entries."
            ),
            "yes_probability": share_column("says yes", help="min(1, t / c)"),
        },
    )
    csv_download(top, name="top_entries")
