"""What a threshold t does to the distribution of entries: a `Balance` made into small tables, for charts and reports.

"After balancing" is three numbers an entry, kept apart everywhere here: *before*, the pairs of the pool that it matches
(c_e); *cap*, min(c_e, t), which the paper's figure draws; *after*, the curated pairs that really carry it.
The curated size is no sum of these, because one pair carries several entries.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from metaclip_core.balancing import Balance, Outcome, check_t
from metaclip_core.errors import SettingsError

__all__ = [
    "PAPER_MATCHED_PAIRS",
    "PAPER_T",
    "PAPER_TAIL_SHARE",
    "cumulative_counts",
    "default_t",
    "entry_table",
    "flatness",
    "funnel",
    "head_entries",
    "matched_entries",
    "matches_per_pair",
    "rank_frequency",
    "size_curve",
    "source_totals",
    "t_for_pool_size",
    "top_entries",
]

PAPER_T = 20_000.0
PAPER_MATCHED_PAIRS = 1.6e9
"""The paper's threshold, for 400 million pairs out of 1.6 billion."""

_SHARE_OF_LOG_POINTS = 0.5  # of a cumulative curve's points; the others are evenly spaced

PAPER_TAIL_SHARE = 0.06
"""The tail's share of all matches at the paper's t, by which MetaCLIP 2 chooses t for other pools."""


def default_t(balance: Balance) -> float:
    """The whole t whose tail share is nearest to the paper's, but one with a tail; 1 for a run without a match."""
    try:
        t = balance.t_for_tail_share(PAPER_TAIL_SHARE)
    except SettingsError:
        return 1.0
    if balance.tail_share(t) > 0:
        return t
    counts = balance.counts_before
    return float(counts[counts > 0].min() + 1)  # a small pool: its rarest entries already exceed that share


def matched_entries(balance: Balance) -> int:
    """How many enabled entries match a pair."""
    return int(np.count_nonzero(balance.counts_before))


def head_entries(balance: Balance, t: float) -> int:
    """How many entries with a match are sampled down at t or just reach it: those with c_e >= t."""
    counts = balance.counts_before
    return int(np.count_nonzero((counts > 0) & (counts >= check_t(t))))


def funnel(pairs: int, matched: int, curated: int) -> pl.DataFrame:
    """From the pool to the curated set: a row each for `pool`, `matched` and `curated`.

    Columns: `stage` str, `pairs` int64, `share` float64, of the pool's pairs (0 to 1; 0 for an empty pool).
    """
    numbers = [pairs, matched, curated]
    shares = [number / pairs if pairs else 0.0 for number in numbers]
    return pl.DataFrame(
        {"stage": ["pool", "matched", "curated"], "pairs": numbers, "share": shares},
        schema={"stage": pl.String, "pairs": pl.Int64, "share": pl.Float64},
    )


def source_totals(
    masks: np.ndarray,
    source_names: tuple[str, ...],
    balance: Balance,
    t: float,
    *,
    after: np.ndarray | None = None,
) -> pl.DataFrame:
    """A row a source, in the order of `source_names`. An entry of several sources counts for each of them.

    `masks`: uint32 (n_entries,), bit i for source i (`Run.source_masks`). `after`: `balance.counts_after(t)`, where it is
    at hand.

    Columns: `source` str; `entries` int64; `first_entries` int64, the paper's way of counting: those that no earlier
    source has; `enabled_entries` and `matched_entries` int64; `matches_before` int64; `share` float64, of all matches of
    enabled entries (0 to 1; the shares of overlapping sources add up to more than 1); `matches_after` int64.
    """
    _check_entries(masks, balance)
    before = balance.counts_before
    after = balance.counts_after(t) if after is None else after
    few = (  # a row a combination of sources
        pl.DataFrame({"mask": masks, "enabled": balance.enabled, "before": before, "after": after})
        .group_by("mask")
        .agg(
            pl.len().cast(pl.Int64).alias("entries"),
            pl.col("enabled").sum().cast(pl.Int64).alias("enabled_entries"),
            (pl.col("before") > 0).sum().cast(pl.Int64).alias("matched_entries"),
            pl.col("before").sum().alias("matches_before"),
            pl.col("after").sum().alias("matches_after"),
        )
    )
    total, rows = balance.n_matches, []
    for bit, source in enumerate(source_names):
        of_source = few.filter(pl.Series(few["mask"].to_numpy() >> np.uint32(bit) & 1 == 1))
        sums = of_source.select(pl.exclude("mask").sum()).row(0, named=True)
        is_first = of_source["mask"].to_numpy() & np.uint32((1 << bit) - 1) == 0
        first = int(of_source["entries"].to_numpy()[is_first].sum())
        rows.append({"source": source, "first_entries": first, "share": sums["matches_before"] / max(total, 1), **sums})
    schema = {
        "source": pl.String,
        "entries": pl.Int64,
        "first_entries": pl.Int64,
        "enabled_entries": pl.Int64,
        "matched_entries": pl.Int64,
        "matches_before": pl.Int64,
        "share": pl.Float64,
        "matches_after": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema)


