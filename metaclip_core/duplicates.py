"""Exact duplicates in a pool: counted always, left out on request.

Three kinds: `pair`, the same text of the same picture, which is known by its address; `url`, the same address; `text`, the
same text. A pair without an address is a duplicate of none in the first two. Compared are XXH64 hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_core.errors import SettingsError
from metaclip_core.strings import hash_each, to_arrow_strings

__all__ = ["DUPLICATES", "check_duplicates", "count_duplicates", "find_duplicates"]

DUPLICATES = ("pair", "url", "text")

_AT_ONCE = 2**25  # looked through in one pass: 256 MB of hashes

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bit of the address's hash is lost

ReadShard = Callable[[int], pa.Table]
"""The pairs of a shard by its number, with the columns `text` and `url`."""


def check_duplicates(kind: str | None) -> str | None:
    """Raises SettingsError for a kind that there isn't; None leaves all pairs in."""
    if kind is not None and kind not in DUPLICATES:
        raise SettingsError(f"unknown kind of duplicates {kind!r}; there are: {', '.join(DUPLICATES)}")
    return kind


def count_duplicates(read_shard: ReadShard, n_shards: int, n_pairs: int) -> dict[str, int]:
    """How many pairs repeat an earlier one, by kind."""
    return {kind: _repeats(read_shard, n_shards, n_pairs, kind) for kind in DUPLICATES}


def _repeats(read_shard: ReadShard, n_shards: int, n_pairs: int, kind: str) -> int:
    n_repeats = 0
    n_passes = max(1, -(-n_pairs // _AT_ONCE))
    for number_of_pass in range(n_passes):
        hashes = [
            _in_pass(*_hashes(read_shard(number), kind), number_of_pass, n_passes)[0] for number in range(n_shards)
        ]
        together = np.concatenate(hashes)
        n_repeats += len(together) - pl.Series(together).n_unique() if len(together) else 0
    return n_repeats


def find_duplicates(read_shard: ReadShard, order: Sequence[int], n_pairs: int, kind: str) -> dict[int, np.ndarray]:
    """The rows of each shard that repeat an earlier pair: int64, ascending.

    `order`: the shards' numbers in the order that says which pair is the first.
    """
    found: dict[int, list[np.ndarray]] = {}
    n_passes = max(1, -(-n_pairs // _AT_ONCE))
    for number_of_pass in range(n_passes):
        hashes, numbers, rows = [], [], []
        for number in order:
            chosen, where = _in_pass(*_hashes(read_shard(number), kind), number_of_pass, n_passes)
            hashes.append(chosen)
            numbers.append(np.full(len(chosen), number))
            rows.append(where)
        together = np.concatenate(hashes)
        sorting = np.argsort(together, kind="stable")  # of equals the first stays the first
        ordered = together[sorting]
        again = sorting[1:][ordered[1:] == ordered[:-1]]
        in_shard = np.concatenate(numbers)[again]
        in_row = np.concatenate(rows)[again]
        for number in np.unique(in_shard).tolist():
            found.setdefault(number, []).append(in_row[in_shard == number])
    return {number: np.sort(np.concatenate(rows)) for number, rows in found.items()}


def _in_pass(hashes: np.ndarray, rows: np.ndarray, number: int, n_passes: int) -> tuple[np.ndarray, np.ndarray]:
    if n_passes == 1:
        return hashes, rows
    chosen = hashes % np.uint64(n_passes) == number
    return hashes[chosen], rows[chosen]


def _hashes(table: pa.Table, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(XXH64 of what two duplicates share, the row) of each pair that can be one: uint64 and int64."""
    if not table.num_rows:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    if kind == "text":
        return hash_each(to_arrow_strings(table.column("text"))), np.arange(table.num_rows)
    rows = np.flatnonzero(pc.is_valid(table.column("url")).to_numpy())
    if len(rows) < table.num_rows:
        table = table.take(pa.array(rows))
    hashes = hash_each(to_arrow_strings(table.column("url")))
    if kind == "pair":
        hashes = hashes * _MIX ^ hash_each(to_arrow_strings(table.column("text")))
    return hashes, rows
