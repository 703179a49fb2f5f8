"""Two settings of one pool side by side: what the second keeps that the first doesn't, and the other way round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from metaclip_core.balancing import Balance, check_t
from metaclip_core.errors import SettingsError

__all__ = ["Comparison", "compare", "entry_changes"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The pairs that two settings keep. `entered` and `left`: the numbers of the pairs that only b, only a keeps: int64."""

    size_a: int
    size_b: int
    both: int
    entered: np.ndarray
    left: np.ndarray

    @property
    def overlap(self) -> float:
        """Kept by both, as a share (0 to 1) of those kept by either: the Jaccard index; 1 where neither keeps any."""
        either = self.both + len(self.entered) + len(self.left)
        return self.both / either if either else 1.0


def compare(a: Balance, t_a: float, b: Balance, t_b: float) -> Comparison:
    """Compare the curated sets of two balances of the same pool. Raises SettingsError for different pools."""
    if len(a.keep_t) != len(b.keep_t) or len(a.enabled) != len(b.enabled):
        raise SettingsError("only two settings of one run can be compared")
    kept_a, kept_b = a.keep_t < check_t(t_a), b.keep_t < check_t(t_b)
    return Comparison(
        size_a=int(kept_a.sum()),
        size_b=int(kept_b.sum()),
        both=int((kept_a & kept_b).sum()),
        entered=np.flatnonzero(kept_b & ~kept_a),
        left=np.flatnonzero(kept_a & ~kept_b),
    )


def entry_changes(entries: pl.DataFrame, after_a: np.ndarray, after_b: np.ndarray) -> pl.DataFrame:
    """The entries that the two curated sets carry differently often, the largest change first; equal ones by id.

    `after_a`, `after_b`: int64 (n_entries,), each `balance.counts_after(t)`.
    Columns: `entry_id` int64, `entry` str, `sources` list[str], `after_a`, `after_b`, `change` int64; `status` str:
    `entered` (only b has it), `left` (only a has it), or `changed`.
    """
    change = after_b - after_a
    ids = np.argsort(-np.abs(change), kind="stable")
    ids = ids[change[ids] != 0].astype(np.int64)
    return (
        entries[ids]
        .select(
            pl.Series("entry_id", ids, dtype=pl.Int64),
            "entry",
            "sources",
            pl.Series("after_a", after_a[ids], dtype=pl.Int64),
            pl.Series("after_b", after_b[ids], dtype=pl.Int64),
            pl.Series("change", change[ids], dtype=pl.Int64),
        )
        .with_columns(
            pl.when(pl.col("after_a") == 0)
            .then(pl.lit("entered"))
            .when(pl.col("after_b") == 0)
            .then(pl.lit("left"))
            .otherwise(pl.lit("changed"))
            .alias("status")
        )
    )
