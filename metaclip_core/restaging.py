"""The parts of a finished run taken over into a larger one, with the matches of new entries alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip_core.errors import RunError
from metaclip_core.matching import Matcher, Matches
from metaclip_core.metadata import Metadata
from metaclip_core.run import Run
from metaclip_core.stages import STAGED_SCHEMA, Staging, matches_of
from metaclip_core.storage import mapped
from metaclip_core.store import Place, place_of

__all__ = ["OldPart", "RestageContext", "old_parts", "restage_part"]


@dataclass(frozen=True)
class OldPart:
    """A part of a finished run, in the place of the shard that it was made from."""

    path: str
    name: str
    start: int


def old_parts(run: Run) -> list[OldPart]:
    """The parts of a run, in order."""
    return [
        OldPart(str(path), part["shard"], part["start"])
        for path, part in zip(run.part_places, run.manifest["parts"], strict=True)
    ]


@dataclass(frozen=True)
class RestageContext:
    """What every worker needs to take a part over: the larger metadata, how many entries were matched, where to write."""

    metadata: Metadata
    n_matched: int
    boundaries: str
    staging: Place
    n_threads: int | None

    @cached_property
    def matcher(self) -> Matcher | None:
        """Of the new entries alone; None when there is none."""
        if self.n_matched == len(self.metadata):
            return None
        new = replace(
            self.metadata,
            entry_array=self.metadata.entry_array.slice(self.n_matched),
            sources=self.metadata.sources[self.n_matched :],
            original_ids=self.metadata.original_ids[self.n_matched :],
        )
        return Matcher(new, boundaries=self.boundaries)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "matcher"}


def restage_part(context: RestageContext, item: tuple[int, OldPart]) -> dict[str, Any]:
    """A part of the old run as a staged shard, with its pairs' matches of the new entries; see `stages.match_shard`."""
    number, part = item
    staging = Staging(context.staging, number)
    if report := staging.report():
        return report
    try:
        with staging.writer() as staged, mapped(place_of(part.path)) as source, pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=STAGED_SCHEMA.names).cast(STAGED_SCHEMA)
                for batch in table.combine_chunks().to_batches():
                    staged.add(_with_new_matches(batch, context))
    except pa.ArrowException as error:
        raise RunError(f"{part.path}: can't be read: {error}; restore the run, or curate again") from error
    return staging.finish(staged.totals)


def _with_new_matches(batch: pa.RecordBatch, context: RestageContext) -> pa.RecordBatch:
    if context.matcher is None:
        return batch
    old = matches_of(pa.table(batch))
    new = context.matcher.match(batch.column("text"), n_threads=context.n_threads)
    lists = _joined(old, new, context.n_matched).to_arrow()
    return batch.set_column(len(STAGED_SCHEMA) - 1, STAGED_SCHEMA[-1], lists)


def _joined(old: Matches, new: Matches, n_old_entries: int) -> Matches:
    """The matches of both, text by text: the new entries' ids follow the old ones'."""
    indptr = old.indptr + new.indptr
    ids = np.empty(int(indptr[-1]), np.int32)
    ids[np.arange(len(old.entry_ids)) + np.repeat(new.indptr[:-1], np.diff(old.indptr))] = old.entry_ids
    ids[np.arange(len(new.entry_ids)) + np.repeat(old.indptr[1:], np.diff(new.indptr))] = new.entry_ids + n_old_entries
    return Matches(indptr=indptr, entry_ids=ids)
