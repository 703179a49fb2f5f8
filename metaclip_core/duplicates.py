"""Exact duplicates in a pool: counted always, left out on request.

Three kinds: `pair`, the same text of the same picture, which is known by its address; `url`, the same address; `text`, the
same text. A pair without an address is a duplicate of none in the first two. Compared are XXH64 hashes (`repeats`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from metaclip_core.errors import SettingsError
from metaclip_core.repeats import hashes_of

__all__ = ["DUPLICATES", "check_duplicates", "find_duplicates"]

DUPLICATES = ("pair", "url", "text")

ReadShard = Callable[[int], pa.Table]
"""The pairs of a shard by its number, with the columns `text` and `url`."""


def check_duplicates(kind: str | None) -> str | None:
    """Raises SettingsError for a kind that there isn't; None leaves all pairs in."""
    if kind is not None and kind not in DUPLICATES:
        raise SettingsError(f"unknown kind of duplicates {kind!r}; there are: {', '.join(DUPLICATES)}")
    return kind


def find_duplicates(
    read_shard: ReadShard, order: Sequence[int], kind: str, repeated: np.ndarray
) -> dict[int, np.ndarray]:
    """The rows of each shard that repeat an earlier pair: int64, ascending.

    `order`: the shards' numbers in the order that says which pair is the first. `repeated`: the hashes of this kind that come
    more than once, ascending.
    """
    found: dict[int, np.ndarray] = {}
    seen = np.zeros(len(repeated), np.bool_)
    for number in order if len(repeated) else ():
        hashes, rows = hashes_of(read_shard(number))[kind]
        places = np.minimum(np.searchsorted(repeated, hashes), len(repeated) - 1)
        chosen = repeated[places] == hashes
        places, rows = places[chosen], rows[chosen]
        again = seen[places]
        again[np.setdiff1d(np.arange(len(places)), np.unique(places, return_index=True)[1])] = True
        seen[places] = True
        if again.any():
            found[number] = rows[again]
    return found
