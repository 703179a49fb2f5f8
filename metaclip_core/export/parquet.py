"""Parquet: the curated pairs as a table, for polars, pandas, DuckDB, `datasets` or img2dataset."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip_core.export.curated import CURATED_SCHEMA
from metaclip_core.export.exporter import Advance, Exporter, Task, Written, described
from metaclip_core.storage import write_atomically

__all__ = ["ParquetExporter"]

GROUP_ROWS = 65_536  # rows of a row group: some 10 MB, what a reader takes at once


class ParquetExporter(Exporter):
    """`NNNNN.parquet`, CURATED_SCHEMA."""

    ENDING = ".parquet"
    PAIRS_PER_FILE = 1_000_000

    def write(self, task: Task, folder: Path, advance: Advance) -> Written:
        name = f"{task.number:05d}.parquet"
        with (
            write_atomically(folder / name) as file,
            # Without Arrow's own schema: readers see plain strings and lists, not "large" ones.
            pq.ParquetWriter(file, CURATED_SCHEMA, compression="zstd", store_schema=False) as writer,
        ):
            held: list[pa.RecordBatch] = []
            for batch in self.curated.batches(CURATED_SCHEMA.names, task.start, task.stop):
                held.append(batch)
                advance(batch.num_rows, batch.num_rows)
                if sum(each.num_rows for each in held) >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(held), row_group_size=len(self.curated))
                    held.clear()
            if held:
                writer.write_table(pa.Table.from_batches(held), row_group_size=len(self.curated))
        return Written(files=[described(folder, name)], pairs=task.stop - task.start)
