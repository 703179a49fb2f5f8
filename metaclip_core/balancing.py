"""Balancing: how likely a pair is kept, and from which threshold on it is (paper, section 3.2; docs/algorithm.md).

One number per pair, `keep_t`, replaces a run of the sampling for each t: a pair is kept at t exactly when keep_t < t.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metaclip_core.errors import SettingsError
from metaclip_core.kernels.draws import (
    count_kept,
    drawn_entries,
    least_of_fewer,
    least_weights,
    prod_complement,
    survey,
)
from metaclip_core.kernels.sorting import count_below, sort_weights
from metaclip_core.kernels.threads import map_ranges
from metaclip_core.matching import Matches
from metaclip_core.metadata.table import Metadata
from metaclip_core.strings import hash_each, to_arrow_strings

__all__ = ["Balance", "Outcome", "check_seed", "check_t", "entry_counts", "keep_probability", "keep_thresholds"]


def check_t(t: float) -> float:
    """`t` as a float. Raises SettingsError unless it is a number from 0 on (infinity keeps every matched pair)."""
    try:
        value = float(t)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"threshold t must be a number, got {t!r}") from error
    if math.isnan(value) or value < 0:
        raise SettingsError(f"threshold t must be 0 or more, got {t!r}")
    return value


def check_seed(seed: int) -> int:
    """`seed` as an int. Raises SettingsError unless it fits an unsigned 64-bit integer."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < 2**64:
        raise SettingsError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)


def entry_counts(matches: Matches, n_entries: int) -> np.ndarray:
    """`c_e`, the number of texts that each entry matches: int64 (n_entries,)."""
    counts = np.bincount(matches.entry_ids, minlength=n_entries)
    if len(counts) > n_entries:
        raise SettingsError(f"the matches name entry {len(counts) - 1}, the metadata has only {n_entries} entries")
    return counts.astype(np.int64, copy=False)


def yes_probability(counts: np.ndarray, t: float) -> np.ndarray:
    """min(1, t / c_e), how likely an entry says yes: float64 (n_entries,); 1 for an entry without matches, 0 at t = 0."""
    return np.minimum(1.0, check_t(t) / np.maximum(counts, 1)) if t < math.inf else np.ones(len(counts))


def keep_probability(matches: Matches, counts: np.ndarray, t: float) -> np.ndarray:
    """P(keep) = 1 - product over a text's entries of (1 - min(1, t / c_e)): float64 (n_texts,); 0 without a match."""
    return _prod_complement(matches, 1.0 - yes_probability(np.asarray(counts), t))


def _prod_complement(matches: Matches, no_probs: np.ndarray) -> np.ndarray:
    ranges = map_ranges(lambda a, b: prod_complement(matches.indptr, matches.entry_ids, no_probs, a, b), len(matches))
    return np.concatenate(ranges)


