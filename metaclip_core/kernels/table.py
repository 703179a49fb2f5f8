"""Every n-gram that is an entry, or begins one, in one open-addressing hash table of eight-byte slots.

A slot holds, from the top: 32 bits of the n-gram's hash (the tag), one bit "an entry goes on from here", 31 bits of entry
id + 1 (0: no entry, only the beginning of some). An empty slot is 0. The lower bits of the hash choose the slot.

Two n-grams of equal tag may meet. Entries then take a slot each, and a look-up tells them apart by their bytes; the
"goes on" bit stands in the first slot of that tag and may be set for an n-gram that begins nothing, which costs a look-up
and changes no result.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from metaclip_core.kernels.tokens import hash_join, hash_token

__all__ = ["GOES_ON", "ID_MASK", "TAG_MASK", "fill_table", "same_tokens"]

TAG_MASK = np.uint64(0xFFFFFFFF00000000)
GOES_ON = np.uint64(0x80000000)
ID_MASK = np.uint64(0x7FFFFFFF)
_SPACE = np.uint8(0x20)


@njit(nogil=True, cache=True)
def _mark_beginning(table, hashed):
    mask = uint64(len(table) - 1)
    tag = hashed & TAG_MASK
    slot = hashed & mask
    while table[slot] != 0 and (table[slot] & TAG_MASK) != tag:
        slot = (slot + uint64(1)) & mask
    table[slot] = tag | (table[slot] & ID_MASK) | GOES_ON


@njit(nogil=True, cache=True)
def _insert_entry(table, hashed, entry):
    mask = uint64(len(table) - 1)
    tag = hashed & TAG_MASK
    slot = hashed & mask
    while table[slot] != 0 and ((table[slot] & TAG_MASK) != tag or (table[slot] & ID_MASK) != 0):
        slot = (slot + uint64(1)) & mask
    table[slot] = tag | (table[slot] & GOES_ON) | uint64(entry + 1)


@njit(nogil=True, cache=True)
def fill_table(table, data, offsets, usable):
    """Enter the entries whose `usable` is set. Returns the number of tokens of the longest one.

    The table's length is a power of two, well above the number of n-grams that begin an entry or are one.
    """
    longest = 0
    for entry in range(len(offsets) - 1):
        if not usable[entry]:
            continue
        begin = offsets[entry]
        end = offsets[entry + 1]
        n_tokens = 0
        hashed = uint64(0)
        for cursor in range(begin, end + 1):
            if cursor == end or data[cursor] == _SPACE:
                token = hash_token(data, begin, cursor)
                hashed = token if n_tokens == 0 else hash_join(hashed, token)
                n_tokens += 1
                begin = cursor + 1
                if cursor == end:
                    _insert_entry(table, hashed, entry)
                else:
                    _mark_beginning(table, hashed)
        longest = max(longest, n_tokens)
    return longest


@njit(nogil=True, cache=True, inline="always")
def same_tokens(data, starts, stops, first, n_tokens, entry_data, entry_start, entry_stop):
    """Whether tokens first .. first + n_tokens, a space between each two, are the bytes of the entry."""
    position = entry_start
    for token in range(first, first + n_tokens):
        length = stops[token] - starts[token]
        if position + length > entry_stop:
            return False
        source = starts[token]
        for i in range(length):
            if data[source + i] != entry_data[position + i]:
                return False
        position += length
        if token + 1 < first + n_tokens:
            if position >= entry_stop or entry_data[position] != _SPACE:
                return False
            position += 1
    return position == entry_stop
