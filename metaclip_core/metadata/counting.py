"""Counts of more keys than fit the memory: partial counts in files, summed by DuckDB within a memory limit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from metaclip_core.errors import StorageError
from metaclip_core.storage import write_atomically

__all__ = ["MEMORY", "query_to_parquet", "sum_counts", "write_counts"]

MEMORY = "2GB"
"""What a query may hold in memory; beyond, it works on the disk, beside its output."""

_ROWS = 100_000


def write_counts(path: Path, counts: pl.DataFrame) -> None:
    """Write the rows' keys with their `count` added up: partial counts, for `sum_counts`."""
    keys = pl.exclude("count")
    summed = counts.group_by(keys).agg(pl.col("count").sum().cast(pl.Int64))
    with write_atomically(path) as file:
        summed.write_parquet(file, compression="zstd", compression_level=1)


def sum_counts(partials: Sequence[Path], keys: Sequence[str], out: Path) -> None:
    """Add up the files of `write_counts` into one parquet of the keys and `count: int64`, in no order."""
    columns = ", ".join(keys)
    query = f"SELECT {columns}, sum(count)::BIGINT AS count FROM parts GROUP BY {columns}"
    query_to_parquet(query, {"parts": list(partials)}, out)


def query_to_parquet(query: str, tables: dict[str, Path | list[Path]], out: Path, memory: str = MEMORY) -> None:
    """The result of a query over parquet files, each table one or several of them, as a parquet file.

    What exceeds `memory` goes to the disk beside `out`. Raises StorageError when that is full.
    """
    import duckdb

    spill = out.with_name(f".{out.name}.spill")
    try:
        with (
            duckdb.connect(config={"memory_limit": memory, "temp_directory": str(spill)}) as connection,
            write_atomically(out) as file,
        ):
            connection.execute("SET preserve_insertion_order = false")
            for name, paths in tables.items():
                files = [str(path) for path in (paths if isinstance(paths, list) else [paths])]
                connection.read_parquet(files).create_view(name)
            batches = connection.sql(query).to_arrow_reader(_ROWS)
            with pq.ParquetWriter(file, batches.schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise StorageError(f"can't write {out}, with {memory} of memory and the disk around it: {error}") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)
