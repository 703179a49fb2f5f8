"""A small byte-pair vocabulary in the format of open_clip's tokenizer, learned from the generator's captions.

open_clip's own has 49,408 tokens, whose embedding alone would be larger than the rest of the model many times over.
"""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import regex
from open_clip.tokenizer import bytes_to_unicode

from metaclip_core.storage import write_atomically

__all__ = ["N_BYTE_TOKENS", "N_SPECIAL_TOKENS", "learn_merges", "write_merges"]

N_BYTE_TOKENS = 512  # each byte within a word, and at its end
N_SPECIAL_TOKENS = 2

_WORDS = regex.compile(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")  # as the tokenizer splits


def learn_merges(captions: Iterable[str], n_merges: int) -> list[tuple[str, str]]:
    """Up to `n_merges` merges, the most frequent pair of tokens first; equal ones in alphabetic order.

    A word counts with the square root of its frequency, so that the vocabulary serves rare concepts too.
    """
    symbols = bytes_to_unicode()
    words = Counter(word for caption in captions for word in _WORDS.findall(caption.lower()))
    split = {
        (*(symbols[b] for b in word.encode()[:-1]), symbols[word.encode()[-1]] + "</w>"): count**0.5
        for word, count in words.items()
    }
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges:
        pairs: defaultdict[tuple[str, str], float] = defaultdict(float)
        for tokens, weight in sorted(split.items()):
            for pair in pairwise(tokens):
                pairs[pair] += weight
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {_merged(tokens, best): weight for tokens, weight in split.items()}
    return merges


def _merged(tokens: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for token in tokens:
        if out and (out[-1], token) == pair:
            out[-1] += token
        else:
            out.append(token)
    return tuple(out)


def write_merges(path: Path, merges: list[tuple[str, str]]) -> None:
    """The gzip file that open_clip's `SimpleTokenizer` reads: a heading, then a merge a line."""
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    with write_atomically(path) as file:
        file.write(gzip.compress("\n".join(lines).encode(), mtime=0))
