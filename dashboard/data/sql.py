"""Answers of the SQL console, kept while nothing changes."""

from __future__ import annotations

import streamlit as st

from dashboard.data.balances import Settings, balance_of
from metaclip_core.run import Run
from metaclip_core.sql import SqlResult, run_sql

__all__ = ["answer"]


def answer(run: Run, settings: Settings, query: str, max_rows: int) -> SqlResult:
    """The first rows of the answer. Raises SettingsError for a query that can't be run."""
    return _answer(run, run.fingerprint, settings, query, max_rows)


@st.cache_resource(max_entries=8, show_spinner="Running the query")
def _answer(_run: Run, fingerprint: str, settings: Settings, query: str, max_rows: int) -> SqlResult:
    return run_sql(_run, balance_of(_run, settings), settings.t, query, max_rows=max_rows)
