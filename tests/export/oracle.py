"""docs/algorithm.md once more, in plain Python: what every export is compared with."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection
from dataclasses import dataclass

import xxhash


@dataclass(frozen=True)
class Expected:
    """One pair of the pool."""

    key: str
    text: str
    entries: list[str]
    keep_t: float
    keep_probability: float


def spaced(text: str) -> str:
    text = re.sub("[\t\n\r]", " ", text)
    return " " + re.sub("([,.;:?!`])", r" \1 ", text) + " "


def draw(seed: int, identity: str, entry: str) -> float:
    hashes = [xxhash.xxh64_intdigest(string.encode()) for string in (identity, entry)]
    return (xxhash.xxh64_intdigest(struct.pack("<QQQ", seed, *hashes)) >> 11) * 2**-53


def expected(
    pool: list[tuple[str, str, str]],
    metadata: dict[str, list[str]],
    t: float,
    sources: Collection[str] | None = None,
    seed: int = 0,
) -> list[Expected]:
    """Every pair of a pool of (identity, key, text)."""
    matches = [[entry for entry in metadata if f" {entry} " in spaced(text)] for _, _, text in pool]
    counts = {entry: sum(entry in matched for matched in matches) for entry in metadata}
    enabled = {entry for entry in metadata if sources is None or set(metadata[entry]) & set(sources)}
    pairs = []
    for (identity, key, text), matched in zip(pool, matches, strict=True):
        on = [entry for entry in matched if entry in enabled]
        keep_t = min((draw(seed, identity, entry) * counts[entry] for entry in on), default=math.inf)
        miss = math.prod(1 - min(1.0, t / counts[entry]) for entry in on)
        pairs.append(Expected(key, text, on, keep_t, 1 - miss))
    return pairs
