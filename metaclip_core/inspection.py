"""Single entries and single pairs of a balanced pool: which pairs carry an entry, what it comes with, why a pair is kept."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import polars as pl
import xxhash

from metaclip_core.balancing import Balance, check_t
from metaclip_core.errors import SettingsError
from metaclip_core.kernels.lookup import count_together, rows_with
from metaclip_core.matching import Matches
from metaclip_core.run import Run

__all__ = ["Span", "companions", "entry_curve", "entry_id_of", "explain", "match_spans", "pairs_of_entry"]

_MARKS = frozenset(",.;:?!`")
_BLANKS = frozenset("\t\n\r")


def entry_id_of(run: Run, entry: str) -> int:
    """The id of an entry by its string. Raises SettingsError when the run's metadata has no such entry."""
    ids = run.entries["entry"].index_of(entry)
    if ids is None:
        raise SettingsError(f"the metadata of {run.name} has no entry {entry!r}; entries are case-sensitive")
    return int(ids)


def pairs_of_entry(matches: Matches, entry_id: int) -> np.ndarray:
    """The numbers of the pairs that carry the entry, ascending: int64 (c_e,)."""
    count = int(np.count_nonzero(matches.entry_ids == entry_id))
    return rows_with(matches.indptr, matches.entry_ids, entry_id, count)


def companions(balance: Balance, entry_id: int, pairs: np.ndarray, n: int = 20) -> pl.DataFrame:
    """The enabled entries that `pairs` (int64, those of the entry) carry most often beside it.

    Columns: `entry_id` int64; `together` int64, pairs that carry both; `share` float64, of `pairs` (0 to 1);
    `before` int64, the companion's own count. At most n rows; equal numbers in the order of ids.
    """
    counts = count_together(balance.matches.indptr, balance.matches.entry_ids, pairs, len(balance.enabled))
    counts[entry_id] = 0
    counts[~balance.enabled] = 0
    ids = np.argsort(-counts, kind="stable")[:n]
    ids = ids[counts[ids] > 0].astype(np.int64)
    return pl.DataFrame(
        {
            "entry_id": ids,
            "together": counts[ids],
            "share": counts[ids] / max(len(pairs), 1),
            "before": balance.counts_before[ids],
        }
    )


def entry_curve(balance: Balance, pairs: np.ndarray, count: int, n_points: int = 200) -> pl.DataFrame:
    """What becomes of one entry as t grows, from 0.01 to just above its count or the largest keep_t of its `pairs`.

    Columns: `t` float64 ascending, `cap` float64, min(c_e, t); `after` int64, its pairs kept at t.
    """
    weights = np.sort(balance.keep_t[pairs])
    largest = float(weights[-1]) if len(weights) and np.isfinite(weights[-1]) else 1.0
    ts = np.geomspace(0.01, max(largest, float(count), 1.0) * 1.05 + 1.0, n_points)
    return pl.DataFrame({"t": ts, "cap": np.minimum(float(count), ts), "after": np.searchsorted(weights, ts)})


def explain(run: Run, balance: Balance, pair: int, t: float) -> pl.DataFrame:
    """The entries that a pair matches and what each says at t, the decisive one first.

    Columns: `entry_id` int64; `entry` str; `sources` list[str]; `enabled` bool; `count` int64, c_e; `yes_probability`
    float64; `u` float64, the draw; `says_yes_above` float64, u * c_e, from which t on it says yes; `says_yes` bool.
    Entries that are off are last, with null draws.
    """
    t, ids = check_t(t), balance.matches.of(pair).astype(np.int64)
    identity = int(balance.identity_hashes[pair])
    draws = np.array([_draw(balance.seed, identity, int(balance.entry_hashes[i])) for i in ids], np.float64)
    counts, enabled = balance.counts[ids].astype(np.int64), balance.enabled[ids]
    weights = draws * counts
    table = run.entries[ids].select(
        pl.Series("entry_id", ids, dtype=pl.Int64),
        "entry",
        "sources",
        pl.Series("enabled", enabled, dtype=pl.Boolean),
        pl.Series("count", counts, dtype=pl.Int64),
        pl.Series("yes_probability", np.minimum(1.0, t / np.maximum(counts, 1)), dtype=pl.Float64),
        pl.Series("u", draws, dtype=pl.Float64),
        pl.Series("says_yes_above", weights, dtype=pl.Float64),
        pl.Series("says_yes", enabled & (weights < t), dtype=pl.Boolean),
    )
    drawn = pl.col("yes_probability", "u", "says_yes_above")
    return table.with_columns(pl.when("enabled").then(drawn)).sort(
        "says_yes_above", "entry_id", nulls_last=True, maintain_order=True
    )


def _draw(seed: int, identity_hash: int, entry_hash: int) -> float:
    """The draw u of docs/algorithm.md."""
    return (xxhash.xxh64_intdigest(struct.pack("<QQQ", seed, identity_hash, entry_hash)) >> 11) * 2.0**-53


@dataclass(frozen=True)
class Span:
    """Characters start .. stop of a text, which an entry matches."""

    start: int
    stop: int
    entry: str


def match_spans(text: str, entries: list[str]) -> list[Span]:
    """Where in the text these entries match (boundary mode `space`), by start, longer ones first; they may overlap.

    A span reaches from the entry's first character to its last, spaces at its ends left out: spacing puts some of them
    (`u . s`) between the text's own.
    """
    spaced, places = [" "], [0]
    for place, character in enumerate(text):
        if character in _MARKS:
            spaced += [" ", character, " "]
            places += [place, place, place + 1]
        else:
            spaced.append(" " if character in _BLANKS else character)
            places.append(place)
    spaced.append(" ")
    places += [len(text), len(text)]
    line = "".join(spaced)
    spans = []
    for entry in dict.fromkeys(entries):
        found = line.find(f" {entry} ")
        while found >= 0:
            first = found + 1 + len(entry) - len(entry.lstrip(" "))
            last = found + len(entry.rstrip(" "))
            start = places[min(first, len(places) - 1)]
            spans.append(Span(start, places[last] + 1 if last >= first else start, entry))
            found = line.find(f" {entry} ", found + 1)
    return sorted(spans, key=lambda span: (span.start, -span.stop, span.entry))
