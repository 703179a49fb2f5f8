"""Sort numbers of eight bytes, and count how many lie below others: by buckets, ranges of values told by a shift.

To sort, buckets fit the cache, and each of them is sorted by its digits. Memory is gone through three times, whatever the
numbers are, and threads share each of these ways; to count, once.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from metaclip_core.kernels.threads import map_ranges

__all__ = ["count_below", "sort_hashes", "sort_weights"]

_DIGITS = 8  # of eight bits each: 256 places to write to stay in the first-level cache
_IN_BUCKET = 8_192  # words, of 64 kB: what a bucket should hold
_SAMPLE = 1_024
_LARGEST = 2**64 - 1
_MANTISSA_BITS = 52  # of a float64, whose bits are in the order of the numbers from 0 on


def _bits(number: float) -> int:
    return int(np.array(number, np.float64).view(np.uint64))


_LARGEST_FINITE = _bits(np.inf) - 1


@njit(nogil=True, cache=True, forceinline=True)
def _bucket(word, low, shift, last):
    return min((max(word, low) - low) >> shift, last)


@njit(nogil=True, cache=True)
def _count(words, top, low, shift, last, start, stop):
    """How many of the words start .. stop, those above `top` left out, are in each bucket: int64 (last + 1,)."""
    n_of = np.zeros(last + uint64(1), np.int64)
    for i in range(start, stop):
        if words[i] <= top:
            n_of[_bucket(words[i], low, shift, last)] += 1
    return n_of


@njit(nogil=True, cache=True)
def _scatter(words, top, low, shift, last, places, ordered, start, stop):
    """Move these words to where `places` says that their bucket goes on."""
    for i in range(start, stop):
        if words[i] <= top:
            bucket = _bucket(words[i], low, shift, last)
            ordered[places[bucket]] = words[i]
            places[bucket] += 1


@njit(nogil=True, cache=True)
def _sort_words(words, spare):
    """Sort the words in place; `spare` is as long."""
    places = np.zeros((_DIGITS, 256), np.int64)
    for word in words:
        for digit in range(_DIGITS):
            places[digit, (word >> uint64(8 * digit)) & uint64(0xFF)] += 1
    source, target = words, spare
    moved = False
    for digit in range(_DIGITS):
        if places[digit].max() == len(words):  # all the same: nothing to move
            continue
        place = 0
        for value in range(256):
            n_here = places[digit, value]
            places[digit, value] = place
            place += n_here
        for word in source:
            value = (word >> uint64(8 * digit)) & uint64(0xFF)
            target[places[digit, value]] = word
            places[digit, value] += 1
        source, target = target, source
        moved = not moved
    if moved:
        words[:] = spare


@njit(nogil=True, cache=True)
def _sort_buckets(ordered, bounds, first, stop):
    """Sort the buckets first .. stop, each ordered[bounds[i]:bounds[i + 1]]."""
    longest = 0
    for i in range(first, stop):
        longest = max(longest, bounds[i + 1] - bounds[i])
    spare = np.empty(longest, np.uint64)
    for i in range(first, stop):
        n_words = bounds[i + 1] - bounds[i]
        if n_words > 1:
            _sort_words(ordered[bounds[i] : bounds[i + 1]], spare[:n_words])


def _sorted(words: np.ndarray, top: int, n_threads: int | None) -> np.ndarray:
    sample = np.sort(words[:: max(1, len(words) // _SAMPLE)])
    sample = sample[: np.searchsorted(sample, np.uint64(top), side="right")]
    low, high = (int(sample[len(sample) * part // 100]) for part in (1, 99)) if len(sample) else (0, 0)
    shift = ((high - low) // max(1, len(words) // _IN_BUCKET)).bit_length()
    cut = np.uint64(top), np.uint64(low), np.uint64(shift), np.uint64((high - low) >> shift)

    counted = map_ranges(lambda a, b: (a, _count(words, *cut, a, b)), len(words), n_threads=n_threads)
    n_of = np.array([counts for _, counts in counted])
    bounds = np.concatenate([[0], np.cumsum(n_of.sum(axis=0))])
    places = dict(zip((start for start, _ in counted), bounds[:-1] + np.cumsum(n_of, axis=0) - n_of, strict=True))
    ordered = np.empty(bounds[-1], np.uint64)
    map_ranges(lambda a, b: _scatter(words, *cut, places[a], ordered, a, b), len(words), n_threads=n_threads)

    def sort_buckets(start: int, stop: int) -> None:  # those that begin there
        _sort_buckets(ordered, bounds, *np.searchsorted(bounds[:-1], [start, stop]))

    map_ranges(sort_buckets, len(ordered), n_threads=n_threads)
    return ordered


def sort_hashes(hashes: np.ndarray, *, n_threads: int | None = 1) -> np.ndarray:
    """The same uint64 numbers, ascending: a new array. `n_threads`: None for one a core."""
    return _sorted(hashes, _LARGEST, n_threads)


def sort_weights(weights: np.ndarray, *, n_threads: int | None = None) -> np.ndarray:
    """The finite ones of float64 numbers from 0 on, ascending: their bits are in the same order. A new array."""
    return _sorted(weights.view(np.uint64), _LARGEST_FINITE, n_threads).view(np.float64)


def count_below(weights: np.ndarray, *, first: float, stop: float, per_doubling: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of float64 numbers from 0 on are below each of a ladder of others. Returns (ladder float64, counts int64).

    The ladder goes from `first`, a power of two, in `per_doubling` even steps to each next one (1, 1.25, 1.5, 1.75, 2, 2.5, ...
    for 4), to the first that is at least `stop`. `per_doubling`: a power of two.
    """
    shift = _MANTISSA_BITS - per_doubling.bit_length() + 1
    low = _bits(first)
    n_steps = max(0, -((low - _bits(stop)) >> shift))
    ladder = (np.arange(n_steps + 1, dtype=np.uint64) << np.uint64(shift)) + np.uint64(low)
    # Bucket 0 is what lies below the ladder, the last one what lies above.
    cut = np.uint64(_LARGEST_FINITE), np.uint64(low - (1 << shift)), np.uint64(shift), np.uint64(n_steps + 1)
    counts = map_ranges(lambda a, b: _count(weights.view(np.uint64), *cut, a, b), len(weights))
    return ladder.view(np.float64), np.cumsum(np.sum(counts, axis=0))[:-1]
