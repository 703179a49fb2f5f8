"""A run under the current settings, in numbers and small tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st

from metaclip_core import distribution
from metaclip_core.balancing import Balance, Outcome
from metaclip_core.run import Run

__all__ = ["Settings", "Snapshot", "after_of", "balance_of", "default_t", "snapshot"]


_POINTS, _SIZES = 500, 120  # of a curve: a chart is some 600 pixels wide, and each point costs the browser time


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the controls say. `sources`: those that are on, in the run's order; None when all are."""

    t: float
    sources: tuple[str, ...] | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run at one t, in numbers and small tables (metaclip_core.distribution has their columns)."""

    read: int
    skipped: int
    filtered: int
    duplicates: int
    pairs: int
    matched: int
    curated: int
    expected: float
    tail_share: float
    head_entries: int
    enabled_entries: int
    matched_entries: int
    single_entry_pairs: int
    matches_before: int
    matches_after: int
    funnel: pl.DataFrame
    ranks: pl.DataFrame
    cumulative: pl.DataFrame
    sizes: pl.DataFrame
    per_pair: pl.DataFrame
    sources: pl.DataFrame
    top: pl.DataFrame
    flat_before: dict[str, float]
    flat_after: dict[str, float]

    @property
    def unmatched_entries(self) -> int:
        return self.enabled_entries - self.matched_entries


def balance_of(run: Run, settings: Settings) -> Balance:
    """The run's balance under these sources and this seed; the same object for all t."""
    return _balance(run, run.fingerprint, settings.sources, settings.seed)


@st.cache_resource(max_entries=4, show_spinner="Balancing")
def _balance(_run: Run, fingerprint: str, sources: tuple[str, ...] | None, seed: int) -> Balance:
    wider = None if sources is None else _balance(_run, fingerprint, None, seed)
    return _run.balance(sources=sources, seed=seed, wider=wider)


def after_of(run: Run, settings: Settings) -> np.ndarray:
    """`counts_after` at the current t: int64 (n_entries,); not to be written to."""
    return _outcome(run, run.fingerprint, settings).counts_after


@st.cache_resource(max_entries=8, show_spinner="Counting")
def _outcome(_run: Run, fingerprint: str, settings: Settings) -> Outcome:
    return balance_of(_run, settings).outcome(settings.t)


def default_t(run: Run) -> float:
    """The t that the pages begin with."""
    return _default_t(run, run.fingerprint)


@st.cache_resource(max_entries=16, show_spinner="Balancing")
def _default_t(_run: Run, fingerprint: str) -> float:
    return distribution.default_t(balance_of(_run, Settings(t=1.0, sources=None, seed=_run.seed)))


def snapshot(run: Run, settings: Settings) -> Snapshot:
    """All that the first pages show of the run at t."""
    return _snapshot(run, run.fingerprint, settings)


@st.cache_resource(max_entries=32, show_spinner="Counting")
def _snapshot(_run: Run, fingerprint: str, settings: Settings) -> Snapshot:
    balance, t = balance_of(_run, settings), settings.t
    entries = _run.entries
    outcome = _outcome(_run, fingerprint, settings)
    after = outcome.counts_after
    curated = int(outcome.curated_by_matches.sum())
    per_pair = distribution.matches_per_pair(outcome)
    return Snapshot(
        **{name: _run.totals[name] for name in ("read", "skipped", "filtered", "duplicates")},
        pairs=_run.n_pairs,
        matched=balance.matched_pairs,
        curated=curated,
        expected=outcome.expected_size,
        tail_share=balance.tail_share(t),
        head_entries=distribution.head_entries(balance, t),
        enabled_entries=int(np.count_nonzero(balance.enabled)),
        matched_entries=distribution.matched_entries(balance),
        single_entry_pairs=int(per_pair["pairs"][1]) if len(per_pair) > 1 else 0,
        matches_before=balance.n_matches,
        matches_after=int(after.sum()),
        funnel=distribution.funnel(_run.n_pairs, balance.matched_pairs, curated),
        ranks=_named(distribution.rank_frequency(balance, t, _POINTS, after=after), entries),
        cumulative=_named(distribution.cumulative_counts(balance, t, _POINTS), entries),
        sizes=distribution.size_curve(balance, _SIZES),
        per_pair=per_pair,
        sources=distribution.source_totals(_run.source_masks, _run.source_names, balance, t, after=after),
        top=distribution.top_entries(entries, balance, t, after=after),
        flat_before=distribution.flatness(balance.counts_before),
        flat_after=distribution.flatness(after),
    )


def _named(frame: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """The frame with the entry's string beside its id."""
    return frame.insert_column(2, entries["entry"].gather(frame["entry_id"]))
