"""Which pairs of a pool repeat one another: by hashes that each shard keeps in order, looked through range by range.

While a shard is matched, the hashes of each kind are written, ascending, into `staging/NNNNN.KIND.npy`. Equal hashes of the
whole pool lie in the same range of them, so the ranges are tasks that depend on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_core.errors import RunError
from metaclip_core.kernels.sorting import sort_hashes
from metaclip_core.storage import read_array, write_array
from metaclip_core.store import Place, StorePath
from metaclip_core.strings import hash_each, to_arrow_strings

__all__ = [
    "KINDS",
    "RangeOfHashes",
    "RepeatContext",
    "hashes_of",
    "ranges_of_hashes",
    "repeats_in_range",
    "write_hashes",
]

KINDS = ("identity", "pair", "url", "text")
"""`identity`; `text`, the same text; `url`, the same address; `pair`, both. A pair without an address has but two."""

_AT_ONCE = 2**24  # hashes of a range, about: 128 MB, and as much again to sort them

_NPY_HEADER = 128  # bytes before the hashes in a file of `write_array`

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit of the address's hash is lost


def hashes_of(pairs: pa.RecordBatch | pa.Table) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By kind (but for the identity) XXH64 of what two such pairs share, uint64, and the rows that have it, int64.

    `pairs` has the columns `text` and `url`.
    """
    texts = hash_each(to_arrow_strings(pairs.column("text")))
    rows = np.flatnonzero(pc.is_valid(pairs.column("url")).to_numpy(zero_copy_only=False))
    urls = hash_each(to_arrow_strings(pairs.column("url").drop_null()))
    return {"pair": (urls * _MIX ^ texts[rows], rows), "url": (urls, rows), "text": (texts, np.arange(len(texts)))}


def hashes_path(staging: Place, number: int, kind: str) -> Place:
    return staging / f"{number:05d}.{kind}.npy"


def write_hashes(staging: Place, number: int, hashes: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Write a shard's hashes by kind, in any order; the files, in order, are not `durable`.

    Returns the digest of each by its name.
    """
    paths = {kind: hashes_path(staging, number, kind) for kind in hashes}
    return {paths[kind].name: write_array(paths[kind], sort_hashes(hashes[kind]), durable=False) for kind in hashes}


@dataclass(frozen=True)
class RepeatContext:
    """What every worker needs: where the hashes are, and of how many shards."""

    staging: Place
    n_shards: int


@dataclass(frozen=True)
class RangeOfHashes:
    """The hashes of a kind from `lowest` to `highest`, both included; whether to tell `which` are repeated."""

    kind: str
    lowest: int
    highest: int
    which: bool


def ranges_of_hashes(kind: str, n_pairs: int, which: bool) -> Iterator[RangeOfHashes]:
    """All hashes of a kind, in ranges that a task can hold."""
    n_ranges = max(1, -(-n_pairs // _AT_ONCE))
    for number in range(n_ranges):
        yield RangeOfHashes(kind, 2**64 * number // n_ranges, 2**64 * (number + 1) // n_ranges - 1, which)


def repeats_in_range(context: RepeatContext, item: RangeOfHashes) -> tuple[int, np.ndarray]:
    """(pairs that repeat an earlier one, the hashes that come more than once: uint64, ascending, where asked for)."""
    parts = [_in_range(hashes_path(context.staging, number, item.kind), item) for number in range(context.n_shards)]
    ordered = sort_hashes(np.concatenate(parts))
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    return len(again), np.unique(again) if item.which else again[:0]


def _in_range(path: Place, item: RangeOfHashes) -> np.ndarray:
    """Only these are read; of a file in a store a little more."""
    try:
        hashes = _near_range(path, item) if isinstance(path, StorePath) else read_array(path)
    except (OSError, ValueError, EOFError) as error:
        marker = f"{path.name.partition('.')[0]}.json"
        raise RunError(f"{path}: damaged ({error}); delete {marker} beside it, and run again") from error
    first, last = np.uint64(item.lowest), np.uint64(item.highest)
    return hashes[np.searchsorted(hashes, first) : np.searchsorted(hashes, last, side="right")]


def _near_range(path: StorePath, item: RangeOfHashes) -> np.ndarray:
    """The hashes of a range and some beside them, ascending.

    Hashes are spread evenly, so their places are known up to chance; all are read where that is wrong, as where many are
    the same.
    """
    n = (path.size() - _NPY_HEADER) // 8
    margin = 8 * math.isqrt(n) + 64
    start = max(0, n * item.lowest // 2**64 - margin)
    stop = min(n, n * item.highest // 2**64 + margin)
    if start > 0 or stop < n:
        hashes = np.frombuffer(path.read_range(_NPY_HEADER + 8 * start, _NPY_HEADER + 8 * stop), np.uint64)
        if (start == 0 or int(hashes[0]) < item.lowest) and (stop == n or int(hashes[-1]) > item.highest):
            return hashes
    return read_array(path)
