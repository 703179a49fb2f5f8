"""keep_t does what a sampler would do that draws for every entry of every pair, at every t, and its sets are nested."""

from __future__ import annotations

import math
import random

import numpy as np
import pyarrow as pa
import pytest

from metaclip_core.balancing import Balance, entry_counts
from metaclip_core.matching import Matches
from metaclip_core.metadata import Metadata
from metaclip_core.strings import hash_each, to_arrow_strings

from .oracle import plain_draw

N_ENTRIES = 12


def make_balance(lists: list[list[int]], seed: int = 0) -> Balance:
    metadata = Metadata(
        entry_array=pa.array([f"entry {e}" for e in range(N_ENTRIES)], pa.large_string()),
        sources=np.ones(N_ENTRIES, np.uint32),
        source_names=("custom",),
        original_ids=np.arange(N_ENTRIES),
    )
    matches = Matches(
        indptr=np.cumsum([0, *map(len, lists)]).astype(np.int64),
        entry_ids=np.array([e for entries in lists for e in entries], np.int32),
    )
    return Balance(
        matches=matches,
        counts=entry_counts(matches, N_ENTRIES),
        enabled=np.ones(N_ENTRIES, bool),
        identity_hashes=hash_each(to_arrow_strings([f"pool.parquet#{i}" for i in range(len(lists))])),
        entry_hashes=metadata.entry_hashes,
        seed=seed,
    )


def some_lists(n_pairs: int) -> list[list[int]]:
    """Entry e is in a pair with probability 0.6 ** e: counts from nearly all pairs to a few."""
    rng = random.Random(11)
    return [[e for e in range(N_ENTRIES) if rng.random() < 0.6**e] for _ in range(n_pairs)]


def sampled(lists: list[list[int]], counts: list[int], t: float, seed: int) -> set[int]:
    """The pairs that a sampler keeps: at least one entry says yes, by its draw u < min(1, t / c)."""
    return {
        pair
        for pair, entries in enumerate(lists)
        if any(plain_draw(seed, f"pool.parquet#{pair}", f"entry {e}") < min(1, t / counts[e]) for e in entries)
    }


def test_the_sets_are_a_samplers_and_nested() -> None:
    lists = some_lists(600)
    for seed in (0, 3):
        balance = make_balance(lists, seed)
        smaller: set[int] = set()
        for t in (0, 1, 3, 10, 33.3, 100, 600, 1e6):
            kept = set(np.flatnonzero(balance.keep_t < t).tolist())
            assert kept == sampled(lists, balance.counts.tolist(), t, seed)
            assert smaller <= kept
            assert len(kept) == balance.curated_size(t)
            smaller = kept
        assert smaller == {pair for pair, entries in enumerate(lists) if entries}
        assert sampled(lists, balance.counts.tolist(), 100, 4) != kept


def test_a_pair_is_kept_above_its_keep_t_and_not_at_it() -> None:
    balance = make_balance(some_lists(100))
    for rank, t in enumerate(balance.sorted_keep_t.tolist()):
        assert balance.curated_size(t) == rank
        assert balance.curated_size(math.nextafter(t, math.inf)) == rank + 1
        assert balance.counts_after(t).sum() == sum(
            len(balance.matches.of(pair)) for pair in np.flatnonzero(balance.keep_t < t)
        )


@pytest.mark.parametrize("t", [30.0, 500.0, 9000.0])
def test_the_kept_share_follows_the_probability_in_every_group(t: float) -> None:
    """Pairs of the same entries have the same P(keep): in each group the kept ones are a binomial draw of it."""
    lists = some_lists(60_000)
    balance = make_balance(lists)
    probabilities, kept = balance.keep_probability(t), balance.keep_t < t
    groups: dict[tuple[int, ...], list[int]] = {}
    for pair, entries in enumerate(lists):
        groups.setdefault(tuple(entries), []).append(pair)
    large = [pairs for pairs in groups.values() if len(pairs) >= 50]
    assert len(large) > 50
    deviations = []
    for pairs in large:
        probability = probabilities[pairs[0]]
        assert probabilities[pairs].tolist() == [probability] * len(pairs)
        spread = math.sqrt(len(pairs) * probability * (1 - probability))
        if spread < 1e-6:
            assert kept[pairs].sum() == round(len(pairs) * probability)
        else:
            deviations.append((kept[pairs].sum() - len(pairs) * probability) / spread)
    if deviations:
        assert max(map(abs, deviations)) < 5
        assert 0.6 < np.mean(np.square(deviations)) < 1.5  # 1 for independent draws; clustered ones exceed it
