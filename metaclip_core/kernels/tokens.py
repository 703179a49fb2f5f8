"""Texts as tokens: spacing and splitting on the fly, each token with a 64-bit hash.

`spacing(text)` puts a space on both sides of the marks `, . ; : ? ! ` `` and turns tab, newline and carriage return into a
space; the tokens are then what lies between single spaces, the empty ones included. Neither the spaced text nor a token
is ever built: a token is a start and a stop in the text's own bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from metaclip_core.kernels.memory import load_word, trailing_zeros

__all__ = ["BLANKS", "MARKS", "hash_join", "hash_token", "is_mark", "tokenize_block"]

MARKS = ",.;:?!`"
BLANKS = " \t\n\r"

_IN_TOKEN, _BLANK, _MARK = 0, 1, 2
_KINDS = np.zeros(256, np.uint8)
_KINDS[list(BLANKS.encode())] = _BLANK
_KINDS[list(MARKS.encode())] = _MARK

_EACH_BYTE = np.uint64(0x0101010101010101)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)

# Odd constants with well mixed bits (the fractional parts of the golden ratio, and of the square roots of 2 and 3).
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SALT = np.uint64(0x6A09E667F3BCC909)
_JOINT = np.uint64(0xBB67AE8584CAA73B)


@njit(nogil=True, cache=True, forceinline=True)
def is_mark(byte):
    """Whether spacing puts a space on both sides of it."""
    return _KINDS[byte] == _MARK


@njit(nogil=True, cache=True, forceinline=True)
def hash_token(data, start, stop):
    """A 64-bit hash of the bytes start .. stop, eight at a time. Not a published one: it never leaves the process."""
    hashed = (_SALT + uint64(stop - start)) * _MULTIPLIER
    position = start
    while position < stop:
        hashed = (hashed ^ load_word(data, position, stop)) * _MULTIPLIER
        hashed ^= hashed >> uint64(32)
        position += 8
    return hashed


@njit(nogil=True, cache=True, forceinline=True)
def hash_join(prefix, token):
    """The hash of an n-gram from that of its first n - 1 tokens and that of the last."""
    hashed = (((prefix << uint64(23)) | (prefix >> uint64(41))) ^ token) * _JOINT
    return hashed ^ (hashed >> uint64(29))


@njit(nogil=True, cache=True, forceinline=True)
def _flag_separators(word):
    """The top bit of each byte of `word` that may be a mark or a blank: all ASCII below `@`, and the backtick."""
    below_at = ~(((word & _LOW_BITS) + _EACH_BYTE * uint64(0x40)) | word)
    differing = word ^ (_EACH_BYTE * uint64(0x60))
    backtick = ~(((differing & _LOW_BITS) + _LOW_BITS) | differing)
    return (below_at | backtick) & ~_LOW_BITS


@njit(nogil=True, cache=True)
def tokenize_block(data, offsets, text, last_text, position, n_kept, starts, stops, hashes, owners):
    """Fill the token arrays from entry `n_kept` on, beginning at byte `position` of text `text`.

    Stops before `last_text`, or when the next eight bytes might need more places than are left. `position` is where the
    next token begins, or -1 at the beginning of a text.
    Returns (n_tokens, text, position): where to go on. `position` is -1 when every text begun is complete.
    """
    capacity = len(starts) - 17  # eight marks in a row are sixteen tokens; and the one that ends a text
    n = n_kept
    while text < last_text:
        begin = offsets[text] if position < 0 else position
        end = offsets[text + 1]
        base = begin
        while base < end:
            if n >= capacity:
                return n, text, begin
            flags = _flag_separators(load_word(data, base, end))
            if end - base < 8:
                flags &= (uint64(1) << uint64(8 * (end - base))) - uint64(1)
            while flags != 0:
                cursor = base + np.int64(trailing_zeros(flags) >> uint64(3))
                flags &= flags - uint64(1)
                kind = _KINDS[data[cursor]]
                if kind != _IN_TOKEN:
                    starts[n] = begin
                    stops[n] = cursor
                    hashes[n] = hash_token(data, begin, cursor)
                    owners[n] = text
                    n += 1
                    if kind == _MARK:
                        starts[n] = cursor
                        stops[n] = cursor + 1
                        hashes[n] = hash_token(data, cursor, cursor + 1)
                        owners[n] = text
                        n += 1
                    begin = cursor + 1
            base += 8
        if n >= capacity:
            return n, text, begin
        starts[n] = begin
        stops[n] = end
        hashes[n] = hash_token(data, begin, end)
        owners[n] = text
        n += 1
        text += 1
        position = -1
    return n, text, -1
