"""The tables of the first page; dataframe cells show text as it is."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from dashboard.components.figures import csv_download

__all__ = ["source_table", "top_table"]


def _count(label: str, help_text: str | None = None) -> Any:
    return st.column_config.NumberColumn(label, format="localized", help=help_text)


def source_table(sources: pl.DataFrame) -> None:
    """`distribution.source_totals`."""
    st.dataframe(
        sources,
        hide_index=True,
        key="source_table",
        column_config={
            "source": "source",
            "entries": _count("entries", "Entries that belong to the source; one of several sources counts for each."),
            "first_entries": _count("first here", "Entries that no earlier source has: the paper's way of counting."),
            "enabled_entries": _count("on", "Entries that take part: any of their sources is on."),
            "matched_entries": _count("matched", "Entries that are on and match a pair."),
            "matches_before": _count("matches before", "The sum of c over these entries."),
            "share": st.column_config.NumberColumn("of all matches", format="percent"),
            "matches_after": _count("matches after", "Matches among the curated pairs."),
        },
    )
    csv_download(sources, name="sources")


def top_table(top: pl.DataFrame) -> None:
    """`distribution.top_entries`."""
    st.dataframe(
        top,
        hide_index=True,
        key="top_table",
        height=35 * (len(top) + 1) + 3 if len(top) else "auto",
        column_order=["entry", "sources", "before", "cap", "after", "yes_probability"],
        column_config={
            "entry": "entry",
            "sources": st.column_config.ListColumn("sources"),
            "before": _count("before", "c: pairs of the pool that the entry matches."),
            "cap": st.column_config.NumberColumn("cap", format="localized", help="min(c, t)"),
            "after": _count("after", "Curated pairs that carry the entry, kept through whichever of their entries."),
            "yes_probability": st.column_config.NumberColumn("says yes", format="percent", help="min(1, t / c)"),
        },
    )
    csv_download(top, name="top_entries")
