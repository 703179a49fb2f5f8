"""Sort numbers of eight bytes by their digits, which takes a third of the time of numpy's comparison sort here."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

__all__ = ["sort_hashes", "sort_weights"]

_DIGITS = 8  # of eight bits each: 256 places to write to stay in the first-level cache


@njit(nogil=True, cache=True)
def _sort_words(words, spare):
    n_of = np.zeros((_DIGITS, 256), np.int64)
    for i in range(len(words)):
        word = words[i]
        for digit in range(_DIGITS):
            n_of[digit, (word >> uint64(8 * digit)) & uint64(0xFF)] += 1
    for digit in range(_DIGITS):
        if n_of[digit].max() == len(words):  # all the same: nothing to move
            continue
        places = np.cumsum(n_of[digit]) - n_of[digit]
        for i in range(len(words)):
            word = words[i]
            value = (word >> uint64(8 * digit)) & uint64(0xFF)
            spare[places[value]] = word
            places[value] += 1
        words, spare = spare, words
    return words


def sort_hashes(hashes: np.ndarray) -> np.ndarray:
    """The same uint64 numbers ascending. The given array is used up: it may hold anything afterwards."""
    return _sort_words(hashes, np.empty_like(hashes))


def sort_weights(weights: np.ndarray) -> np.ndarray:
    """The same float64 numbers, from 0 on (+inf too), ascending: their bits are in the same order. Uses the array up."""
    return sort_hashes(weights.view(np.uint64)).view(np.float64)
