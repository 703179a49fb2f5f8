"""What a new threshold, and a new set of sources, cost: `python benchmarks/balancing.py`.

Pairs are generated: matches Zipf-distributed over the entries, about six a pair. Beside it, in the same run, the
authors' numpy way (facebookresearch/MetaCLIP, metaclip1/indexing/balance_sampling.py): each new t draws anew for every
match of the inverted index, and the size is known only then. With --run, an existing run is measured instead.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import common
import numpy as np

from metaclip_core.balancing import Balance
from metaclip_core.kernels.sorting import sort_weights
from metaclip_core.matching import Matches
from metaclip_core.run import open_run

N_SOURCES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number = {"type": lambda text: int(float(text)), "metavar": "N"}
    parser.add_argument("--pairs", default=10_000_000, **number)
    parser.add_argument("--entries", default=500_000, **number)
    parser.add_argument("--matches-per-pair", type=int, default=6)
    parser.add_argument("--run", type=Path, help="a run directory, instead of generated pairs")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; each task's best counts (5)")
    options = parser.parse_args()
    print(common.describe_machine())

    if options.run:
        open_run(options.run).matches()
        start = time.perf_counter()
        balance = (run := open_run(options.run)).balance()
        print(f"{options.run.name} opened in {time.perf_counter() - start:.2f} s, its index was there")
        first = run.balance(sources=run.source_names[:1]).enabled
    else:
        balance, first = generate(options.pairs, options.entries, options.matches_per_pair)
    counts, matches = balance.counts, balance.matches
    t = float(np.sort(counts)[-len(counts) // 50])  # one entry in fifty is head
    print(
        f"{len(matches):,} pairs, {len(matches.entry_ids):,} matches, {len(counts):,} entries, t = {t:,.0f}; best of "
        f"{options.repeats} interleaved rounds; processor time is of all threads together\n"
    )
    inverted = np.empty((len(matches.entry_ids), 2), np.uint32)  # the authors' index: (entry, pair) a row
    inverted[:, 0] = matches.entry_ids
    inverted[:, 1] = np.repeat(np.arange(len(matches), dtype=np.uint32), np.diff(matches.indptr))
    before = common.resident_mb()
    balance.curated_size(t)

    def switched(enabled: np.ndarray, wider: Balance | None) -> None:
        replace(balance, enabled=enabled, wider=wider).curated_size(t)

    tasks = {
        "curated_size(t)": lambda: balance.curated_size(t),
        "counts_after(t)": lambda: balance.counts_after(t),
        "expected_size(t)": lambda: balance.expected_size(t),
        "a source off: keep_t, sort, size": lambda: switched(~first, balance),
        "the others off: keep_t, sort, size": lambda: switched(first, balance),
        "the same, not from all sources' keep_t": lambda: switched(first, None),
        "the sort of keep_t alone": lambda: sort_weights(balance.keep_t),
        "numpy's sort of it": lambda: np.sort(balance.keep_t),
        "reference: sample at t (the size, drawn)": lambda: sample(counts, inverted, t),
    }
    timings = common.time_interleaved(tasks, repeats=options.repeats)
    slow = timings["reference: sample at t (the size, drawn)"]
    rows = [
        (name, f"{timing.wall_s * 1000:.3g} ms", f"{timing.cpu_s * 1000:.3g} ms", f"{slow.cpu_s / timing.cpu_s:,.1f}x")
        for name, timing in timings.items()
    ]
    print(common.table(rows, ["task", "clock", "processor time", "than the reference's"]))
    size, drawn = balance.curated_size(t), len(sample(counts, inverted, t))
    print(
        f"\nkept at t: {size:,} by keep_t, {drawn:,} in one draw of the reference, {balance.expected_size(t):,.0f} expected"
    )
    print(f"memory beyond the matches: {common.resident_mb() - before:.0f} MB now, from the operating system")


def generate(n_pairs: int, n_entries: int, per_pair: int) -> tuple[Balance, np.ndarray]:
    """(a balance of generated matches, the entries of one source)."""
    rng = np.random.default_rng(2309)
    power = -0.1  # ranks with a density that falls as rank ** -1.1
    entry_ids = np.empty(n_pairs * per_pair, np.int32)
    for first in range(0, len(entry_ids), 2**22):
        draws = rng.random(min(2**22, len(entry_ids) - first))
        ranks = (((n_entries + 1) ** power - 1) * draws + 1) ** (1 / power) - 1
        entry_ids[first : first + len(draws)] = np.minimum(ranks, n_entries - 1)
    entry_ids = rng.permutation(n_entries).astype(np.int32)[entry_ids]  # frequent entries are not neighbours
    balance = Balance(
        matches=Matches(indptr=np.arange(0, len(entry_ids) + 1, per_pair), entry_ids=entry_ids),
        counts=np.bincount(entry_ids, minlength=n_entries),
        enabled=np.ones(n_entries, bool),
        identity_hashes=rng.integers(0, 2**64, n_pairs, np.uint64),
        entry_hashes=rng.integers(0, 2**64, n_entries, np.uint64),
    )
    return balance, rng.integers(0, N_SOURCES, n_entries) == 0


def sample(entry_count: np.ndarray, inverted: np.ndarray, t: float) -> np.ndarray:
    """The authors' balance_sampling: the pairs that one draw at t keeps."""
    entry_id_count = entry_count[inverted[:, 0]]
    entry_id_count[entry_id_count < t] = t
    entry_probs = t / entry_id_count
    selected = np.random.random_sample((inverted.shape[0],)) < entry_probs
    return np.sort(np.unique(inverted[:, 1][selected]))


if __name__ == "__main__":
    main()
