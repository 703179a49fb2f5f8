"""Pairs under the current settings: which ones a filter leaves, a sample of them, and one of them explained."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
import streamlit as st

from dashboard.data.balances import Settings, balance_of
from metaclip_core import inspection
from metaclip_core.run import Run

__all__ = ["STATUSES", "PairView", "filtered_pairs", "pair_table", "pair_view", "sampled", "some_kept"]

STATUSES = ("kept", "dropped", "unmatched")

_STRETCH = 4_096  # pairs
_WALL_COLUMNS = ["key", "text", "image_path", "image_offset", "image_size"]


@dataclass(frozen=True, kw_only=True)
class PairView:
    """One pair explained. `entries`: `inspection.explain`; `spans`: where they stand in the text."""

    pair: int
    row: dict[str, object]
    status: str
    keep_t: float
    keep_probability: float
    entries: pl.DataFrame
    spans: list[inspection.Span]


def filtered_pairs(run: Run, settings: Settings, *, status: str = "", entry: str = "", words: str = "") -> np.ndarray:
    """The numbers of the pairs that are `status`, carry `entry`, and whose text has `words` in it: int64, ascending.

    Empty: any. Raises SettingsError for an entry that there is not.
    """
    return _filtered(run, run.fingerprint, settings, status, entry, words)


@st.cache_resource(max_entries=6, show_spinner="Looking through the pairs")
def _filtered(_run: Run, fingerprint: str, settings: Settings, status: str, entry: str, words: str) -> np.ndarray:
    balance = balance_of(_run, settings)
    if entry:
        pairs = inspection.pairs_of_entry(balance.matches, inspection.entry_id_of(_run, entry))
    else:
        pairs = np.arange(_run.n_pairs)
    if status:
        pairs = pairs[_is_status(balance.keep_t[pairs], settings.t, status)]
    if words:
        pairs = np.intersect1d(pairs, _with_words(_run, fingerprint, words), assume_unique=True)
    return pairs


def _is_status(keep_t: np.ndarray, t: float, status: str) -> np.ndarray:
    if status == "kept":
        return keep_t < t
    return np.isposinf(keep_t) if status == "unmatched" else np.isfinite(keep_t) & (keep_t >= t)


@st.cache_resource(max_entries=4, show_spinner="Looking through the captions")
def _with_words(_run: Run, fingerprint: str, words: str) -> np.ndarray:
    """The pairs whose text has `words` in it, whatever its case: int64, ascending."""
    found = _run.pairs(["text"]).select(pl.col("text").str.contains(f"(?i){re.escape(words)}").arg_true())
    return found.collect(engine="in-memory").to_series().to_numpy().astype(np.int64)


def some_kept(run: Run, settings: Settings, n: int) -> pl.DataFrame:
    """Up to n kept pairs of one stretch of the run, as `pair_table` gives them.

    Its pairs are asked in an order that doesn't depend on the settings: another t changes few of them.
    """
    keep_t = balance_of(run, settings).keep_t
    for start in range(0, len(keep_t), _STRETCH):
        asked = np.random.default_rng(start).permutation(len(keep_t[start : start + _STRETCH]))
        kept = asked[keep_t[start + asked] < settings.t][:n]
        if len(kept):
            return _as_shown(run, settings, start + kept, _stretch(run, run.fingerprint, start)[kept])
    return _as_shown(run, settings, np.zeros(0, np.int64), run.rows(np.zeros(0, np.int64), _WALL_COLUMNS))


@st.cache_resource(max_entries=8, show_spinner=False)
def _stretch(_run: Run, fingerprint: str, start: int) -> pl.DataFrame:
    return _run.rows(np.arange(start, min(start + _STRETCH, _run.n_pairs)), _WALL_COLUMNS)


def sampled(pairs: np.ndarray, n: int, shuffle: int) -> np.ndarray:
    """n of the pairs, ascending: the first ones for shuffle 0, another drawn sample for each number above."""
    if len(pairs) <= n or not shuffle:
        return pairs[:n]
    return np.sort(np.random.default_rng(shuffle).choice(pairs, n, replace=False))


def pair_table(run: Run, settings: Settings, pairs: np.ndarray) -> pl.DataFrame:
    """These pairs as a wall shows them: `pair` int64, key, text, image_*, keep_t, `status`, and `decided_by`, an entry."""
    return _as_shown(run, settings, pairs, run.rows(pairs, _WALL_COLUMNS))


def _as_shown(run: Run, settings: Settings, pairs: np.ndarray, rows: pl.DataFrame) -> pl.DataFrame:
    balance = balance_of(run, settings)
    keep_t = pl.Series("keep_t", balance.keep_t[pairs])
    deciding = pl.Series("deciding", balance.deciding_entry[pairs]).cast(pl.Int64)
    status = (
        pl.when(pl.col("keep_t").is_infinite())
        .then(pl.lit("unmatched"))
        .when(pl.col("keep_t") < settings.t)
        .then(pl.lit("kept"))
        .otherwise(pl.lit("dropped"))
    )
    names = run.entries["entry"].gather(deciding.replace(-1, None))
    return rows.with_columns(
        pl.Series("pair", pairs, dtype=pl.Int64), keep_t, names.alias("decided_by")
    ).with_columns(status.alias("status"))  # fmt: skip


def pair_view(run: Run, settings: Settings, pair: int) -> PairView:
    """One pair, by its number. Raises SettingsError when the run has no such pair."""
    balance, t = balance_of(run, settings), settings.t
    row = run.rows(np.array([pair]), [*_WALL_COLUMNS, "url"]).row(0, named=True)
    entries = inspection.explain(run, balance, pair, t)
    no = 1.0 - entries.filter("enabled")["yes_probability"].to_numpy()
    keep_t = float(balance.keep_t[pair])
    return PairView(
        pair=pair,
        row=row,
        status="unmatched" if np.isposinf(keep_t) else "kept" if keep_t < t else "dropped",
        keep_t=keep_t,
        keep_probability=float(1.0 - no.prod()) if len(no) else 0.0,
        entries=entries,
        spans=inspection.match_spans(row["text"][:_LONGEST_MARKED], entries.filter("enabled")["entry"].to_list()),
    )


_LONGEST_MARKED = 20_000  # characters of a text in which entries are marked