def rank_frequency(
    balance: Balance, t: float, max_points: int = 2000, *, after: np.ndarray | None = None
) -> pl.DataFrame:
    """The matched entries by descending count; at most `max_points` of them, log-spaced in rank, first and last with.

    Entries of equal counts are in the order of their ids. `after`: `balance.counts_after(t)`, where it is at hand.

    Columns: `rank` int64 from 1, `entry_id` int64, `before` int64, `cap` float64, `after` int64.
    """
    t, before = check_t(t), balance.counts_before
    order = balance.entries_by_count
    ranks = _log_spaced(len(order), max_points)
    ids = order[ranks - 1]
    after = balance.counts_after(t) if after is None else after
    return pl.DataFrame(
        {
            "rank": ranks,
            "entry_id": ids,
            "before": before[ids],
            "cap": np.minimum(before[ids].astype(np.float64), t),
            "after": after[ids],
        }
    )


def cumulative_counts(balance: Balance, t: float, max_points: int = 2000) -> pl.DataFrame:
    """The paper's figure: the matched entries by ascending count, and the sum of counts up to and with each.

    At most `max_points` rows, half of them evenly spaced and half denser towards the most frequent entry.

    Columns: `position` int64 from 1, `entry_id` int64, `count` int64 (that entry's own), `before` int64 (running sum of
    c_e), `cap` float64 (running sum of min(c_e, t)).
    """
    t, counts = check_t(t), balance.counts_before
    order = balance.entries_by_count[::-1]
    n, ordered = len(order), counts[order]
    if n <= max_points:
        positions = np.arange(1, n + 1, dtype=np.int64)
    else:
        n_log = max(2, int(max_points * _SHARE_OF_LOG_POINTS))
        even = np.linspace(1, n, max(0, max_points - n_log)).round().astype(np.int64)
        positions = np.unique(np.concatenate([even, n + 1 - _log_spaced(n, n_log)]))
    return pl.DataFrame(
        {
            "position": positions,
            "entry_id": order[positions - 1],
            "count": ordered[positions - 1],
            "before": np.cumsum(ordered)[positions - 1],
            "cap": np.cumsum(np.minimum(ordered.astype(np.float64), t))[positions - 1],
        }
    )


