"""Every n-gram that is an entry, or begins one, in one open-addressing hash table of eight-byte slots.

A slot holds, from the top: 32 bits of the n-gram's hash (the tag), one bit "an entry goes on from here", 31 bits "where
the entry's record is" (0: no entry, only the beginning of some). An empty slot is 0. The lower bits of the hash choose
the slot.

Two n-grams of equal tag may meet. Entries then take a slot each, and a look-up tells them apart by their bytes; the
"goes on" bit stands in the first slot of that tag and may be set for an n-gram that begins nothing, which costs a look-up
and changes no result.

A record is what a look-up compares, side by side in memory: a word with the entry's id, its length and whether its bytes
alone decide (`BY_BYTES`), then its UTF-8, eight bytes a word, zeros above the last.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from metaclip_core.kernels.memory import load_word
from metaclip_core.kernels.tokens import hash_join, hash_token, is_mark

__all__ = ["BY_BYTES", "GOES_ON", "ID_MASK", "RECORD_MASK", "TAG_MASK", "fill_table", "find_entry", "insert_entry",
           "lay_records", "same_bytes"]  # fmt: skip

TAG_MASK = np.uint64(0xFFFFFFFF00000000)
GOES_ON = np.uint64(0x80000000)
RECORD_MASK = np.uint64(0x7FFFFFFF)

# Of a record's first word: 32 bits id, 31 bits length, one bit BY_BYTES.
ID_MASK = np.uint64(0xFFFFFFFF)
BY_BYTES = np.uint64(1 << 63)
_LENGTH_MASK = np.uint64(0x7FFFFFFF)

_SPACE = np.uint8(0x20)


@njit(nogil=True, cache=True)
def lay_records(data, offsets):
    """(records, where each entry's begins): uint64, and int64 (n_entries,) from 1 on.

    `BY_BYTES` is set where a stretch of text that begins and ends with a token has the entry's tokens when it has its
    bytes. With a mark and a space in the entry it may not: spacing puts spaces beside the text's mark.
    """
    n_entries = len(offsets) - 1
    places = np.empty(n_entries, np.int64)
    n_words = 1
    for entry in range(n_entries):
        places[entry] = n_words
        n_words += 1 + (offsets[entry + 1] - offsets[entry] + 7) // 8
    records = np.zeros(n_words, np.uint64)
    for entry in range(n_entries):
        begin, end = offsets[entry], offsets[entry + 1]
        has_mark = False
        has_space = False
        for position in range(begin, end):
            has_mark |= is_mark(data[position])
            has_space |= data[position] == _SPACE
        word = places[entry]
        records[word] = uint64(entry) | (uint64(end - begin) << uint64(32))
        if not (has_mark and has_space):
            records[word] |= BY_BYTES
        for position in range(begin, end, 8):
            word += 1
            records[word] = load_word(data, position, end)
    return records, places


@njit(nogil=True, cache=True)
def _mark_beginning(table, hashed):
    mask = uint64(len(table) - 1)
    tag = hashed & TAG_MASK
    slot = hashed & mask
    while table[slot] != 0 and (table[slot] & TAG_MASK) != tag:
        slot = (slot + uint64(1)) & mask
    table[slot] = tag | (table[slot] & RECORD_MASK) | GOES_ON


@njit(nogil=True, cache=True)
def insert_entry(table, hashed, place):
    """Enter an entry, whose record is at `place`, under its hash; the table has room."""
    mask = uint64(len(table) - 1)
    tag = hashed & TAG_MASK
    slot = hashed & mask
    while table[slot] != 0 and ((table[slot] & TAG_MASK) != tag or (table[slot] & RECORD_MASK) != 0):
        slot = (slot + uint64(1)) & mask
    table[slot] = tag | (table[slot] & GOES_ON) | uint64(place)


@njit(nogil=True, cache=True)
def fill_table(table, data, offsets, places, usable):
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
                    insert_entry(table, hashed, places[entry])
                else:
                    _mark_beginning(table, hashed)
        longest = max(longest, n_tokens)
    return longest


@njit(nogil=True, cache=True, forceinline=True)
def same_bytes(data, start, stop, records, record):
    """Whether the bytes start .. stop are those of the entry of this record."""
    if uint64(stop - start) != (records[record] >> uint64(32)) & _LENGTH_MASK:
        return False
    word = record + uint64(1)
    position = start
    while position < stop:
        if load_word(data, position, stop) != records[word]:
            return False
        word += uint64(1)
        position += 8
    return True


@njit(nogil=True, cache=True)
def _same_tokens(data, starts, stops, first, n_tokens, records, record):
    """Whether tokens first .. first + n_tokens, a space between each two, are the entry, whatever is between them."""
    length = np.int64((records[record] >> uint64(32)) & _LENGTH_MASK)
    n = 0  # bytes compared
    for token in range(first, first + n_tokens):
        for position in range(starts[token] - (token > first), stops[token]):
            byte = data[position] if position >= starts[token] else _SPACE
            word = records[record + uint64(1 + n // 8)] if n < length else uint64(0)
            if n == length or uint64(byte) != (word >> uint64(8 * (n % 8))) & uint64(0xFF):
                return False
            n += 1
    return n == length


@njit(nogil=True, cache=True)
def find_entry(table, key, data, starts, stops, first, n_tokens, records):
    """The entry whose tokens are those of first .. first + n_tokens, with the hash `key`; -1 when there is none."""
    mask = uint64(len(table) - 1)
    at = key & mask
    while table[at] != 0:
        if ((table[at] ^ key) & TAG_MASK) == 0:
            record = table[at] & RECORD_MASK
            if record == 0:
                return -1
            if _same_tokens(data, starts, stops, first, n_tokens, records, record):
                return np.int64(records[record] & ID_MASK)
        at = (at + uint64(1)) & mask
    return -1
