"""The draws: XXH64, the hash that docs/algorithm.md names, and what is computed from it for each match.

The draw of (seed, pair, entry) is `u = (h >> 11) * 2**-53` with `h` the XXH64, seed 0, of 24 bytes: the seed, the XXH64 of
the pair's identity and the XXH64 of the entry, each a little-endian uint64. XXH64 reads such a message eight bytes at a
time, so what depends on the seed alone is computed once, on the pair once a pair, on the entry once an entry.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, uint64

from metaclip_core.kernels.memory import load_word

__all__ = [
    "count_kept",
    "draw",
    "drawn_entries",
    "hash_strings",
    "least_of_fewer",
    "least_weights",
    "pair_state",
    "prod_complement",
    "seed_state",
    "stir",
    "survey",
]

# The five primes of XXH64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md).
_PRIME_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3 = np.uint64(0x165667B19E3779F9)
_PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5 = np.uint64(0x27D4EB2F165667C5)


@njit(nogil=True, cache=True, forceinline=True)
def _rotate(value, n_bits):
    return (value << uint64(n_bits)) | (value >> uint64(64 - n_bits))


@njit(nogil=True, cache=True, forceinline=True)
def stir(word):
    """One word of input, as XXH64 prepares it: its `round(0, word)`."""
    return _rotate(word * _PRIME_2, 31) * _PRIME_1


@njit(nogil=True, cache=True, forceinline=True)
def _absorb(state, stirred):
    return _rotate(state ^ stirred, 27) * _PRIME_1 + _PRIME_4


@njit(nogil=True, cache=True, forceinline=True)
def _finish(state):
    state = (state ^ (state >> uint64(33))) * _PRIME_2
    state = (state ^ (state >> uint64(29))) * _PRIME_3
    return state ^ (state >> uint64(32))


@njit(nogil=True, cache=True)
def _xxh64(data, start, stop):
    """XXH64 with seed 0 of the bytes start .. stop."""
    position = start
    if stop - start >= 32:
        lane_1 = _PRIME_1 + _PRIME_2
        lane_2 = _PRIME_2
        lane_3 = uint64(0)
        lane_4 = uint64(0) - _PRIME_1
        while position + 32 <= stop:
            lane_1 = _rotate(lane_1 + load_word(data, position, stop) * _PRIME_2, 31) * _PRIME_1
            lane_2 = _rotate(lane_2 + load_word(data, position + 8, stop) * _PRIME_2, 31) * _PRIME_1
            lane_3 = _rotate(lane_3 + load_word(data, position + 16, stop) * _PRIME_2, 31) * _PRIME_1
            lane_4 = _rotate(lane_4 + load_word(data, position + 24, stop) * _PRIME_2, 31) * _PRIME_1
            position += 32
        state = _rotate(lane_1, 1) + _rotate(lane_2, 7) + _rotate(lane_3, 12) + _rotate(lane_4, 18)
        for lane in (lane_1, lane_2, lane_3, lane_4):
            state = (state ^ stir(lane)) * _PRIME_1 + _PRIME_4
    else:
        state = _PRIME_5
    state += uint64(stop - start)
    while position + 8 <= stop:
        state = _absorb(state, stir(load_word(data, position, stop)))
        position += 8
    if position + 4 <= stop:
        state = _rotate(state ^ (load_word(data, position, position + 4) * _PRIME_1), 23) * _PRIME_2 + _PRIME_3
        position += 4
    while position < stop:
        state = _rotate(state ^ (uint64(data[position]) * _PRIME_5), 11) * _PRIME_1
        position += 1
    return _finish(state)


@njit(nogil=True, cache=True)
def hash_strings(data, offsets, start, stop):
    """XXH64, seed 0, of strings start .. stop, each data[offsets[i]:offsets[i + 1]]. Returns uint64 (stop - start,)."""
    hashes = np.empty(stop - start, np.uint64)
    for i in range(start, stop):
        hashes[i - start] = _xxh64(data, offsets[i], offsets[i + 1])
    return hashes


@njit(nogil=True, cache=True)
def seed_state(seed):
    """The hash's state after the seed: the first eight of 24 bytes."""
    return _absorb(_PRIME_5 + uint64(24), stir(uint64(seed)))


@njit(nogil=True, cache=True, forceinline=True)
def pair_state(state, identity_hash):
    """The hash's state after the seed and the pair: the first sixteen bytes."""
    return _absorb(state, stir(identity_hash))


@njit(nogil=True, cache=True, forceinline=True)
def draw(state, stirred_entry):
    """The draw u in [0, 1) from the state of (seed, pair) and `stir(hash of the entry)`."""
    # 53 bits fit a signed integer, which the processor converts in one step; an unsigned one takes several.
    return float(int64(_finish(_absorb(state, stirred_entry)) >> uint64(11))) * 2.0**-53


