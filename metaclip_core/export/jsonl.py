"""JSON lines: the curated pairs, an object a line, for anything that reads text."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from metaclip_core.export.curated import CURATED_SCHEMA
from metaclip_core.export.exporter import Advance, Exporter, Task, Written, described
from metaclip_core.storage import write_atomically

__all__ = ["JsonLinesExporter"]


class JsonLinesExporter(Exporter):
    """`NNNNN.jsonl`, the fields of CURATED_SCHEMA, UTF-8; numbers are written so that they read back identically."""

    ENDING = ".jsonl"
    PAIRS_PER_FILE = 1_000_000

    def write(self, task: Task, folder: Path, advance: Advance) -> Written:
        name = f"{task.number:05d}.jsonl"
        with write_atomically(folder / name) as file:
            for batch in self.curated.batches(CURATED_SCHEMA.names, task.start, task.stop):
                frame = pl.from_arrow(batch)
                assert isinstance(frame, pl.DataFrame)
                frame.write_ndjson(file)
                advance(batch.num_rows, batch.num_rows)
        return Written(files=[described(folder, name)], pairs=task.stop - task.start)
