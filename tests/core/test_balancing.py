"""P(keep), draws, keep_t and what follows from them, against literal figures and the standard xxhash library."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_core.balancing import Balance, entry_counts, keep_probability, keep_thresholds
from metaclip_core.errors import SettingsError
from metaclip_core.kernels.sorting import sort_hashes, sort_weights
from metaclip_core.matching import Matches
from metaclip_core.metadata import Metadata
from metaclip_core.strings import hash_each, to_arrow_strings


def make_metadata(masks: list[int]) -> Metadata:
    return Metadata(
        entry_array=pa.array([f"entry {i}" for i in range(len(masks))], pa.large_string()),
        sources=np.array(masks, np.uint32),
        source_names=("wordnet", "wiki_title"),
        original_ids=np.arange(len(masks)),
    )


def make_matches(lists: list[list[int]]) -> Matches:
    return Matches(
        indptr=np.cumsum([0, *map(len, lists)]).astype(np.int64),
        entry_ids=np.array([i for ids in lists for i in ids], np.int32),
    )


def make_balance(lists: list[list[int]], masks: list[int], *, sources=None, seed: int = 0) -> Balance:
    metadata, matches = make_metadata(masks), make_matches(lists)
    return Balance(
        matches=matches,
        counts=entry_counts(matches, len(masks)),
        enabled=metadata.enabled(sources),
        identity_hashes=hash_each(to_arrow_strings([f"pair {i}" for i in range(len(lists))])),
        entry_hashes=metadata.entry_hashes,
        seed=seed,
    )


def plain_draw(seed: int, identity: str, entry: str) -> float:
    """docs/algorithm.md, with the standard library of the hash."""
    hashes = [xxhash.xxh64_intdigest(word.encode()) for word in (identity, entry)]
    return (xxhash.xxh64_intdigest(struct.pack("<QQQ", seed, *hashes)) >> 11) * 2.0**-53


def published_vectors() -> list[tuple[int, str, str, float]]:
    page = (Path(__file__).resolve().parents[2] / "docs/algorithm.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(.*?)` \| `(.*?)` \| ([\d.]+) \|$", page, re.MULTILINE)
    return [(int(seed), identity, entry, float(u)) for seed, identity, entry, u in rows]


def test_vectors_are_published() -> None:
    assert len(published_vectors()) == 4


@pytest.mark.parametrize(("seed", "identity", "entry", "u"), published_vectors())
def test_published_vectors(seed: int, identity: str, entry: str, u: float) -> None:
    metadata = Metadata(entry_array=pa.array([entry], pa.large_string()), sources=np.ones(1, np.uint32),
                        source_names=("custom",), original_ids=np.zeros(1, np.int64))  # fmt: skip
    got = keep_thresholds(make_matches([[0]]), np.array([1]), metadata=metadata, identities=[identity], seed=seed)
    assert got.tolist() == [u]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=90), min_size=1, max_size=20))
def test_string_hashes_equal_the_xxhash_library(strings: list[str]) -> None:
    expected = [xxhash.xxh64_intdigest(s.encode()) for s in strings]
    assert hash_each(to_arrow_strings(strings)).tolist() == expected


def test_keep_t_is_the_least_weighted_draw() -> None:
    lists, masks = [[0, 1], [1, 2], [], [0, 1, 2], [3]], [1, 2, 3, 2]
    counts = [2, 3, 2, 1]
    for sources, on in ((None, {0, 1, 2, 3}), (["wordnet"], {0, 2}), (["wiki_title"], {1, 2, 3}), ([], set())):
        for seed in (0, 5):
            expected = [min((plain_draw(seed, f"pair {p}", f"entry {e}") * counts[e] for e in ids if e in on), default=math.inf)
                        for p, ids in enumerate(lists)]  # fmt: skip
            balance = make_balance(lists, masks, sources=sources, seed=seed)
            assert balance.keep_t.tolist() == expected
            direct = keep_thresholds(make_matches(lists), balance.counts, metadata=make_metadata(masks),
                                     identities=[f"pair {p}" for p in range(5)], sources=sources, seed=seed)  # fmt: skip
            assert direct.tolist() == expected
            assert [e if e < 0 else e in on for e in balance.deciding_entry] == [
                -1 if x == math.inf else True for x in expected
            ]


@pytest.mark.parametrize("sources", [["wordnet"], ["wiki_title"], ["wordnet", "wiki_title"], []])
def test_fewer_entries_from_a_wider_balance(large: Balance, sources: list[str]) -> None:
    fresh = replace(large, enabled=make_metadata([1 + i % 3 for i in range(400)]).enabled(sources))
    narrowed = replace(fresh, wider=large)
    np.testing.assert_array_equal(narrowed.keep_t, fresh.keep_t)
    np.testing.assert_array_equal(narrowed.deciding_entry, fresh.deciding_entry)
    np.testing.assert_array_equal(narrowed.sorted_keep_t, fresh.sorted_keep_t)


@pytest.mark.parametrize("change", ["seed", "counts", "enabled", "matches"])
def test_no_wider_balance(change: str) -> None:
    wide = make_balance([[0, 1], [1]], [1, 2])
    other = {
        "seed": {"seed": 1},
        "counts": {"counts": wide.counts + 1},
        "enabled": {"enabled": np.array([True, False])},
        "matches": {"matches": make_matches([[0, 1], [1, 0]])},
    }
    with pytest.raises(SettingsError, match="the same pool, counts and seed, and at least these entries"):
        replace(wide, wider=replace(wide, **other[change]))


def test_probabilities_by_hand() -> None:
    matches, counts = make_matches([[0], [1], [0, 1], []]), np.array([4, 10])
    assert keep_probability(matches, counts, 2).tolist() == pytest.approx([0.5, 0.2, 1 - 0.5 * 0.8, 0.0])
    assert keep_probability(matches, counts, 0).tolist() == [0, 0, 0, 0]
    assert keep_probability(matches, counts, math.inf).tolist() == [1, 1, 1, 0]


@pytest.fixture(scope="module")
def large() -> Balance:
    """60,000 pairs over 400 entries of Zipf counts, every seventh pair without a match."""
    rng = np.random.default_rng(1)
    lists = [sorted(set((rng.zipf(1.3, rng.integers(1, 6)) - 1) % 400)) if i % 7 else [] for i in range(60_000)]
    return make_balance(lists, [1 + i % 3 for i in range(400)])


def test_draws_are_uniform_and_independent() -> None:
    n = 200_000
    ids = hash_each(to_arrow_strings([f"pair {i}" for i in range(n)]))
    metadata = make_metadata([1, 1])
    draws = [
        keep_thresholds(Matches(indptr=np.arange(n + 1), entry_ids=np.full(n, e, np.int32)), np.array([1, 1]),
                        metadata=metadata, identities=ids, seed=seed)
        for e in (0, 1) for seed in (0, 1)
    ]  # fmt: skip
    for u in draws:
        assert u.min() >= 0
        assert u.max() < 1
        buckets = np.histogram(u, 100, (0, 1))[0]
        assert ((buckets - n / 100) ** 2 / (n / 100)).sum() < 160  # chi-square, 99 degrees: p < 1e-4 beyond 160
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / math.sqrt(n)
    for i in range(4):
        for j in range(i):
            assert abs(np.corrcoef(draws[i], draws[j])[0, 1]) < 5 / math.sqrt(n)


def test_kept_share_follows_the_probability(large: Balance) -> None:
    for t in (0.5, 5, 50, 5000):
        probs = large.keep_probability(t)
        deviation = math.sqrt((probs * (1 - probs)).sum())
        assert abs(large.curated_size(t) - large.expected_size(t)) < 5 * deviation + 1e-6
        assert large.curated_size(t) == (large.keep_t < t).sum()


def test_order_of_pairs_changes_nothing(large: Balance) -> None:
    order = np.random.default_rng(2).permutation(len(large.matches))
    lists = [large.matches.of(i).tolist() for i in order]
    shuffled = Balance(matches=make_matches(lists), counts=large.counts, enabled=large.enabled,
                       identity_hashes=large.identity_hashes[order], entry_hashes=large.entry_hashes)  # fmt: skip
    np.testing.assert_array_equal(shuffled.keep_t, large.keep_t[order])


def test_sizes_and_thresholds_are_inverse(large: Balance) -> None:
    for n in (0, 1, 17, 20_000, large.matched_pairs):
        assert large.curated_size(large.t_for_size(n)) == n
    with pytest.raises(SettingsError, match="curated size"):
        large.t_for_size(large.matched_pairs + 1)
    with pytest.raises(SettingsError, match="curated size"):
        large.t_for_size(-1)


def test_ties_give_the_nearest_size() -> None:
    balance = make_balance([[0], [0], [0], [0]], [1])
    tied = Balance(matches=balance.matches, counts=balance.counts, enabled=balance.enabled,
                   identity_hashes=np.full(4, 7, np.uint64), entry_hashes=balance.entry_hashes)  # fmt: skip
    assert [tied.curated_size(tied.t_for_size(n)) for n in range(5)] == [0, 0, 4, 4, 4]


def test_tail_share(large: Balance) -> None:
    counts = large.counts_before
    for t in (0, 1, 2, 10, 100.5, 1e9):
        assert large.tail_share(t) == pytest.approx(counts[counts < t].sum() / counts.sum())
    for p in (0.0, 0.06, 0.5, 1.0):
        t = large.t_for_tail_share(p)
        best = min(abs(large.tail_share(u) - p) for u in [0, *(counts + 1)])
        assert abs(large.tail_share(t) - p) == pytest.approx(best)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        large.t_for_tail_share(6)


def test_counts_after(large: Balance) -> None:
    for t in (0, 3.5, math.inf):
        expected = np.zeros(400, np.int64)
        for pair in np.flatnonzero(large.keep_t < t):
            expected[large.matches.of(pair)] += 1
        np.testing.assert_array_equal(large.counts_after(t), expected)


@pytest.mark.parametrize("t", [0, 3.5, 20.0, math.inf])
@pytest.mark.parametrize("off", [(), (0, 1, 5, 399)])
def test_outcome(large: Balance, t: float, off: tuple[int, ...]) -> None:
    enabled = np.ones(400, np.bool_)
    enabled[list(off)] = False
    balance = replace(large, enabled=enabled)
    outcome = balance.outcome(t)
    np.testing.assert_array_equal(outcome.counts_after, balance.counts_after(t))
    assert outcome.counts_after[list(off)].sum() == 0
    assert outcome.expected_size == pytest.approx(balance.keep_probability(t).sum(), rel=1e-12)
    n_on = [int(enabled[balance.matches.of(pair)].sum()) for pair in range(len(balance.matches))]
    assert outcome.pairs_by_matches.tolist() == np.bincount(n_on).tolist()
    kept = np.array(n_on)[balance.keep_t < t]
    assert outcome.curated_by_matches.tolist() == np.bincount(kept, minlength=max(n_on) + 1).tolist()


@pytest.mark.parametrize("t", [-1, math.nan, "many"])
def test_no_threshold(large: Balance, t) -> None:
    with pytest.raises(SettingsError, match="threshold t must be"):
        large.curated_size(t)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True])
def test_no_seed(seed) -> None:
    with pytest.raises(SettingsError, match="seed must be"):
        make_balance([[0]], [1], seed=seed)


def test_unknown_source() -> None:
    with pytest.raises(SettingsError, match="unknown source 'wiki'; this metadata has: wordnet, wiki_title"):
        make_metadata([1]).enabled(["wiki"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(min_value=0, allow_nan=False) | st.sampled_from([0.0, 1.0, 5e-324, math.inf]), max_size=300))
def test_weights_are_sorted(values: list[float]) -> None:
    weights = np.array(values, np.float64)
    np.testing.assert_array_equal(sort_weights(weights), np.sort(weights[np.isfinite(weights)]))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_many_are_sorted_however_they_lie(n_threads: int) -> None:
    """More than a thread takes, in many buckets, and with most of them in one."""
    rng, n = np.random.default_rng(7), 300_000
    log_normal = np.exp(rng.normal(0, 9, n))
    outliers = np.where(rng.random(n) < 0.001, 1e-300, 5.0 + rng.random(n) * 1e-12)
    mostly_off = np.where(rng.random(n) < 0.99, np.inf, rng.random(n) * 1e6)
    for weights in (log_normal, outliers, mostly_off, np.full(n, np.inf), np.full(n, 2.5), np.zeros(n)):
        before = weights.copy()
        np.testing.assert_array_equal(sort_weights(weights, n_threads=n_threads), np.sort(before[before < np.inf]))
        np.testing.assert_array_equal(weights, before)
    hashes = rng.integers(0, 2**64, n, np.uint64)
    hashes[::5] = 2**64 - 1
    np.testing.assert_array_equal(sort_hashes(hashes, n_threads=n_threads), np.sort(hashes))
