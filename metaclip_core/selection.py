"""What is asked of a pair before it is matched: a filter on the pool's own columns, and its text's language."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from metaclip_core.errors import SettingsError
from metaclip_core.languages import check_languages, language_of_each
from metaclip_core.pools.record import PAIR_SCHEMA

__all__ = ["Selection"]

_COMMON = ("key", "text", "url")  # of every pair, under these names

_ROW = "_row"
_QUERY = f"SELECT {_ROW} FROM pairs WHERE (\n{{}}\n)"  # WHERE: no aggregate, no window can be in it


@dataclass(frozen=True)
class Selection:
    """`filter`: a condition in SQL (DuckDB's); a pair passes where it is true. `languages`: codes; empty, all pass.

    Raises SettingsError for a condition that isn't one on a pair's own columns, and for an unknown language.
    """

    filter: str | None = None
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_languages(self.languages)
        _ = self.columns

    def __getstate__(self) -> dict[str, Any]:
        return {"filter": self.filter, "languages": self.languages}

    @cached_property
    def _database(self) -> Any:
        import duckdb

        return duckdb.connect(config={"enable_external_access": False, "threads": 1})

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The pool's columns that the filter needs, beside those that every pair has."""
        if self.filter is None:
            return ()
        query = self._database.sql("SELECT json_serialize_sql($1)", params=[_QUERY.format(self.filter)])
        parsed = json.loads(query.fetchall()[0][0])
        if parsed["error"]:
            raise self._error(f"not a condition in SQL: {parsed['error_message']}")
        node = parsed["statements"][0]["node"]
        parts = list(_parts(node.get("where_clause")))
        if node["type"] != "SELECT_NODE" or any(part["class"] == "SUBQUERY" for part in parts):
            raise self._error("it must judge each pair by its own columns, without a query of its own")
        names = dict.fromkeys(part["column_names"][0] for part in parts if part["class"] == "COLUMN_REF")
        hidden = {*PAIR_SCHEMA.names, _ROW}.difference(_COMMON)
        for name in names:
            if name.lower() in hidden:
                raise self._error(f"a pair's {name} can't be asked for")
        return tuple(name for name in names if name.lower() not in _COMMON)

    def select(self, batch: pa.RecordBatch, left_out: Counter[str]) -> pa.RecordBatch:
        """The pairs of a batch that pass, without the extra columns; the others are counted by reason.

        Raises SettingsError when the filter doesn't fit the columns.
        """
        if self.filter is not None:
            batch = _kept(batch, self._passed(batch), "filter", left_out)
        if self.languages:
            languages = language_of_each(batch.column("text").to_pylist())
            passed = np.array([language in self.languages for language in languages], bool)
            batch = _kept(batch, passed, "language", left_out)
        return batch.select(PAIR_SCHEMA.names)

    def _passed(self, batch: pa.RecordBatch) -> np.ndarray:
        import duckdb

        wanted = [*_COMMON, *(name for name in batch.schema.names if name not in PAIR_SCHEMA.names)]
        table = pa.table(batch.select(wanted)).append_column(_ROW, pa.array(np.arange(batch.num_rows)))
        passed = np.zeros(batch.num_rows, bool)
        try:
            self._database.register("pairs", table)
            rows = self._database.sql(_QUERY.format(self.filter)).fetchnumpy()[_ROW]
        except duckdb.Error as error:
            columns = ", ".join(f"{name} ({table.schema.field(name).type})" for name in wanted)
            raise self._error(f"{error}; the columns are {columns}") from error
        finally:
            self._database.unregister("pairs")
        passed[rows] = True
        return passed

    def _error(self, detail: str) -> SettingsError:
        return SettingsError(f"--filter {self.filter!r}: {detail}")


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """The expressions of a serialised statement."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _parts(each)


def _kept(batch: pa.RecordBatch, passed: np.ndarray, reason: str, left_out: Counter[str]) -> pa.RecordBatch:
    kept = batch.filter(pa.array(passed))
    if left := batch.num_rows - kept.num_rows:
        left_out[reason] += left
    return kept
