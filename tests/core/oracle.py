"""What a run must hold, by docs/algorithm.md in plain Python: sub-string scans, dictionaries, and the xxhash library."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import xxhash


def spacing(text: str) -> str:
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    return f" {text} "


def plain_matches(texts: Sequence[str], entries: Collection[str]) -> list[set[str]]:
    """The entries of each text. A first scan through all texts at once leaves only the few that are anywhere."""
    spaced = [spacing(text) for text in texts]
    together = "\0".join(spaced)
    present = [entry for entry in entries if f" {entry} " in together]
    return [{entry for entry in present if f" {entry} " in text} for text in spaced]


def plain_counts(matches: Sequence[set[str]]) -> Counter[str]:
    return Counter(entry for entries in matches for entry in entries)


def plain_probability(entries: set[str], counts: Mapping[str, int], t: float) -> float:
    return 1 - math.prod(1 - min(1, t / counts[entry]) for entry in entries)


def plain_draw(seed: int, identity: str, entry: str) -> float:
    hashes = [xxhash.xxh64_intdigest(string.encode()) for string in (identity, entry)]
    return (xxhash.xxh64_intdigest(struct.pack("<QQQ", seed, *hashes)) >> 11) * 2.0**-53


def plain_keep_t(identity: str, entries: set[str], counts: Mapping[str, int], seed: int) -> float:
    return min((plain_draw(seed, identity, entry) * counts[entry] for entry in entries), default=math.inf)
