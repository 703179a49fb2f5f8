"""Cached access to runs: everything is keyed by the run's fingerprint and the settings, never by an array."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import streamlit as st
from PIL import Image, ImageOps

from metaclip_core import distribution
from metaclip_core.balancing import Balance
from metaclip_core.errors import PoolError
from metaclip_core.pools.pictures import read_picture
from metaclip_core.run import Run, open_run

__all__ = ["Snapshot", "balance_of", "current_run", "default_t", "kept_with_pictures", "snapshot", "thumbnail"]

MAX_PIXELS = 64_000_000  # a picture of more is not decoded for a thumbnail
_PICTURE_WINDOW = 50_000  # pairs that are looked through for pictures


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run at one t, in numbers and small tables (metaclip_core.distribution has their columns)."""

    pairs: int
    matched: int
    curated: int
    expected: float
    tail_share: float
    head_entries: int
    matched_entries: int
    unmatched_entries: int
    funnel: pl.DataFrame
    ranks: pl.DataFrame
    cumulative: pl.DataFrame
    sizes: pl.DataFrame
    per_pair: pl.DataFrame
    sources: pl.DataFrame
    top: pl.DataFrame


def current_run() -> Run | None:
    """The run that `metaclip dashboard RUN` was started with; None without one. Raises RunError."""
    path = os.environ.get("METACLIP_RUN")
    if not path:
        return None
    try:
        status = (Path(path) / "manifest.json").stat()
        stamp = (status.st_mtime_ns, status.st_size)
    except OSError:
        stamp = (0, 0)
    return _open(path, stamp)


@st.cache_resource(max_entries=2, show_spinner="Opening the run")
def _open(path: str, stamp: tuple[int, int]) -> Run:
    return open_run(path)


def balance_of(run: Run, sources: tuple[str, ...] | None, seed: int) -> Balance:
    """The run's balance under these settings."""
    return _balance(run, run.fingerprint, sources, seed)


@st.cache_resource(max_entries=4, show_spinner="Balancing")
def _balance(_run: Run, fingerprint: str, sources: tuple[str, ...] | None, seed: int) -> Balance:
    return _run.balance(sources=sources, seed=seed)


def default_t(run: Run) -> float:
    """The t that the pages begin with."""
    return distribution.default_t(balance_of(run, None, run.seed))


def snapshot(run: Run, sources: tuple[str, ...] | None, seed: int, t: float) -> Snapshot:
    """All that the first page shows of the run at t."""
    return _snapshot(run, run.fingerprint, sources, seed, t)


@st.cache_resource(max_entries=32, show_spinner="Counting")
def _snapshot(_run: Run, fingerprint: str, sources: tuple[str, ...] | None, seed: int, t: float) -> Snapshot:
    balance = balance_of(_run, sources, seed)
    entries = _run.entries
    after = balance.counts_after(t)
    matched_entries = distribution.matched_entries(balance)
    return Snapshot(
        pairs=_run.n_pairs,
        matched=balance.matched_pairs,
        curated=balance.curated_size(t),
        expected=balance.expected_size(t),
        tail_share=balance.tail_share(t),
        head_entries=distribution.head_entries(balance, t),
        matched_entries=matched_entries,
        unmatched_entries=int(np.count_nonzero(balance.enabled)) - matched_entries,
        funnel=distribution.funnel(_run.n_pairs, balance, t),
        ranks=_named(distribution.rank_frequency(balance, t, after=after), entries),
        cumulative=_named(distribution.cumulative_counts(balance, t), entries),
        sizes=distribution.size_curve(balance),
        per_pair=distribution.matches_per_pair(balance, t),
        sources=distribution.source_totals(entries, _run.source_names, balance, t, after=after),
        top=distribution.top_entries(entries, balance, t, after=after),
    )


def _named(frame: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """The frame with the entry's string beside its id."""
    return frame.insert_column(2, entries["entry"].gather(frame["entry_id"]))


def kept_with_pictures(run: Run, sources: tuple[str, ...] | None, seed: int, t: float, n: int = 12) -> pl.DataFrame:
    """Up to n pairs kept at t whose picture is known, evenly taken from the first kept ones of the run.

    Columns: `key, text, image_path, image_offset, image_size`, as in the run.
    """
    return _kept_with_pictures(run, run.fingerprint, sources, seed, t, n)


@st.cache_resource(max_entries=32, show_spinner=False)
def _kept_with_pictures(
    _run: Run, fingerprint: str, sources: tuple[str, ...] | None, seed: int, t: float, n: int
) -> pl.DataFrame:
    columns = ["key", "text", "image_path", "image_offset", "image_size"]
    kept = balance_of(_run, sources, seed).keep_t < t
    start = int(np.argmax(kept)) if kept.any() else 0
    window = _run.pairs(columns).slice(start, _PICTURE_WINDOW).collect()
    found = window.filter(pl.Series(kept[start : start + len(window)])).filter(pl.col("image_path").is_not_null())
    return found[np.unique(np.linspace(0, max(len(found) - 1, 0), n).astype(np.int64))] if len(found) else found


@st.cache_data(max_entries=256, show_spinner=False)
def thumbnail(fingerprint: str, path: str, offset: int | None, size: int | None, edge: int = 360) -> bytes:
    """A square JPEG of the picture. Raises PoolError when it can't be read, or is none."""
    data = read_picture(path, offset, size)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PoolError(f"{path}: a picture of {image.width} x {image.height} pixels is not shown")
            image.draft("RGB", (edge, edge))
            square = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (edge, edge))
    except PoolError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever the bytes provoke
        raise PoolError(f"{path}: not a picture that can be shown ({type(error).__name__})") from error
    out = io.BytesIO()
    square.save(out, "JPEG", quality=85)
    return out.getvalue()
