"""Two settings of one run, compared once and kept."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard.data.balances import Settings, after_of, balance_of
from metaclip_core.comparison import Comparison, compare, entry_changes
from metaclip_core.run import Run

__all__ = ["changes_of", "compared"]


def compared(run: Run, a: Settings, b: Settings) -> Comparison:
    """The pairs that either setting keeps."""
    return _compared(run, run.fingerprint, a, b)


@st.cache_resource(max_entries=4, show_spinner="Comparing")
def _compared(_run: Run, fingerprint: str, a: Settings, b: Settings) -> Comparison:
    return compare(balance_of(_run, a), a.t, balance_of(_run, b), b.t)


def changes_of(run: Run, a: Settings, b: Settings) -> pl.DataFrame:
    """`comparison.entry_changes` from a to b."""
    return _changes(run, run.fingerprint, a, b)


@st.cache_resource(max_entries=4, show_spinner=False)
def _changes(_run: Run, fingerprint: str, a: Settings, b: Settings) -> pl.DataFrame:
    return entry_changes(_run.entries, after_of(_run, a), after_of(_run, b))
