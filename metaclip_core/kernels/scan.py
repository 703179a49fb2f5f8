"""The matching loop: the tokens of a block of texts looked up level by level.

Level n looks up every n-gram whose first n - 1 tokens begin an entry. The slots of a level are loaded in a loop of their
own: the loads don't depend on each other, so the processor has many of them under way at once, where a look-up followed
by its verdict would wait for memory each time.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from metaclip_core.kernels.table import BY_BYTES, GOES_ON, ID_MASK, RECORD_MASK, TAG_MASK, find_entry, same_bytes
from metaclip_core.kernels.tokens import hash_join, tokenize_block

__all__ = ["scan_texts"]

_BLOCK_TOKENS = 2048  # with their slots and n-grams about 100 kB: a block stays in the second-level cache
_SORT_BY_INSERTION = 48  # ids; above, numpy's sort is faster


@njit(nogil=True, cache=True)
def _grown(array, needed):
    larger = np.empty(max(needed, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(nogil=True, cache=True)
def _sort_unique(ids, start, stop):
    """Sort ids[start:stop] in place, drop the doubled ones. Returns the new stop."""
    if stop - start > _SORT_BY_INSERTION:
        ids[start:stop] = np.sort(ids[start:stop])
    else:
        for i in range(start + 1, stop):
            largest = ids[i]
            for j in range(start, i):  # the smaller stays, the larger goes on: nothing to guess wrong
                other = ids[j]
                ids[j] = min(other, largest)
                largest = max(other, largest)
            ids[i] = largest
    n = start
    last = np.int32(-1)
    for i in range(start, stop):
        value = ids[i]
        ids[n] = value
        n += np.int64(value != last)
        last = value
    return n


@njit(nogil=True, cache=True)
def _look_up_level(level, n_work, firsts, keys, next_firsts, next_keys, slots, table, records, data, starts, stops, hashes,
                   owners, n_tokens, found_texts, found_ids, n_found):  # fmt: skip
    """One level of a block. Returns (n-grams to look up at the next level, matches found so far).

    A loop a step, none with a branch that is hard to foresee: a wrong guess costs more than the step.
    """
    mask = uint64(len(table) - 1)
    for i in range(n_work):
        slots[i] = table[keys[i] & mask]
    n_foreign = 0
    for i in range(n_work):
        found_texts[n_found + n_foreign] = i
        n_foreign += np.int64((slots[i] != 0) & (((slots[i] ^ keys[i]) & TAG_MASK) != 0))
    for foreign in range(n_found, n_found + n_foreign):
        i = found_texts[foreign]
        at = keys[i] & mask
        while table[at] != 0 and ((table[at] ^ keys[i]) & TAG_MASK) != 0:
            at = (at + uint64(1)) & mask
        slots[i] = table[at]
    n_hits = 0
    n_next = 0
    for i in range(n_work):
        slot = slots[i]
        first = firsts[i]
        following = first + level
        next_firsts[n_next] = first
        next_keys[n_next] = hash_join(keys[i], hashes[following])
        goes_on = (slot & GOES_ON) != 0
        n_next += np.int64(goes_on & (following < n_tokens) & (owners[following] == owners[first]))
        found_texts[n_found + n_hits] = i
        n_hits += np.int64((slot & RECORD_MASK) != 0)
    for hit in range(n_found, n_found + n_hits):
        i = found_texts[hit]
        first = firsts[i]
        record = slots[i] & RECORD_MASK
        header = records[record]
        entry = np.int64(header & ID_MASK)
        if header < BY_BYTES or not same_bytes(data, starts[first], stops[first + level - 1], records, record):
            entry = find_entry(table, keys[i], data, starts, stops, first, level, records)
            if entry < 0:
                continue
        found_texts[n_found] = owners[first]
        found_ids[n_found] = entry
        n_found += 1
    return n_next, n_found


@njit(nogil=True, cache=True)
def scan_texts(data, offsets, first_text, last_text, table, records, longest):
    """The entries that texts first_text .. last_text match.

    Returns (counts, ids): int32 matches of each text, and their entry ids, ascending and without doubles in each text.
    Time is linear in the bytes of the texts; memory is the matches and a block, however long a text is.
    """
    capacity = max(_BLOCK_TOKENS, 4 * longest)
    starts = np.empty(capacity, np.int64)
    stops = np.empty(capacity, np.int64)
    hashes = np.empty(capacity, np.uint64)
    owners = np.empty(capacity, np.int64)
    firsts = np.empty(capacity, np.int64)
    keys = np.empty(capacity, np.uint64)
    next_firsts = np.empty(capacity, np.int64)
    next_keys = np.empty(capacity, np.uint64)
    slots = np.empty(capacity, np.uint64)
    found_texts = np.empty(capacity, np.int64)
    found_ids = np.empty(capacity, np.int32)
    level_stops = np.zeros(longest + 1, np.int64)  # of each level's matches among the found ones; they begin at 0
    cursors = np.zeros(longest, np.int64)

    counts = np.zeros(last_text - first_text, np.int32)
    ids = np.empty(max(1024, 8 * (last_text - first_text)), np.int32)
    n_ids = 0  # ids of the texts that are complete
    n_open = 0  # ids beyond them, of the text that goes on in the next block
    text = first_text
    position = np.int64(-1)
    n_kept = 0
    while text < last_text or n_kept > 0:
        first_in_block = owners[0] if n_kept > 0 else text
        n_tokens, text, position = tokenize_block(
            data, offsets, text, last_text, position, n_kept, starts, stops, hashes, owners
        )
        # The last tokens of an unfinished text may begin an n-gram that ends in the next block: they wait for it.
        n_work = n_tokens
        if position >= 0:
            while n_work > 0 and n_tokens - n_work < longest - 1 and owners[n_work - 1] == text:
                n_work -= 1
        for i in range(n_work):
            firsts[i] = i
            keys[i] = hashes[i]
        n_begun = n_work
        n_found = 0
        n_levels = 0
        while n_work > 0 and n_levels < longest:
            if n_found + n_work >= len(found_ids):
                found_texts = _grown(found_texts, n_found + n_work + 1)
                found_ids = _grown(found_ids, n_found + n_work + 1)
            n_work, n_found = _look_up_level(
                n_levels + 1, n_work, firsts, keys, next_firsts, next_keys, slots, table, records, data, starts, stops, hashes,
                owners, n_tokens, found_texts, found_ids, n_found,
            )  # fmt: skip
            firsts, next_firsts = next_firsts, firsts
            keys, next_keys = next_keys, keys
            level_stops[n_levels + 1] = n_found
            n_levels += 1

        n_texts = text - first_in_block + (1 if position >= 0 else 0)
        if n_ids + n_open + n_found > len(ids):
            ids = _grown(ids, n_ids + n_open + n_found)
        cursors[:n_levels] = level_stops[:n_levels]
        n_ids, n_open = _collect(found_texts, found_ids, cursors, level_stops[1 : n_levels + 1], first_in_block, n_texts,
                                 position >= 0, first_text, counts, ids, n_ids, n_open)  # fmt: skip
        n_kept = n_tokens - n_begun
        for i in range(n_kept):
            starts[i] = starts[n_begun + i]
            stops[i] = stops[n_begun + i]
            hashes[i] = hashes[n_begun + i]
            owners[i] = owners[n_begun + i]
    return counts, ids[:n_ids]


@njit(nogil=True, cache=True)
def _collect(found_texts, found_ids, cursors, ends, first_in_block, n_texts, last_is_open, first_text, counts, ids, n_ids,
             n_open):  # fmt: skip
    """Append a block's matches to `ids`, text by text, sorted. Returns (n_ids, n_open).

    Level n's matches are at cursors[n] .. ends[n], in the order of the texts. The first text of the block already has
    `n_open` ids behind the complete ones; the last may stay open.
    """
    stop = n_ids + n_open
    for text in range(first_in_block, first_in_block + n_texts):
        for level in range(len(ends)):
            while cursors[level] < ends[level] and found_texts[cursors[level]] == text:
                ids[stop] = found_ids[cursors[level]]
                cursors[level] += 1
                stop += 1
        stop = _sort_unique(ids, n_ids, stop)
        if last_is_open and text == first_in_block + n_texts - 1:
            return n_ids, stop - n_ids
        counts[text - first_text] = stop - n_ids
        n_ids = stop
    return n_ids, 0
