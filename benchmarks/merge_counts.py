"""What the driver does for a pool of many shards: `python benchmarks/merge_counts.py`.

Counts of 100,000 shards are merged as `metaclip curate` merges them: 64 at a time, in a tree. Each shard's counts are
generated (Zipf over the entries, as if of so many pairs); the sum is checked against one that is added up directly.
Then, of a pool whose keep_t doesn't fit the memory it is given, how many pairs are kept at some t: from the parts' own
keep_t, part by part, which is exact.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import common
import numpy as np

GROUP = 64
PART_PAIRS = 250_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number = {"type": lambda text: int(float(text)), "metavar": "N"}
    parser.add_argument("--shards", default=100_000, **number)
    parser.add_argument("--entries", default=500_000, **number)
    parser.add_argument("--matches", default=100_000, help="of a shard (16,000 pairs at 6 matches)", **number)
    parser.add_argument("--pairs", default=50_000_000, help="of the pool whose keep_t are looked through", **number)
    options = parser.parse_args()
    print(common.describe_machine(), "\n")
    merge(options.shards, options.entries, options.matches)
    count_from_parts(options.pairs)


def shard_matches(rng: np.random.Generator, n_entries: int, n_matches: int) -> np.ndarray:
    power = -0.1
    ranks = (((n_entries + 1) ** power - 1) * rng.random(n_matches) + 1) ** (1 / power) - 1
    return np.minimum(ranks, n_entries - 1).astype(np.int64)


def merge(n_shards: int, n_entries: int, n_matches: int) -> None:
    rng = np.random.default_rng(2309)
    drawn = [shard_matches(rng, n_entries, n_matches) for _ in range(GROUP)]  # used again and again: only sums matter
    direct = np.zeros(n_entries, np.int64)
    for i in range(GROUP):
        direct += np.bincount(drawn[i], minlength=n_entries) * (n_shards // GROUP + (i < n_shards % GROUP))
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        task_s, n_tasks, level, n_below = [], 0, 0, n_shards
        while n_below > 1 or level == 0:
            n_groups = -(-n_below // GROUP)
            for group in range(n_groups):
                began = time.process_time()
                counts = np.zeros(n_entries, np.int64)
                for below in range(group * GROUP, min(n_below, (group + 1) * GROUP)):
                    if level == 0:
                        counts += np.bincount(drawn[below % GROUP], minlength=n_entries)
                    else:
                        path = Path(folder) / f"{level - 1}-{below}.npy"
                        counts += np.load(path)
                        path.unlink()
                np.save(Path(folder) / f"{level}-{group}.npy", counts)
                task_s.append(time.process_time() - began)
            n_tasks, level, n_below = n_tasks + n_groups, level + 1, n_groups
        merged = np.load(Path(folder) / f"{level - 1}-0.npy")
        wall_s, cpu = time.perf_counter() - start, time.process_time() - cpu
    if not np.array_equal(merged, direct):
        raise SystemExit("the tree's sum is another than the direct one")
    print(
        f"{n_shards:,} shards of {n_matches:,} matches, {n_entries:,} entries: {n_tasks:,} tasks in {level} levels, the sum is "
        f"right ({merged.sum():,} matches)\none core: {wall_s:.0f} s of clock, {cpu:.0f} s of processor time; a task "
        f"{np.mean(task_s) * 1000:.0f} ms; the longest way {level} tasks; the driver reads one file of {8 * n_entries / 1e6:.0f} MB; "
        f"largest memory of the process {common.resident_mb(peak=True):.0f} MB"
    )


def count_from_parts(n_pairs: int) -> None:
    ts = np.array([10.0, 100.0, 1000.0])
    with tempfile.TemporaryDirectory() as folder:
        paths, direct = [], np.zeros(3, np.int64)
        for number in range(-(-n_pairs // PART_PAIRS)):
            rng = np.random.default_rng([2309, number])
            keep_t = rng.random(min(PART_PAIRS, n_pairs - number * PART_PAIRS)) ** 4 * 1e4
            direct += (keep_t[:, None] < ts).sum(axis=0)
            paths.append(Path(folder) / f"{number}.npy")
            np.save(paths[-1], keep_t)
        del keep_t
        common.release_freed_memory()
        before, start, cpu = common.resident_mb(), time.perf_counter(), time.process_time()
        sizes = np.zeros(3, np.int64)
        for path in paths:
            sizes += np.searchsorted(np.sort(np.load(path)), ts, side="left")
        cpu = time.process_time() - cpu
        grown = common.resident_mb(peak=True) - before
    if not np.array_equal(sizes, direct):
        raise SystemExit("the parts' sum is another than the whole's")
    print(
        f"\n{n_pairs:,} pairs in {len(paths):,} parts, keep_t {8 * n_pairs / 1e6:,.0f} MB in all: sizes at three t "
        f"{', '.join(f'{size:,}' for size in sizes)}, right; {time.perf_counter() - start:.1f} s of clock, {cpu:.1f} s of "
        f"processor time, {grown:.0f} MB more memory"
    )


if __name__ == "__main__":
    main()
