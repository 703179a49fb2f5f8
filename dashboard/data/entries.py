"""Entries under the current settings: the whole table on the server, a page of it in the browser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st

from dashboard.data.balances import Settings, after_of, balance_of
from metaclip_core import distribution, inspection
from metaclip_core.run import Run

__all__ = ["EntryView", "entry_view", "filtered_entries"]


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """One entry at t. `pairs`: the numbers of the pairs that carry it, int64."""

    row: dict[str, object]
    pairs: np.ndarray
    kept: np.ndarray
    dropped: np.ndarray
    curve: pl.DataFrame
    companions: pl.DataFrame


@st.cache_resource(max_entries=4, show_spinner="Listing the entries")
def _table(_run: Run, fingerprint: str, settings: Settings) -> pl.DataFrame:
    balance = balance_of(_run, settings)
    return distribution.entry_table(_run.entries, balance, settings.t, after=after_of(_run, settings))


def filtered_entries(
    run: Run,
    settings: Settings,
    *,
    words: str = "",
    sources: tuple[str, ...] = (),
    status: str = "",
    sort: str = "before",
    descending: bool = True,
) -> pl.DataFrame:
    """`distribution.entry_table`, filtered and sorted; `words`: a part of the entry, whatever its case.

    `sources`: any of them; `status`: head, tail, never matched; empty: all.
    """
    return _filtered(run, run.fingerprint, settings, words, sources, status, sort, descending)


@st.cache_resource(max_entries=8, show_spinner=False)
def _filtered(
    _run: Run,
    fingerprint: str,
    settings: Settings,
    words: str,
    sources: tuple[str, ...],
    status: str,
    sort: str,
    descending: bool,
) -> pl.DataFrame:
    table = _table(_run, fingerprint, settings).lazy()
    if words:
        table = table.filter(pl.col("entry").str.to_lowercase().str.contains(words.lower(), literal=True))
    if sources:
        table = table.filter(pl.col("sources").list.set_intersection(list(sources)).list.len() > 0)
    if status:
        table = table.filter(pl.col("status") == status)
    return table.sort(sort, "entry_id", descending=[descending, False], nulls_last=True).collect()


def entry_view(run: Run, settings: Settings, entry: str) -> EntryView:
    """One entry, by its string. Raises SettingsError when the metadata has no such entry, or it is off."""
    return _entry_view(run, run.fingerprint, settings, entry)


@st.cache_resource(max_entries=16, show_spinner="Finding its pairs")
def _entry_view(_run: Run, fingerprint: str, settings: Settings, entry: str) -> EntryView:
    balance = balance_of(_run, settings)
    entry_id = inspection.entry_id_of(_run, entry)
    pairs = inspection.pairs_of_entry(balance.matches, entry_id)
    kept = balance.keep_t[pairs] < settings.t
    table = _table(_run, fingerprint, settings).filter(pl.col("entry_id") == entry_id)
    row = (
        table.row(0, named=True)
        if len(table)
        else {"entry": entry, "sources": _run.entries["sources"][entry_id].to_list(), "status": "off"}
    )
    together = inspection.companions(balance, entry_id, pairs)
    return EntryView(
        row=row,
        pairs=pairs,
        kept=pairs[kept],
        dropped=pairs[~kept],
        curve=inspection.entry_curve(balance, pairs, len(pairs)),
        companions=together.insert_column(1, _run.entries["entry"].gather(together["entry_id"])),
    )
