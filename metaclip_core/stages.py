"""What is done with one shard: matched into a staged file, then given its keep_t as a part of the run.

Both stages are functions of (context, item), so that an engine may run them anywhere; both are deterministic and write
whole files only, so that a part done twice, or by another worker, is the same bytes.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from metaclip_core.balancing import keep_thresholds
from metaclip_core.errors import RecordError, RunError
from metaclip_core.kernels.sorting import sort_hashes
from metaclip_core.matching import Matcher, Matches
from metaclip_core.metadata import Metadata
from metaclip_core.pools import read_shard
from metaclip_core.pools.record import Shard
from metaclip_core.storage import file_digest, write_atomically, write_json
from metaclip_core.strings import hash_each

__all__ = ["CountContext", "MatchContext", "SkipLog", "ThresholdContext", "count_group", "match_shard", "read_counts",
           "read_staged", "staged_identities", "threshold_part"]  # fmt: skip

PART_ROWS = 65_536  # rows of a row group: what a page reads to show one pair
# Hardly a value comes twice but the archive's name: looking for doubles takes time, and makes the file larger.
_PART_OPTIONS: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "use_dictionary": ["image_path"]}
_SKIPS_LOCATED = 10_000  # records of a shard whose place is kept; beyond, only counted

STAGED_SCHEMA = pa.schema(
    [
        pa.field("identity", pa.uint64(), nullable=False),
        pa.field("key", pa.large_string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("url", pa.large_string()),
        pa.field("image_path", pa.large_string()),
        pa.field("image_offset", pa.int64()),
        pa.field("image_size", pa.int64()),
        pa.field("entry_ids", pa.large_list(pa.int32()), nullable=False),
    ]
)


@dataclass
class SkipLog:
    """The policy `skip`: count bad records by reason, keep where they are. Policy `raise`: the first one ends it."""

    on_error: str
    reasons: Counter[str]
    located: list[dict[str, str]]

    @classmethod
    def empty(cls, on_error: str) -> SkipLog:
        return cls(on_error, Counter(), [])

    def __call__(self, error: RecordError) -> None:
        if self.on_error == "raise":
            raise error
        self.reasons[error.reason] += 1
        if len(self.located) < _SKIPS_LOCATED:
            self.located.append(
                {"path": error.path, "place": error.place, "reason": error.reason, "detail": error.detail}
            )


@dataclass(frozen=True)
class MatchContext:
    """What every worker needs to match: the metadata, the settings, and where to write."""

    metadata: Metadata
    boundaries: str
    on_error: str
    staging: Path
    n_threads: int | None

    @cached_property
    def matcher(self) -> Matcher:
        return Matcher(self.metadata, boundaries=self.boundaries)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "matcher"}


def match_shard(context: MatchContext, item: tuple[int, Shard]) -> dict[str, Any]:
    """Match one shard into `staging/NNNNN.arrow`, and its identity hashes, sorted, into `NNNNN.identities.npy`.

    `NNNNN.json` beside them, written last, says that they are complete.

    Returns that document: pairs, matches, matched and blank pairs, skipped by reason, located skips.
    """
    number, shard = item
    marker = context.staging / f"{number:05d}.json"
    if marker.exists():
        return json.loads(marker.read_bytes())
    log = SkipLog.empty(context.on_error)
    totals = {"pairs": 0, "matches": 0, "matched_pairs": 0, "blank_texts": 0}
    identities = [np.zeros(0, np.uint64)]
    with (
        write_atomically(context.staging / f"{number:05d}.arrow") as file,
        pa.ipc.new_file(file, STAGED_SCHEMA) as writer,
    ):
        for batch in read_shard(shard, log):
            matches = context.matcher.match(batch.column("text"), n_threads=context.n_threads)
            columns = [batch.column(name) for name in STAGED_SCHEMA.names[1:-1]]
            identities.append(hash_each(batch.column("identity")))
            arrays = [pa.array(identities[-1]), *columns, matches.to_arrow()]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=STAGED_SCHEMA))
            totals["pairs"] += len(matches)
            totals["matches"] += len(matches.entry_ids)
            totals["matched_pairs"] += int(np.count_nonzero(np.diff(matches.indptr)))
            blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(batch.column("text"))), 0)
            totals["blank_texts"] += pc.sum(blank).as_py() or 0
    with write_atomically(_identities_path(context.staging, number)) as file:
        np.save(file, sort_hashes(np.concatenate(identities)))
    report = {**totals, "skipped": dict(sorted(log.reasons.items())), "located": log.located}
    write_json(marker, report)
    return report


def _identities_path(staging: Path, number: int) -> Path:
    return staging / f"{number:05d}.identities.npy"


def staged_identities(staging: Path, number: int, lowest: int, highest: int) -> np.ndarray:
    """A matched shard's identity hashes from `lowest` to `highest`, both included, ascending; only these are read."""
    path = _identities_path(staging, number)
    try:
        hashes = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path}: damaged ({error}); delete {number:05d}.json beside it, and run again") from error
    return hashes[
        np.searchsorted(hashes, np.uint64(lowest)) : np.searchsorted(hashes, np.uint64(highest), side="right")
    ]


