"""The matching loop: the tokens of a block of texts looked up level by level.

Level n looks up every n-gram whose first n - 1 tokens begin an entry. The slots of a level are loaded in a loop of their
own: the loads don't depend on each other, so the processor has many of them under way at once, where a look-up followed
by its verdict would wait for memory each time.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from metaclip_core.kernels.table import GOES_ON, ID_MASK, TAG_MASK, same_tokens
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
            value = ids[i]
            j = i
            while j > start and ids[j - 1] > value:
                ids[j] = ids[j - 1]
                j -= 1
            ids[j] = value
    n = start
    for i in range(start, stop):
        if n == start or ids[i] != ids[n - 1]:
            ids[n] = ids[i]
            n += 1
    return n


@njit(nogil=True, cache=True)
def _look_up_level(level, n_work, firsts, keys, slots, table, data, starts, stops, hashes, owners, n_tokens, entry_data,
                   entry_offsets, found_texts, found_ids, n_found):  # fmt: skip
    """One level of a block. Returns (n-grams to look up at the next level, matches found so far)."""
    mask = uint64(len(table) - 1)
    for i in range(n_work):
        slots[i] = table[keys[i] & mask]
    n_next = 0
    for i in range(n_work):
        slot = slots[i]
        if slot == 0:
            continue
        key = keys[i]
        first = firsts[i]
        tag = key & TAG_MASK
        at = key & mask
        goes_on = False
        first_of_tag = True
        while slot != 0:
            if (slot & TAG_MASK) == tag:
                if first_of_tag:
                    goes_on = (slot & GOES_ON) != 0
                    first_of_tag = False
                entry = np.int64(slot & ID_MASK) - 1
                if entry < 0:
                    break
                if same_tokens(
                    data, starts, stops, first, level, entry_data, entry_offsets[entry], entry_offsets[entry + 1]
                ):
                    found_texts[n_found] = owners[first]
                    found_ids[n_found] = entry
                    n_found += 1
                    break
            at = (at + uint64(1)) & mask
            slot = table[at]
        following = first + level
        if goes_on and following < n_tokens and owners[following] == owners[first]:
            firsts[n_next] = first
            keys[n_next] = hash_join(key, hashes[following])
            n_next += 1
    return n_next, n_found


@njit(nogil=True, cache=True)
def scan_texts(data, offsets, first_text, last_text, table, longest, entry_data, entry_offsets):
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
    slots = np.empty(capacity, np.uint64)
    found_texts = np.empty(capacity, np.int64)
    found_ids = np.empty(capacity, np.int32)

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
        level = 1
        while n_work > 0 and level <= longest:
            if n_found + n_work > len(found_ids):
                found_texts = _grown(found_texts, n_found + n_work)
                found_ids = _grown(found_ids, n_found + n_work)
            n_work, n_found = _look_up_level(
                level, n_work, firsts, keys, slots, table, data, starts, stops, hashes, owners, n_tokens,
                entry_data, entry_offsets, found_texts, found_ids, n_found,
            )  # fmt: skip
            level += 1

        n_texts = text - first_in_block + (1 if position >= 0 else 0)
        if n_ids + n_open + n_found > len(ids):
            ids = _grown(ids, n_ids + n_open + n_found)
        n_ids, n_open = _collect(found_texts, found_ids, n_found, first_in_block, n_texts, position >= 0,
                                 first_text, counts, ids, n_ids, n_open)  # fmt: skip
        n_kept = n_tokens - n_begun
        for i in range(n_kept):
            starts[i] = starts[n_begun + i]
            stops[i] = stops[n_begun + i]
            hashes[i] = hashes[n_begun + i]
            owners[i] = owners[n_begun + i]
    return counts, ids[:n_ids]


@njit(nogil=True, cache=True)
def _collect(
    found_texts, found_ids, n_found, first_in_block, n_texts, last_is_open, first_text, counts, ids, n_ids, n_open
):
    """Append a block's matches to `ids`, text by text, sorted. Returns (n_ids, n_open).

    The first text of the block already has `n_open` ids behind the complete ones; the last may stay open.
    """
    ends = np.zeros(n_texts + 1, np.int64)
    ends[0] = n_open
    for i in range(n_found):
        ends[found_texts[i] - first_in_block] += 1
    total = n_ids
    for i in range(n_texts):
        total += ends[i]
        ends[i] = total
    cursors = np.empty(n_texts, np.int64)
    for i in range(n_texts):
        cursors[i] = n_ids + n_open if i == 0 else ends[i - 1]
    for i in range(n_found):
        place = found_texts[i] - first_in_block
        ids[cursors[place]] = found_ids[i]
        cursors[place] += 1
    start = n_ids
    for i in range(n_texts):
        stop = _sort_unique(ids, start, ends[i])
        n_of_text = stop - start
        for j in range(n_of_text):
            ids[n_ids + j] = ids[start + j]
        start = ends[i]
        if last_is_open and i == n_texts - 1:
            return n_ids, n_of_text
        counts[first_in_block + i - first_text] = n_of_text
        n_ids += n_of_text
    return n_ids, 0
