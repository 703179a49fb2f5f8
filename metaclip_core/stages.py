"""What is done with one shard: matched into a staged file, then given its keep_t as a part of the run.

Both stages are functions of (context, item), so that an engine may run them anywhere; both are deterministic and write
whole files only, so that a part done twice, or by another worker, is the same bytes.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from metaclip_core.balancing import keep_thresholds
from metaclip_core.errors import PassedOver, RecordError, RunError
from metaclip_core.matching import Matcher, Matches
from metaclip_core.metadata import Metadata
from metaclip_core.pools import read_shard
from metaclip_core.pools.record import Shard
from metaclip_core.repeats import KINDS, hashes_of, write_hashes
from metaclip_core.selection import Selection
from metaclip_core.storage import (
    file_digest,
    is_as_described,
    mapped,
    read_array,
    write_array,
    write_atomically,
    write_json,
)
from metaclip_core.store import Place
from metaclip_core.strings import hash_each, to_arrow_strings

__all__ = [
    "STAGED_SCHEMA",
    "CountContext",
    "MatchContext",
    "SkipLog",
    "StagedShard",
    "Staging",
    "ThresholdContext",
    "count_group",
    "match_shard",
    "matches_of",
    "read_counts",
    "read_staged",
    "staged_matched",
    "threshold_part",
    "told_apart",
]

PART_ROWS = 65_536  # rows of a row group: what a page reads to show one pair
# Hardly a value comes twice but the archive's name: looking for doubles takes time, and makes the file larger.
_PART_OPTIONS: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "use_dictionary": ["image_path"]}
_SKIPS_LOCATED = 10_000  # records of a shard whose place is kept; beyond, only counted

STAGED_SCHEMA = pa.schema(
    [
        pa.field("identity", pa.uint64(), nullable=False),
        pa.field("uid", pa.large_string()),  # the identity where it is 32 hex digits, as DataComp's are
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
    """The policy `skip`: count bad records by reason, keep where they are. Policy `raise`: the first one ends it.

    What is passed over by its nature is counted under both, and not located.
    """

    on_error: str
    reasons: Counter[str]
    located: list[dict[str, str]]

    @classmethod
    def empty(cls, on_error: str) -> SkipLog:
        return cls(on_error, Counter(), [])

    def __call__(self, error: RecordError) -> None:
        passed_over = isinstance(error, PassedOver)
        if self.on_error == "raise" and not passed_over:
            raise error
        self.reasons[error.reason] += 1
        if not passed_over and len(self.located) < _SKIPS_LOCATED:
            self.located.append(
                {"path": error.path, "place": error.place, "reason": error.reason, "detail": error.detail}
            )


@dataclass(frozen=True)
class MatchContext:
    """What every worker needs to match: the metadata, the settings, and where to write."""

    metadata: Metadata
    boundaries: str
    on_error: str
    staging: Place
    n_threads: int | None
    selection: Selection

    @cached_property
    def matcher(self) -> Matcher:
        return Matcher(self.metadata, boundaries=self.boundaries)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "matcher"}


class Staging:
    """A matched shard on its way: `staging/NNNNN.arrow`, its hashes (`repeats`), and `NNNNN.json`, written last.

    Not waiting for the disk, which most of it never reaches before it is removed, saves a fourth of a curation's time. So the
    last file says what the others are, and a run that goes on looks whether they are that.
    """

    def __init__(self, folder: Place, number: int) -> None:
        self._folder, self._number = folder, number
        self._arrow, self._marker = folder / f"{number:05d}.arrow", folder / f"{number:05d}.json"
        self._files: dict[str, dict[str, Any]] = {}

    def report(self) -> dict[str, Any] | None:
        """The document of a complete one: pairs, matches, matched and blank pairs, filtered, skipped, located skips."""
        try:
            report: dict[str, Any] = json.loads(self._marker.read_bytes())
            whole = all(is_as_described(self._folder / name, digest) for name, digest in report["files"].items())
        except (OSError, ValueError, LookupError):
            return None
        return report if whole else None

    @contextmanager
    def writer(self) -> Iterator[_StagedWriter]:
        """Takes batches of STAGED_SCHEMA, and counts what is in them."""
        with write_atomically(self._arrow, durable=False) as file:
            with pa.ipc.new_file(file, STAGED_SCHEMA) as writer:
                staged = _StagedWriter(writer)
                yield staged
            self._files = {self._arrow.name: file_digest(file)}
        hashes = {kind: np.concatenate(some) for kind, some in staged.hashes.items()}
        self._files |= write_hashes(self._folder, self._number, hashes)

    def finish(
        self, totals: dict[str, int], log: SkipLog | None = None, filtered: Counter[str] | None = None
    ) -> dict[str, Any]:
        report = {
            **totals,
            "files": self._files,
            "filtered": dict(sorted(filtered.items())) if filtered else {},
            "skipped": dict(sorted(log.reasons.items())) if log else {},
            "located": log.located if log else [],
        }
        write_json(self._marker, report)
        return report


class _StagedWriter:
    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.totals = {"pairs": 0, "matches": 0, "matched_pairs": 0, "blank_texts": 0}
        self.hashes = {kind: [np.zeros(0, np.uint64)] for kind in KINDS}

    def add(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self.hashes["identity"].append(batch.column("identity").to_numpy())
        for kind, (hashes, _) in hashes_of(batch).items():
            self.hashes[kind].append(hashes)
        lengths = pc.list_value_length(batch.column("entry_ids"))
        blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(batch.column("text"))), 0)
        self.totals["pairs"] += batch.num_rows
        self.totals["matches"] += pc.sum(lengths).as_py() or 0
        self.totals["matched_pairs"] += pc.sum(pc.greater(lengths, 0)).as_py() or 0
        self.totals["blank_texts"] += pc.sum(blank).as_py() or 0


def match_shard(context: MatchContext, item: tuple[int, Shard]) -> dict[str, Any]:
    """Match one shard into its staged file, and return its report (`Staging.report`)."""
    number, shard = item
    staging = Staging(context.staging, number)
    if report := staging.report():
        return report
    log, filtered = SkipLog.empty(context.on_error), Counter[str]()
    with staging.writer() as staged:
        for every in read_shard(shard, log):
            batch = context.selection.select(every, filtered)
            if not batch.num_rows:
                continue
            matches = context.matcher.match(batch.column("text"), n_threads=context.n_threads)
            columns = [batch.column(name) for name in STAGED_SCHEMA.names[2:-1]]
            identity = batch.column("identity")
            arrays = [pa.array(hash_each(identity)), _uids(identity), *columns, matches.to_arrow()]
            staged.add(pa.RecordBatch.from_arrays(arrays, schema=STAGED_SCHEMA))
    return staging.finish(staged.totals, log, filtered)


def _uids(identity: pa.LargeStringArray) -> pa.LargeStringArray:
    is_uid = pc.match_substring_regex(identity, "^[0-9a-fA-F]{32}$")
    return pc.if_else(is_uid, identity, pa.scalar(None, pa.large_string()))


def read_staged(staging: Place, number: int) -> pa.Table:
    """A matched shard, memory-mapped on a disk. Raises RunError when it is damaged."""
    path = staging / f"{number:05d}.arrow"
    try:
        with mapped(path) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: damaged ({error}); delete the file and the .json beside it, and run again") from error


def matches_of(table: pa.Table) -> Matches:
    """The column `entry_ids`."""
    column = table.column("entry_ids").combine_chunks() if table.num_rows else pa.array([], STAGED_SCHEMA[-1].type)
    lists = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    indptr = lists.offsets.to_numpy()
    return Matches(indptr=indptr - indptr[0], entry_ids=lists.flatten().to_numpy())


@dataclass(frozen=True)
class CountContext:
    """What every worker needs to count: where the matched shards are, and how many entries there are."""

    staging: Place
    n_entries: int
    left_out: dict[int, np.ndarray]  # the rows of a shard that don't count


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
        table = read_staged(context.staging, below)
        for chunk in table.column("entry_ids").chunks:
            counts += np.bincount(chunk.flatten().to_numpy(), minlength=context.n_entries)
        if below in context.left_out:
            left_out = matches_of(table.take(pa.array(context.left_out[below])))
            counts -= np.bincount(left_out.entry_ids, minlength=context.n_entries)
    write_array(path, counts)


def counts_path(staging: Place, level: int, number: int) -> Place:
    return staging / f"counts-{level}-{number:05d}.npy"


def read_counts(staging: Place, level: int, number: int) -> np.ndarray:
    """What `count_group` wrote. Raises RunError when it is damaged."""
    path = counts_path(staging, level, number)
    try:
        return np.array(read_array(path))
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path}: damaged ({error}); delete it, and run again") from error


def staged_matched(staging: Place, number: int, rows: np.ndarray) -> int:
    """How many of these rows of a matched shard an entry matches."""
    lists = read_staged(staging, number).column("entry_ids").take(pa.array(rows))
    return int(pc.sum(pc.greater(pc.list_value_length(lists), 0)).as_py() or 0)


@dataclass(frozen=True)
class ThresholdContext:
    """What every worker needs to derive keep_t: the counts of the whole pool."""

    metadata: Metadata
    counts: np.ndarray
    seed: int
    staging: Place
    parts: Place


def told_apart(identity_hash: int, occurrence: int) -> int:
    """The identity hash of the n-th further pair (1, 2, ...) that repeats an identity."""
    return xxhash.xxh64_intdigest(struct.pack("<QQ", identity_hash, occurrence))


@dataclass(frozen=True)
class StagedShard:
    """A matched shard: its number, which occurrence its rows that repeat an identity are, and the rows to leave out."""

    number: int
    repeats: dict[int, int]
    left_out: np.ndarray | None = None


def threshold_part(context: ThresholdContext, item: StagedShard) -> dict[str, Any]:
    """Write `parts/NNNNN.parquet`: the staged pairs with their keep_t.

    Returns the part's name, rows, size in bytes and digest, and `content`, a digest of what doesn't change with the place of the
    pool or the batches it was read in.
    """
    number = item.number
    path = context.parts / f"{number:05d}.parquet"
    if path.exists():
        with mapped(path) as part:
            table = pq.read_table(part, columns=["identity", "text", "entry_ids", "keep_t"])
            digest = file_digest(part)
    else:
        table = read_staged(context.staging, number)
        identities = table.column("identity").to_numpy().copy()
        for row, occurrence in item.repeats.items():
            identities[row] = told_apart(int(identities[row]), occurrence)
        if item.left_out is not None:
            kept = np.delete(np.arange(table.num_rows), item.left_out)
            table, identities = table.take(pa.array(kept)), identities[kept]
        keep_t = keep_thresholds(
            matches_of(table), context.counts, metadata=context.metadata, identities=identities, seed=context.seed
        )
        table = table.set_column(0, STAGED_SCHEMA.field("identity"), pa.array(identities))
        table = table.append_column(pa.field("keep_t", pa.float64(), nullable=False), pa.array(keep_t))
        table = table.combine_chunks()  # whatever batches it came in, the file is the same
        with write_atomically(path) as file:
            pq.write_table(table, file, row_group_size=PART_ROWS, store_schema=False, **_PART_OPTIONS)
            digest = file_digest(file)
    return {"name": path.name, "rows": table.num_rows, "content": _content(table), **digest}


def _content(table: pa.Table) -> str:
    """The XXH3-128 of the pairs' identities, texts, entries and keep_t."""
    matches = matches_of(table)
    digest = xxhash.xxh3_128()
    for array in (
        table.column("identity").to_numpy(),
        hash_each(to_arrow_strings(table.column("text"))),
        matches.indptr.astype(np.int64),
        matches.entry_ids,
        table.column("keep_t").to_numpy(),
    ):
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