DRAWN = np.dtype([("stirred", np.uint64), ("weight", np.float64)])
"""What a draw needs of an entry, side by side: a match costs one line of the cache."""


def drawn_entries(entry_hashes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The table of entries that the draws go by: DRAWN (n_entries,). An entry of infinite weight is off."""
    entries = np.empty(len(entry_hashes), DRAWN)
    entries["weight"] = weights
    _stir_each(entry_hashes, entries["stirred"])
    return entries


@njit(nogil=True, cache=True)
def _stir_each(hashes, stirred):
    for i in range(len(hashes)):
        stirred[i] = stir(hashes[i])


@njit(nogil=True, cache=True, forceinline=True)
def _least_weight(entry_ids, first, stop, state, entries):
    """(the least u * weight of a pair's matches first .. stop, its entry); +inf and -1 where no entry is on."""
    smallest = np.inf
    best = np.int32(-1)
    for i in range(first, stop):
        entry = entry_ids[i]
        # An entry that is off gives inf, or nan where u is 0: neither is below anything. Both choices are moves, not
        # branches, which can't be foreseen.
        weighted = draw(state, entries[entry].stirred) * entries[entry].weight
        is_less = weighted < smallest
        smallest = weighted if is_less else smallest
        best = entry if is_less else best
    return smallest, best


@njit(nogil=True, cache=True)
def least_weights(indptr, entry_ids, identity_hashes, entries, seed, least, deciding, start, stop):
    """`keep_t` of pairs start .. stop: the least u * weight over a pair's entries.

    Fills `least` (float64) and `deciding` (int32, the entry that it comes from) there; +inf and -1 where no entry is on.
    """
    begin = seed_state(seed)
    for pair in range(start, stop):
        state = pair_state(begin, identity_hashes[pair])
        least[pair], deciding[pair] = _least_weight(entry_ids, indptr[pair], indptr[pair + 1], state, entries)


@njit(nogil=True, cache=True)
def least_of_fewer(
    indptr, entry_ids, identity_hashes, entries, seed, wider_least, wider_deciding, least, deciding, start, stop
):
    """As `least_weights`, from what it gave with more entries on: a least weight whose entry is still on is the least."""
    begin = seed_state(seed)
    for pair in range(start, stop):
        best = wider_deciding[pair]
        if best < 0 or entries[best].weight < np.inf:
            least[pair], deciding[pair] = wider_least[pair], best
        else:
            state = pair_state(begin, identity_hashes[pair])
            least[pair], deciding[pair] = _least_weight(entry_ids, indptr[pair], indptr[pair + 1], state, entries)


@njit(nogil=True, cache=True)
def prod_complement(indptr, entry_ids, no_probs, start, stop):
    """1 - the product of no_probs over the entries of pairs start .. stop: float64 (stop - start,)."""
    probs = np.empty(stop - start, np.float64)
    for pair in range(start, stop):
        product = 1.0
        for i in range(indptr[pair], indptr[pair + 1]):
            product *= no_probs[entry_ids[i]]
            if product == 0.0:  # a tail entry says yes for sure
                break
        probs[pair - start] = 1.0 - product
    return probs


@njit(nogil=True, cache=True)
def count_kept(indptr, entry_ids, keep_t, t, counts, start, stop):
    """Add to `counts` (n_entries,) how many of the pairs start .. stop with keep_t < t carry each entry."""
    for pair in range(start, stop):
        if keep_t[pair] < t:
            for i in range(indptr[pair], indptr[pair + 1]):
                counts[entry_ids[i]] += 1


@njit(nogil=True, cache=True)
def survey(indptr, entry_ids, keep_t, t, no_probs, counts, by_matches, start, stop):
    """As `count_kept`, and the sum of P(keep) of the pairs start .. stop, which is returned.

    `no_probs`: of each entry, -1 for one that is off. `by_matches`, int64 (longest + 1, 2), is added to: pairs, and pairs
    kept, by how many entries that are on they have.
    """
    expected = 0.0
    for pair in range(start, stop):
        is_kept = keep_t[pair] < t
        product = 1.0
        n_on = 0
        for i in range(indptr[pair], indptr[pair + 1]):
            entry = entry_ids[i]
            no = no_probs[entry]
            product *= abs(no)  # whether it is on or kept is arithmetic, no branch, which can't be foreseen
            n_on += no >= 0.0
            counts[entry] += is_kept
        expected += 1.0 - product
        by_matches[n_on, 0] += 1
        by_matches[n_on, 1] += is_kept
    return expected
