"""DataComp's subset file: the uids of the curated pairs, which its resharder takes to pick them out of the pool.

A numpy array of dtype `u8,u8` (the two halves of the 128-bit uid), sorted: what `resharder.py --subset-file` searches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from metaclip_core.errors import PoolError
from metaclip_core.export.curated import CuratedSet
from metaclip_core.export.exporter import Advance, Exporter, Task, Written, described
from metaclip_core.run import Run
from metaclip_core.storage import write_array
from metaclip_core.strings import string_buffers

__all__ = ["UID_DTYPE", "DataCompExporter"]

UID_DTYPE = np.dtype("u8,u8")


class DataCompExporter(Exporter):
    """`subset.npy`."""

    ENDING = ".npy"

    def __init__(self, curated: CuratedSet) -> None:
        super().__init__(curated)
        if missing := _pairs_without_uid(curated.run):
            raise PoolError(
                f"{curated.run.place}: {missing:,} of {curated.run.n_pairs:,} pairs have no uid of 32 hex digits, by "
                "which a DataComp subset names them; curate a pool with a `uid`, or name its column with --id-column"
            )
        if repeated := curated.run.totals["repeated_ids"]:
            raise PoolError(
                f"{curated.run.place}: {repeated:,} pairs repeat the uid of another, and a DataComp subset can't tell "
                "them apart; remove the repeats from the pool and curate again"
            )

    def write(self, task: Task, folder: Path, advance: Advance) -> Written:
        high, low = np.empty(len(self.curated), np.uint64), np.empty(len(self.curated), np.uint64)
        done = 0
        for batch in self.curated.batches(["uid"]):
            data, offsets = string_buffers(batch.column(0))
            halves = np.frombuffer(bytes.fromhex(data[offsets[0] : offsets[-1]].tobytes().decode()), ">u8")
            high[done : done + batch.num_rows], low[done : done + batch.num_rows] = halves[0::2], halves[1::2]
            done += batch.num_rows
            advance(batch.num_rows, batch.num_rows)
        order = np.lexsort((low, high))
        uids = np.empty(len(order), UID_DTYPE)
        uids["f0"], uids["f1"] = high[order], low[order]
        if len(uids) > 1 and (repeated := int(np.count_nonzero(uids[1:] == uids[:-1]))):
            raise PoolError(
                f"{self.curated.run.place}: {repeated:,} uids differ from another only in upper and lower case; "
                "remove the repeats from the pool and curate again"
            )
        write_array(folder / "subset.npy", uids)
        return Written(files=[described(folder, "subset.npy")], pairs=len(uids))


def _pairs_without_uid(run: Run) -> int:
    """How many pairs of the pool have none, by the figures that parquet keeps of each row group."""
    missing = 0
    for path in run.part_paths:
        metadata = pq.read_metadata(path)
        column = metadata.schema.names.index("uid")
        missing += sum(
            metadata.row_group(group).column(column).statistics.null_count for group in range(metadata.num_row_groups)
        )
    return missing