def _least_weights(
    matches: Matches,
    weights: np.ndarray,
    identity_hashes: np.ndarray,
    entry_hashes: np.ndarray,
    seed: int,
    wider: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(keep_t, deciding entry) of each text. `wider`: what this gave with more entries on."""
    least, deciding = np.empty(len(matches), np.float64), np.empty(len(matches), np.int32)
    kernel: Any = least_weights if wider is None else least_of_fewer
    settings = identity_hashes, drawn_entries(entry_hashes, weights), np.uint64(seed), *(wider or ())
    map_ranges(lambda a, b: kernel(matches.indptr, matches.entry_ids, *settings, least, deciding, a, b), len(matches))
    return least, deciding


def keep_thresholds(
    matches: Matches,
    counts: np.ndarray,
    *,
    metadata: Metadata,
    identities: Any,
    sources: Iterable[str] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """`keep_t` of each text, the least u * c_e over its enabled entries: float64 (n_texts,), +inf where there is none.

    `identities`: a string a text (list, polars, Arrow), or its XXH64 as uint64 (n_texts,); the draw u depends on
    (seed, identity, entry) alone. `counts`: int64 (n_entries,), of this pool or of a larger one.
    """
    if isinstance(identities, np.ndarray) and identities.dtype == np.uint64:
        identity_hashes = identities
    else:
        identity_hashes = hash_each(to_arrow_strings(identities))
    if len(identity_hashes) != len(matches):
        raise SettingsError(f"{len(identity_hashes)} identities for {len(matches)} texts")
    weights = np.where(metadata.enabled(sources), _checked_counts(counts, len(metadata)), np.inf)
    return _least_weights(matches, weights, identity_hashes, metadata.entry_hashes, check_seed(seed))[0]


def _checked_counts(counts: np.ndarray, n_entries: int) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.shape != (n_entries,):
        raise SettingsError(f"counts must have one number an entry, shape ({n_entries},), got {counts.shape}")
    if not np.issubdtype(counts.dtype, np.integer) or (n_entries and counts.min() < 0):
        raise SettingsError("counts must be whole numbers from 0 on")
    return counts


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What a threshold leaves of a pool.

    `counts_after`: int64 (n_entries,), kept pairs that carry each enabled entry. `expected_size`: the sum of P(keep).
    `pairs_by_matches`, `curated_by_matches`: int64 (most + 1,), how many pairs, and pairs kept, match 0, 1, ... enabled
    entries.
    """

    counts_after: np.ndarray
    expected_size: float
    pairs_by_matches: np.ndarray
    curated_by_matches: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Balance:
    """A pool under one set of sources and one seed, at every t at once.

    `counts`: int64 (n_entries,), `c_e` of this pool or of a larger one. `enabled`: bool (n_entries,); an entry that is off
    has no part in anything here. `identity_hashes`: uint64 (n_pairs,); `entry_hashes`: uint64 (n_entries,).
    `wider`: a balance of the same pool and seed with at least these entries on, if one is at hand; only the pairs that it
    decides by an entry that is off here are drawn again.
    Arrays that it gives are in the order of the run's pairs, or of its entries, and are not to be written to.
    """

    matches: Matches
    counts: np.ndarray
    enabled: np.ndarray
    identity_hashes: np.ndarray
    entry_hashes: np.ndarray
    sources: tuple[str, ...] | None = None
    seed: int = 0
    wider: Balance | None = None

    def __post_init__(self) -> None:
        _checked_counts(self.counts, len(self.enabled))
        check_seed(self.seed)
        if self.wider is not None and not self._is_part_of(self.wider):
            raise SettingsError("a wider balance has the same pool, counts and seed, and at least these entries on")

    def _is_part_of(self, wider: Balance) -> bool:
        return (
            len(self.matches) == len(wider.matches)
            and len(self.matches.entry_ids) == len(wider.matches.entry_ids)
            and self.seed == wider.seed
            and np.array_equal(self.counts, wider.counts)
            and not np.any(self.enabled & ~wider.enabled)
        )

    @cached_property
    def _decision(self) -> tuple[np.ndarray, np.ndarray]:
        weights = np.where(self.enabled, self.counts, np.inf)
        wider = None if self.wider is None else self.wider._decision
        return _least_weights(self.matches, weights, self.identity_hashes, self.entry_hashes, self.seed, wider)

    @property
    def keep_t(self) -> np.ndarray:
        """The threshold from which on each pair is kept: float64 (n_pairs,), +inf where no enabled entry matches."""
        return self._decision[0]

    @property
    def deciding_entry(self) -> np.ndarray:
        """The entry that each pair's keep_t comes from: int32 (n_pairs,), -1 where there is none."""
        return self._decision[1]

    @cached_property
    def sorted_keep_t(self) -> np.ndarray:
        """The finite keep_t, ascending: float64 (matched_pairs,)."""
        return sort_weights(self.keep_t)

    @cached_property
    def counts_before(self) -> np.ndarray:
        """`c_e` of the enabled entries, 0 for the others: int64 (n_entries,)."""
        return np.where(self.enabled, self.counts, 0)

    @cached_property
    def _sorted_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(distinct positive counts ascending, matches of all entries up to and with each)."""
        values, n_entries = np.unique(self.counts_before[self.counts_before > 0], return_counts=True)
        return values, np.cumsum(values * n_entries)

    @cached_property
    def entries_by_count(self) -> np.ndarray:
        """The enabled entries with a match, the largest count first, equal counts by id: int64 (n,)."""
        order = np.argsort(-self.counts_before, kind="stable")
        return order[: np.count_nonzero(self.counts_before)].astype(np.int64, copy=False)

    @cached_property
    def matched_pairs(self) -> int:
        """Pairs that an enabled entry matches: the curated size at t = infinity."""
        return int(np.count_nonzero(self.deciding_entry >= 0))

    @property
    def n_matches(self) -> int:
        """The sum of `counts_before`."""
        return int(self.counts_before.sum())

    def keep_probability(self, t: float) -> np.ndarray:
        """P(keep) of each pair at t: float64 (n_pairs,)."""
        return _prod_complement(self.matches, np.where(self.enabled, 1.0 - yes_probability(self.counts, t), 1.0))

    def curated_size(self, t: float) -> int:
        """Pairs kept at t: those with keep_t < t."""
        return int(np.searchsorted(self.sorted_keep_t, check_t(t), side="left"))

    def curated_sizes(self, per_doubling: int) -> tuple[np.ndarray, np.ndarray]:
        """The curated size at a ladder of t, without a sort: (t float64, sizes int64).

        t goes from 1 in `per_doubling` (a power of two) even steps to each doubling, to the first above the largest count,
        where all matched pairs are kept.
        """
        stop = max(float(self.counts_before.max(initial=0)) + 1.0, 2.0)
        return count_below(self.keep_t, first=1.0, stop=stop, per_doubling=per_doubling)

    def expected_size(self, t: float) -> float:
        """The sum of P(keep): what `curated_size` is on average over seeds."""
        return self.outcome(t).expected_size

    def counts_after(self, t: float) -> np.ndarray:
        """How many pairs kept at t carry each enabled entry: int64 (n_entries,). Head entries exceed t, often by much."""
        t, matches = check_t(t), self.matches

        def count(start: int, stop: int) -> np.ndarray:
            counts = self._empty_counts(start, stop)
            count_kept(matches.indptr, matches.entry_ids, self.keep_t, t, counts, start, stop)
            return counts

        return self._counts_of(map_ranges(count, len(matches)))

    def outcome(self, t: float) -> Outcome:
        """All that goes through the matches at t, in one pass: much less than its parts cost one by one."""
        t, matches = check_t(t), self.matches
        no_probs = np.where(self.enabled, 1.0 - yes_probability(self.counts, t), -1.0)

        def look(start: int, stop: int) -> tuple[float, np.ndarray, np.ndarray]:
            counts, by_matches = self._empty_counts(start, stop), np.zeros((matches.longest + 1, 2), np.int64)
            expected = survey(
                matches.indptr, matches.entry_ids, self.keep_t, t, no_probs, counts, by_matches, start, stop
            )
            return expected, counts, by_matches

        expected, counts, by_matches = zip(*map_ranges(look, len(matches)), strict=True)
        pairs, curated = np.sum(by_matches, axis=0).T
        most = int(np.flatnonzero(pairs).max(initial=0))
        return Outcome(
            counts_after=self._counts_of(counts),
            expected_size=float(sum(expected)),
            pairs_by_matches=pairs[: most + 1],
            curated_by_matches=curated[: most + 1],
        )

    def _empty_counts(self, start: int, stop: int) -> np.ndarray:
        # Four bytes an entry where they hold the most there can be: more of them fit the cache.
        return np.zeros(len(self.enabled), np.int32 if stop - start < 2**31 else np.int64)

    def _counts_of(self, ranges: Sequence[np.ndarray]) -> np.ndarray:
        return np.where(self.enabled, np.sum(ranges, axis=0, dtype=np.int64), 0)

    def tail_share(self, t: float) -> float:
        """The share (0 to 1) of all matches that belong to tail entries, those with c_e < t; 0 without a match."""
        values, running = self._sorted_counts
        n_tail_values = int(np.searchsorted(values, check_t(t), side="left"))
        return float(running[n_tail_values - 1] / running[-1]) if n_tail_values else 0.0

    def t_for_size(self, n: int) -> float:
        """The smallest t that keeps exactly n pairs; where ties forbid n, the nearest size that can be reached.

        Raises SettingsError when n is negative or more than `matched_pairs`.
        """
        ordered = self.sorted_keep_t
        if not 0 <= n <= len(ordered):
            raise SettingsError(f"a curated size of {n:,} can't be: between 0 and {len(ordered):,} pairs match")
        if n == 0:
            return 0.0
        value = ordered[n - 1]
        below, above = (int(np.searchsorted(ordered, value, side=side)) for side in ("left", "right"))
        if n - below < above - n:
            return float(np.nextafter(ordered[below - 1], np.inf)) if below else 0.0
        return float(np.nextafter(value, np.inf))

    def t_for_tail_share(self, p: float) -> float:
        """The smallest whole t whose tail share is nearest to p (0 to 1).

        The tail share is a step function of t: it rises where t passes an entry's count. Raises SettingsError when p is
        no share, or nothing matches.
        """
        if not 0 <= p <= 1:
            raise SettingsError(f"a tail share is between 0 and 1, got {p!r}")
        values, running = self._sorted_counts
        if not len(values):
            raise SettingsError("no enabled entry matches a pair: there is no tail share to choose t by")
        shares = np.concatenate([[0.0], running / running[-1]])
        step = int(np.argmin(np.abs(shares - p)))
        return float(values[step - 1] + 1) if step else 1.0
