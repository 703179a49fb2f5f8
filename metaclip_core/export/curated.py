"""The curated set under one setting: which pairs, and what an export says about each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip_core.balancing import Balance
from metaclip_core.errors import RunError
from metaclip_core.run import Run

__all__ = ["CURATED_SCHEMA", "CuratedSet"]

_BATCH_ROWS = 16_384  # of a part that are held at once: a few MB of captions

CURATED_SCHEMA = pa.schema(
    [
        pa.field("key", pa.large_string(), nullable=False),
        pa.field("uid", pa.large_string()),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("url", pa.large_string()),
        pa.field("image_path", pa.large_string()),
        pa.field("image_offset", pa.int64()),
        pa.field("image_size", pa.int64()),
        pa.field("keep_t", pa.float64(), nullable=False),
        pa.field("keep_probability", pa.float64(), nullable=False),
        pa.field("entry_ids", pa.large_list(pa.int32()), nullable=False),
        pa.field("matched_entries", pa.large_list(pa.large_string()), nullable=False),
    ]
)
"""All that is known of a curated pair. keep_t, P(keep) and the entries are of the setting: entries that are off don't
appear."""

_DERIVED = ("keep_t", "keep_probability", "entry_ids", "matched_entries")


@dataclass(frozen=True, eq=False, kw_only=True)
class CuratedSet:
    """The pairs of a run with keep_t < t, numbered from 0 in the run's order."""

    run: Run
    balance: Balance
    t: float
    counts: str | None = None  # where those of a larger pool are, when the balance is by them

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows of the curated pairs in `run.pairs`, ascending: int64 (n_curated,)."""
        return np.flatnonzero(self.balance.keep_t < self.t)

    @cached_property
    def keep_probability(self) -> np.ndarray:
        """P(keep) of each curated pair: float64 (n_curated,)."""
        return self.balance.keep_probability(self.t)[self.rows]

    @cached_property
    def _entries(self) -> pa.LargeStringArray:
        return self.run.entries["entry"].to_arrow().cast(pa.large_string())

    def batches(self, columns: Sequence[str], start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """These columns of CURATED_SCHEMA of the curated pairs `start` to `stop`, in order, some thousands at a time.

        Only the rows of a batch are in memory. Raises RunError when a part can't be read.
        """
        wanted = self.rows[start:stop]
        stored = [name for name in columns if name not in _DERIVED]
        number = start
        first, last = (
            np.searchsorted(self.run.part_starts, wanted[[0, -1]], side="right") - 1 if len(wanted) else (0, -1)
        )
        for part in range(int(first), int(last) + 1):
            for row, batch in self._stored(part, stored, wanted):
                low, high = np.searchsorted(wanted, (row, row + batch.num_rows))
                if low == high:
                    continue
                chosen = batch.take(pa.array(wanted[low:high] - row))
                derived = self._derived(columns, wanted[low:high], number)
                number += int(high - low)
                arrays = [derived[name] if name in derived else chosen.column(name) for name in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema([CURATED_SCHEMA.field(n) for n in columns]))

    def _stored(self, part: int, columns: list[str], wanted: np.ndarray) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(row in `run.pairs`, rows) of those row groups of a part that hold a wanted row."""
        path = self.run.part_paths[part]
        row = int(self.run.part_starts[part])
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    n_rows = file.metadata.row_group(group).num_rows
                    low, high = np.searchsorted(wanted, (row, row + n_rows))
                    if low < high:
                        at = row
                        # Without columns a batch has no rows, so that there is always one to read.
                        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns or ["keep_t"]):
                            yield at, batch
                            at += batch.num_rows
                    row += n_rows
        except (OSError, pa.ArrowException) as error:
            raise RunError(f"{path}: can't be read ({error}); restore it, or curate again with --overwrite") from error

    def _derived(self, columns: Sequence[str], rows: np.ndarray, number: int) -> dict[str, pa.Array]:
        """What the setting says of the curated pairs from `number` on, whose rows these are."""
        arrays: dict[str, pa.Array] = {}
        if "keep_t" in columns:
            arrays["keep_t"] = pa.array(self.balance.keep_t[rows])
        if "keep_probability" in columns:
            arrays["keep_probability"] = pa.array(self.keep_probability[number : number + len(rows)])
        if "entry_ids" in columns or "matched_entries" in columns:
            offsets, ids = self.matches_of(rows)
            arrays["entry_ids"] = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids))
            if "matched_entries" in columns:
                names = self._entries.take(pa.array(ids))
                arrays["matched_entries"] = pa.LargeListArray.from_arrays(pa.array(offsets), names)
        return arrays

    def matches_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The enabled entries of these rows of `run.pairs`: int64 (n + 1,) offsets, and int32 entry ids."""
        matches = self.balance.matches
        starts = matches.indptr[rows]
        lengths = matches.indptr[rows + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = matches.entry_ids[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])]
        enabled = self.balance.enabled[ids]
        return np.concatenate([[0], np.cumsum(enabled)])[offsets], ids[enabled]