def read_staged(staging: Path, number: int) -> pa.Table:
    """A matched shard, memory-mapped. Raises RunError when it is damaged."""
    path = staging / f"{number:05d}.arrow"
    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: damaged ({error}); delete the file and the .json beside it, and run again") from error


def _matches_of(table: pa.Table) -> Matches:
    column = table.column("entry_ids").combine_chunks() if table.num_rows else pa.array([], STAGED_SCHEMA[-1].type)
    lists = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    indptr = lists.offsets.to_numpy()
    return Matches(indptr=indptr - indptr[0], entry_ids=lists.flatten().to_numpy())


@dataclass(frozen=True)
class CountContext:
    """What every worker needs to count: where the matched shards are, and how many entries there are."""

    staging: Path
    n_entries: int


def count_group(context: CountContext, item: tuple[int, int, range]) -> None:
    """Add counts up into `staging/counts-L-N.npy`: int64 (n_entries,), how many pairs each entry matches.

    `item`: the level L, the number N, and what it covers: matched shards at level 0, groups of the level below above it.
    """
    level, number, covered = item
    path = counts_path(context.staging, level, number)
    if path.exists():
        return
    counts = np.zeros(context.n_entries, np.int64)
    for below in covered:
        if level:
            counts += read_counts(context.staging, level - 1, below)
            continue
        for chunk in read_staged(context.staging, below).column("entry_ids").chunks:
            counts += np.bincount(chunk.flatten().to_numpy(), minlength=context.n_entries)
    with write_atomically(path) as file:
        np.save(file, counts)


def counts_path(staging: Path, level: int, number: int) -> Path:
    return staging / f"counts-{level}-{number:05d}.npy"


def read_counts(staging: Path, level: int, number: int) -> np.ndarray:
    """What `count_group` wrote. Raises RunError when it is damaged."""
    path = counts_path(staging, level, number)
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path}: damaged ({error}); delete it, and run again") from error


@dataclass(frozen=True)
class ThresholdContext:
    """What every worker needs to derive keep_t: the counts of the whole pool."""

    metadata: Metadata
    counts: np.ndarray
    seed: int
    staging: Path
    parts: Path


def told_apart(identity_hash: int, occurrence: int) -> int:
    """The identity hash of the n-th further pair (1, 2, ...) that repeats an identity."""
    return xxhash.xxh64_intdigest(struct.pack("<QQ", identity_hash, occurrence))


def threshold_part(context: ThresholdContext, item: tuple[int, dict[int, int]]) -> dict[str, Any]:
    """Write `parts/NNNNN.parquet`: the staged pairs with their keep_t.

    `item`: the shard's number, and for rows that repeat an identity which occurrence they are.
    Returns the part's name, rows, size in bytes and digest.
    """
    number, repeats = item
    path = context.parts / f"{number:05d}.parquet"
    if not path.exists():
        table = read_staged(context.staging, number)
        identities = table.column("identity").to_numpy().copy()
        for row, occurrence in repeats.items():
            identities[row] = told_apart(int(identities[row]), occurrence)
        keep_t = keep_thresholds(
            _matches_of(table), context.counts, metadata=context.metadata, identities=identities, seed=context.seed
        )
        table = table.set_column(0, STAGED_SCHEMA.field("identity"), pa.array(identities))
        table = table.append_column(pa.field("keep_t", pa.float64(), nullable=False), pa.array(keep_t))
        with write_atomically(path) as file:
            pq.write_table(table, file, row_group_size=PART_ROWS, store_schema=False, **_PART_OPTIONS)
    return {"name": path.name, "rows": pq.read_metadata(path).num_rows, **file_digest(path)}
