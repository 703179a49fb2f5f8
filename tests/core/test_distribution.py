"""The small tables behind the charts, on a pool that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from metaclip_core import distribution
from metaclip_core.balancing import Balance
from metaclip_core.errors import SettingsError
from metaclip_core.kernels.sorting import count_below
from metaclip_core.matching import Matches

# entry 0 "a" in pairs 0 1 2 3; 1 "b" in 0 4; 2 "c" in 2; 3 "d" in none; 4 "off" in 4, switched off; pair 5 matches none
ROWS = [[0, 1], [0], [0, 2], [0], [1, 4], []]
ENTRIES = pl.DataFrame(
    {
        "entry": ["a", "b", "c", "d", "off"],
        "sources": [["x"], ["x", "y"], ["y"], ["y"], ["z"]],
        "count": [4, 2, 1, 0, 1],
    }
)
NAMES = ("x", "y", "z")
MASKS = np.array([0b001, 0b011, 0b010, 0b010, 0b100], np.uint32)  # the same: a bit a source
KEEP_T = [0.5, 3.5, 0.25, 1.5, 0.75, math.inf]


@pytest.fixture
def balance() -> Balance:
    matches = Matches(
        indptr=np.cumsum([0, *map(len, ROWS)]).astype(np.int64),
        entry_ids=np.array([entry for row in ROWS for entry in row], np.int32),
    )
    made = Balance(
        matches=matches,
        counts=np.array([4, 2, 1, 0, 1]),
        enabled=np.array([True, True, True, True, False]),
        identity_hashes=np.arange(6, dtype=np.uint64),
        entry_hashes=np.arange(5, dtype=np.uint64),
    )
    made.__dict__["_decision"] = (np.array(KEEP_T), np.array([1, 0, 2, 0, 1, -1], np.int32))  # draws told by hand
    return made


@pytest.fixture
def nothing() -> Balance:
    return Balance(
        matches=Matches(indptr=np.zeros(1, np.int64), entry_ids=np.zeros(0, np.int32)),
        counts=np.zeros(2, np.int64),
        enabled=np.ones(2, bool),
        identity_hashes=np.zeros(0, np.uint64),
        entry_hashes=np.arange(2, dtype=np.uint64),
    )


def zipf(n: int) -> Balance:
    counts = (100_000 // np.arange(1, n + 1)).astype(np.int64)
    return Balance(
        matches=Matches(indptr=np.zeros(1, np.int64), entry_ids=np.zeros(0, np.int32)),
        counts=counts,
        enabled=np.ones(n, bool),
        identity_hashes=np.zeros(0, np.uint64),
        entry_hashes=np.arange(n, dtype=np.uint64),
    )


def test_funnel() -> None:
    assert distribution.funnel(6, 5, 3).rows() == [("pool", 6, 1.0), ("matched", 5, 5 / 6), ("curated", 3, 0.5)]


def test_funnel_of_an_empty_pool() -> None:
    assert distribution.funnel(0, 0, 0).rows() == [("pool", 0, 0.0), ("matched", 0, 0.0), ("curated", 0, 0.0)]


@pytest.mark.parametrize(("t", "head"), [(0, 3), (1, 3), (2, 2), (2.5, 1), (4, 1), (4.5, 0), (math.inf, 0)])
def test_head_entries_reach_t(balance: Balance, t: float, head: int) -> None:
    assert distribution.head_entries(balance, t) == head
    assert distribution.matched_entries(balance) == 3


def test_source_totals(balance: Balance) -> None:
    table = distribution.source_totals(MASKS, NAMES, balance, 1.0)
    # source, entries, first, enabled, matched, before, share, after: pairs 0, 2 and 4 are kept
    assert table.rows() == [
        ("x", 2, 2, 2, 2, 6, 6 / 7, 4),
        ("y", 3, 2, 3, 2, 3, 3 / 7, 3),
        ("z", 1, 1, 0, 0, 0, 0.0, 0),
    ]


def test_source_without_an_entry_has_its_row(balance: Balance) -> None:
    table = distribution.source_totals(MASKS << 1, ("none", *NAMES), balance, 1.0)
    assert table.row(0) == ("none", 0, 0, 0, 0, 0, 0.0, 0)


def test_rank_frequency_keeps_the_three_curves_apart(balance: Balance) -> None:
    table = distribution.rank_frequency(balance, 1.0)
    assert table.columns == ["rank", "entry_id", "before", "cap", "after"]
    assert table.rows() == [(1, 0, 4, 1.0, 2), (2, 1, 2, 1.0, 2), (3, 2, 1, 1.0, 1)]


def test_cumulative_counts(balance: Balance) -> None:
    table = distribution.cumulative_counts(balance, 1.5)
    assert table.columns == ["position", "entry_id", "count", "before", "cap"]
    assert table.rows() == [(1, 2, 1, 1, 1.0), (2, 1, 2, 3, 2.5), (3, 0, 4, 7, 4.0)]


def test_infinite_t_caps_nothing(balance: Balance) -> None:
    assert distribution.rank_frequency(balance, math.inf)["cap"].to_list() == [4.0, 2.0, 1.0]
    assert distribution.cumulative_counts(balance, math.inf)["cap"].to_list() == [1.0, 3.0, 7.0]


def test_curves_of_many_entries_are_thinned_and_keep_both_ends() -> None:
    balance, counts = zipf(50_000), 100_000 // np.arange(1, 50_001)
    ranks = distribution.rank_frequency(balance, 20.0, max_points=300)
    assert len(ranks) <= 300
    assert ranks["rank"].to_list()[:3] == [1, 2, 3]
    assert ranks["rank"][-1] == 50_000
    assert ranks["before"].to_list() == counts[ranks["rank"].to_numpy() - 1].tolist()
    sums = distribution.cumulative_counts(balance, 20.0, max_points=300)
    assert len(sums) <= 300
    assert (sums["position"][0], sums["position"][-1]) == (1, 50_000)
    assert sums["before"][-1] == counts.sum()
    assert sums["cap"][-1] == np.minimum(counts, 20).sum()
    assert sums["position"].to_list()[-3:] == [49_998, 49_999, 50_000]


def test_size_curve(balance: Balance) -> None:
    table = distribution.size_curve(balance, 7)
    assert table.columns == ["t", "curated", "curated_share", "tail_share"]
    assert table["t"].to_list() == [1, 1.5, 2, 3, 4, 6]  # two steps to a doubling; 4 is the largest count
    assert table["curated"].to_list() == [3, 3, 4, 4, 5, 5]
    assert table["curated_share"].to_list() == [0.6, 0.6, 0.8, 0.8, 1.0, 1.0]
    assert table["tail_share"].to_list() == pytest.approx([0.0, 1 / 7, 1 / 7, 3 / 7, 3 / 7, 1.0])
    assert distribution.size_curve(balance, 2)["t"].to_list() == [1, 2, 4, 8]  # at least one


@pytest.mark.parametrize("per_doubling", [1, 8, 1024])
def test_sizes_of_a_ladder_are_those_at_each_t(per_doubling: int) -> None:
    keep_t = np.concatenate([np.exp(np.random.default_rng(3).normal(4, 4, 200_000)), [0.0, 1.0, 2.0, 96.0, math.inf]])
    ts, sizes = count_below(keep_t, first=1.0, stop=97.0, per_doubling=per_doubling)
    assert ts[:2].tolist() == [1.0, 1 + 1 / per_doubling]
    assert ts[-2] < 97 <= ts[-1]
    assert (np.diff(ts) > 0).all()
    assert sizes.tolist() == [np.count_nonzero(keep_t < t) for t in ts]


def test_top_entries(balance: Balance) -> None:
    table = distribution.top_entries(ENTRIES, balance, 1.0, 2)
    assert table.rows() == [(0, "a", ["x"], 4, 1.0, 2, 0.25), (1, "b", ["x", "y"], 2, 1.0, 2, 0.5)]


def test_matches_per_pair_counts_enabled_entries(balance: Balance) -> None:
    assert distribution.matches_per_pair(balance.outcome(1.0)).rows() == [(0, 1, 0), (1, 3, 1), (2, 2, 2)]


def test_nothing_matched_gives_empty_tables(nothing: Balance) -> None:
    entries = ENTRIES.head(2)
    assert len(distribution.rank_frequency(nothing, 1.0)) == 0
    assert len(distribution.cumulative_counts(nothing, 1.0)) == 0
    assert len(distribution.top_entries(entries, nothing, 1.0)) == 0
    assert distribution.matches_per_pair(nothing.outcome(1.0)).rows() == [(0, 0, 0)]
    assert distribution.size_curve(nothing, 2)["curated"].to_list() == [0, 0]
    assert distribution.source_totals(MASKS[:2], NAMES, nothing, 1.0)["share"].to_list() == [0.0, 0.0, 0.0]


def test_refusals(balance: Balance) -> None:
    with pytest.raises(SettingsError, match="2 entries"):
        distribution.top_entries(ENTRIES.head(2), balance, 1.0)
    with pytest.raises(SettingsError, match="2 points"):
        distribution.rank_frequency(balance, 1.0, max_points=1)
    with pytest.raises(SettingsError, match="2 points"):
        distribution.size_curve(balance, 1)
    with pytest.raises(SettingsError, match="threshold"):
        distribution.cumulative_counts(balance, -1)
