"""Run one kernel over the ranges of an input, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["available_cores", "map_ranges"]

Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may run on (a container's share, not the machine's), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def map_ranges(
    kernel: Callable[[int, int], Result], n_items: int, *, n_threads: int | None = None, smallest: int = 65_536
) -> list[Result]:
    """`kernel(start, stop)` over 0 .. n_items cut into equal ranges, the results in order.

    One thread a core unless `n_threads` says otherwise. Ranges are never smaller than `smallest`, below which a thread
    costs more than it saves; an empty input is one empty range.
    """
    n_threads = n_threads or available_cores()
    n_ranges = max(1, min(n_threads, n_items // smallest))
    if n_ranges == 1:
        return [kernel(0, n_items)]
    bounds = [n_items * i // n_ranges for i in range(n_ranges + 1)]
    with ThreadPoolExecutor(n_ranges) as pool:
        return list(pool.map(kernel, bounds[:-1], bounds[1:]))
