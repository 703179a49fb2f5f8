"""A read-only DuckDB console over one run: it can read the run's tables, and nothing else on or off this machine."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from metaclip_core.balancing import Balance, check_t
from metaclip_core.errors import SettingsError
from metaclip_core.run import Run

__all__ = ["SqlResult", "run_sql"]

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,  # a query can't name the program's own variables
    "memory_limit": "2GB",
    "max_temp_directory_size": "0KB",
}


@dataclass(frozen=True, kw_only=True)
class SqlResult:
    """The first rows of an answer; `truncated`: there are more. `seconds`: how long it took."""

    frame: pl.DataFrame
    truncated: bool
    seconds: float


def run_sql(
    run: Run, balance: Balance, t: float, query: str, *, max_rows: int = 1000, max_seconds: float = 10.0
) -> SqlResult:
    """Answer one SELECT over the views of a run under one setting.

    `pairs` (pair, key, text, url, image_path, entry_ids, keep_t, kept), `entries` (entry_id, entry, sources, count,
    enabled, after) and `matches` (pair, kept, entry_id: a row each). Raises SettingsError for a query that is no single SELECT,
    fails, reads anything else, or takes longer than `max_seconds`.
    """
    t = check_t(t)
    started = time.monotonic()
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        _make_views(connection, run, balance, t)
        timer = threading.Timer(max_seconds, connection.interrupt)
        timer.start()
        try:
            _check_single_select(connection, query)
            relation = connection.sql(query)
            if relation is None:
                raise SettingsError("only SELECT can be run here: the console is read-only")
            frame = pl.DataFrame(relation.limit(max_rows + 1).to_arrow_table())
        except duckdb.InterruptException as error:
            raise SettingsError(f"stopped: the query took longer than {max_seconds:g} seconds") from error
        except duckdb.Error as error:
            raise SettingsError(f"SQL: {error}") from error
        finally:
            timer.cancel()
    return SqlResult(frame=frame[:max_rows], truncated=len(frame) > max_rows, seconds=time.monotonic() - started)


def _make_views(connection: duckdb.DuckDBPyConnection, run: Run, balance: Balance, t: float) -> None:
    connection.register("_entries", _entries(run, balance, t))
    connection.execute("CREATE VIEW entries AS SELECT * FROM _entries")
    if run.part_paths:
        # A relation over files can't be a prepared parameter; the names are the run's own, quotes doubled all the same.
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in run.part_paths)
        source = f"(SELECT * EXCLUDE (identity, keep_t) FROM read_parquet([{files}]))"
    else:
        connection.register("_none", run.pairs().drop("identity", "keep_t").collect().to_arrow())
        source = "_none"
    state = {"pair": np.arange(run.n_pairs), "keep_t": balance.keep_t, "kept": balance.keep_t < t}
    connection.register("_state", pa.table(state))
    connection.execute(f"CREATE VIEW pairs AS SELECT * FROM {source} POSITIONAL JOIN _state")
    connection.execute("CREATE VIEW matches AS SELECT pair, kept, unnest(entry_ids) AS entry_id FROM pairs")
    folder = str(run.path / "parts").replace("'", "''")
    connection.execute(f"SET allowed_directories=['{folder}']")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")


def _entries(run: Run, balance: Balance, t: float) -> pa.Table:
    return (
        run.entries.with_row_index("entry_id")
        .with_columns(
            pl.col("entry_id").cast(pl.Int64),
            pl.Series("enabled", balance.enabled),
            pl.Series("after", balance.counts_after(t)),
        )
        .to_arrow()
    )


def _check_single_select(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise SettingsError(f"one SELECT at a time, got {len(statements)} statements")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise SettingsError(f"only SELECT can be run here, got {statements[0].type.name}: the console is read-only")
