"""Which pairs a search may return."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from metaclip_core.balancing import Balance, check_t
from metaclip_core.errors import SettingsError
from metaclip_core.inspection import entry_id_of, pairs_of_entry
from metaclip_core.kernels.lookup import count_enabled
from metaclip_core.run import Run

__all__ = ["STATUSES", "Filters"]

STATUSES = ("all", "kept", "dropped")


@dataclass(frozen=True)
class Filters:
    """What must hold for a pair; None leaves it open.

    `status`: kept or dropped at the search's t. `entry`: a metadata entry that it matches. `source`: a metadata source
    that one of its entries is of. `words`: each of them stands in the caption as a whole word, whatever its case.
    """

    status: str = "all"
    entry: str | None = None
    source: str | None = None
    words: str | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise SettingsError(f"unknown status {self.status!r}; there are: {', '.join(STATUSES)}")

    def mask(self, run: Run, balance: Balance, t: float) -> np.ndarray | None:
        """bool (n_pairs,), or None where every pair is allowed. Raises SettingsError for an unknown entry or source."""
        masks = []
        if self.status != "all":
            kept = balance.keep_t < check_t(t)
            masks.append(kept if self.status == "kept" else ~kept)
        if self.entry is not None:
            masks.append(_mask(run, pairs_of_entry(run.matches(), entry_id_of(run, self.entry))))
        if self.source is not None:
            masks.append(_pairs_of_source(run, self.source))
        if self.words and self.words.strip():
            masks.append(_pairs_with_words(run, self.words.split()))
        return np.logical_and.reduce(masks) if masks else None


def _pairs_of_source(run: Run, source: str) -> np.ndarray:
    if source not in run.source_names:
        raise SettingsError(f"unknown source {source!r}; this run has {', '.join(run.source_names)}")
    of_source = (run.source_masks & np.uint32(1 << run.source_names.index(source))) != 0
    matches = run.matches()
    return count_enabled(matches.indptr, matches.entry_ids, of_source, 0, len(matches)) > 0


def _mask(run: Run, pairs: np.ndarray) -> np.ndarray:
    """bool (n_pairs,), true for these."""
    mask = np.zeros(run.n_pairs, np.bool_)
    mask[pairs] = True
    return mask


def _pairs_with_words(run: Run, words: list[str]) -> np.ndarray:
    # Rust's regular expressions take linear time whatever the pattern, and here every character stands for itself.
    tests = [
        pl.col("text").str.contains(rf"(?i)(?:^|\W){re.escape(word)}(?:\W|$)").fill_null(value=False) for word in words
    ]
    return run.pairs(["text"]).select(pl.all_horizontal(tests).alias("found")).collect()["found"].to_numpy()