def size_curve(balance: Balance, max_points: int = 200) -> pl.DataFrame:
    """Curated size and tail share over t, from 1 to just above the largest count, where all is kept.

    As many even steps to each doubling of t as `max_points` allow, a power of two; at least one.

    Columns: `t` float64 ascending, `curated` int64, `curated_share` float64 of the matched pairs, `tail_share` float64.
    """
    _check_points(max_points)
    n_doublings = max(int(balance.counts_before.max(initial=0)), 1).bit_length()
    per_doubling = 1 << (max(1, (max_points - 1) // n_doublings).bit_length() - 1)
    ts, sizes = balance.curated_sizes(per_doubling)
    return pl.DataFrame(
        {
            "t": ts,
            "curated": sizes,
            "curated_share": sizes / max(balance.matched_pairs, 1),
            "tail_share": np.array([balance.tail_share(t) for t in ts], np.float64),
        }
    )


def top_entries(
    entries: pl.DataFrame, balance: Balance, t: float, n: int = 20, *, after: np.ndarray | None = None
) -> pl.DataFrame:
    """The n matched entries with the largest counts, the largest first; equal counts in the order of ids.

    Columns: `entry_id` int64, `entry` str, `sources` list[str], `before` int64, `cap` float64, `after` int64,
    `yes_probability` float64, min(1, t / c_e).
    """
    _check_entries(entries, balance)
    t, before = check_t(t), balance.counts_before
    ids = balance.entries_by_count[: max(n, 0)]
    after = balance.counts_after(t) if after is None else after
    counts = before[ids]
    cap = np.minimum(counts.astype(np.float64), t)
    return entries[ids].select(
        pl.Series("entry_id", ids, dtype=pl.Int64),
        "entry",
        "sources",
        pl.Series("before", counts, dtype=pl.Int64),
        pl.Series("cap", cap, dtype=pl.Float64),
        pl.Series("after", after[ids], dtype=pl.Int64),
        pl.Series("yes_probability", cap / np.maximum(counts, 1), dtype=pl.Float64),
    )


def entry_table(entries: pl.DataFrame, balance: Balance, t: float, *, after: np.ndarray | None = None) -> pl.DataFrame:
    """Every enabled entry at t, in the order of ids.

    Columns: `entry_id` int64; `entry` str; `sources` list[str]; `before` int64; `cap` float64; `after` int64;
    `yes_probability` float64, min(1, t / c_e); `rank` int64 by descending count, from 1, null without a match;
    `status` str: `head` (c_e >= t), `tail`, or `never matched`.
    """
    _check_entries(entries, balance)
    t, before = check_t(t), balance.counts_before
    order = balance.entries_by_count
    ranks = np.zeros(len(before), np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    after = balance.counts_after(t) if after is None else after
    counts = pl.col("before")
    return (
        entries.select(
            pl.Series("entry_id", np.arange(len(before), dtype=np.int64)),
            "entry",
            "sources",
            pl.Series("before", before, dtype=pl.Int64),
            pl.Series("after", after, dtype=pl.Int64),
            pl.Series("rank", ranks, dtype=pl.Int64).replace(0, None),
        )
        .filter(pl.Series(balance.enabled))
        .with_columns(
            pl.min_horizontal(counts.cast(pl.Float64), pl.lit(t)).alias("cap"),
            pl.min_horizontal(pl.lit(1.0), pl.lit(t) / pl.max_horizontal(counts, 1)).alias("yes_probability"),
            pl.when(counts == 0)
            .then(pl.lit("never matched"))
            .when(counts >= t)
            .then(pl.lit("head"))
            .otherwise(pl.lit("tail"))
            .alias("status"),
        )
        .select("entry_id", "entry", "sources", "before", "cap", "after", "yes_probability", "rank", "status")
    )


def flatness(counts: np.ndarray) -> dict[str, float]:
    """How flat a distribution over entries is; entries of count 0 are left out.

    `entries`; `entropy_bits`, -sum p log2 p with p = c_e / sum of c; `effective_entries`, 2**entropy: as many entries of
    equal counts have that entropy; `gini`, 0 for equal counts, towards 1 when one entry has all. Zeros for no counts.
    """
    ordered = np.sort(counts[counts > 0]).astype(np.float64)
    n = len(ordered)
    if not n:
        return {"entries": 0.0, "entropy_bits": 0.0, "effective_entries": 0.0, "gini": 0.0}
    share = ordered / ordered.sum()
    entropy = float(-(share * np.log2(share)).sum())
    gini = float((2 * np.arange(1, n + 1) - n - 1) @ share / n)
    return {"entries": float(n), "entropy_bits": entropy, "effective_entries": 2**entropy, "gini": gini}


def t_for_pool_size(balance: Balance) -> float:
    """The paper's t in proportion to the pool: 20,000 x matched pairs / 1.6 billion, often below 1."""
    return PAPER_T * balance.matched_pairs / PAPER_MATCHED_PAIRS


def matches_per_pair(outcome: Outcome) -> pl.DataFrame:
    """How many enabled entries the pairs match: a row for each number from 0 to the largest.

    Columns: `matches` int64, `pairs` int64 (of the pool), `curated` int64 (of those kept at t).
    """
    pairs = outcome.pairs_by_matches
    return pl.DataFrame(
        {"matches": np.arange(len(pairs), dtype=np.int64), "pairs": pairs, "curated": outcome.curated_by_matches},
        schema={"matches": pl.Int64, "pairs": pl.Int64, "curated": pl.Int64},
    )


def _check_entries(entries: pl.DataFrame | np.ndarray, balance: Balance) -> None:
    if len(entries) != len(balance.enabled):
        raise SettingsError(f"the table has {len(entries):,} entries, the balance {len(balance.enabled):,}")


def _log_spaced(n: int, max_points: int) -> np.ndarray:
    """Distinct whole numbers from 1 to n, both with, at most `max_points`: int64."""
    _check_points(max_points)
    if n <= max_points:
        return np.arange(1, n + 1, dtype=np.int64)
    return np.unique(np.geomspace(1, n, max_points).round().astype(np.int64))


def _check_points(max_points: int) -> None:
    if max_points < 2:
        raise SettingsError(f"a curve has at least 2 points, got {max_points}")
