"""Looking into compressed sparse rows: which rows have an entry, and what they have beside it."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["count_enabled", "count_together", "rows_with"]


@njit(nogil=True, cache=True)
def rows_with(indptr, entry_ids, entry_id, n_rows):
    """The rows that have the entry, ascending: int64 (n_rows,), the first n_rows of them."""
    rows = np.empty(n_rows, np.int64)
    found = 0
    for row in range(len(indptr) - 1):
        for place in range(indptr[row], indptr[row + 1]):
            if entry_ids[place] == entry_id:
                if found == n_rows:
                    return rows
                rows[found] = row
                found += 1
    return rows[:found]


@njit(nogil=True, cache=True)
def count_together(indptr, entry_ids, rows, n_entries):
    """In how many of these rows each entry is: int64 (n_entries,)."""
    counts = np.zeros(n_entries, np.int64)
    for row in rows:
        for place in range(indptr[row], indptr[row + 1]):
            counts[entry_ids[place]] += 1
    return counts


@njit(nogil=True, cache=True)
def count_enabled(indptr, entry_ids, enabled, start, stop):
    """How many enabled entries rows start .. stop have: int32 (stop - start,)."""
    counts = np.zeros(stop - start, np.int32)
    for row in range(start, stop):
        for place in range(indptr[row], indptr[row + 1]):
            if enabled[entry_ids[place]]:
                counts[row - start] += 1
    return counts
