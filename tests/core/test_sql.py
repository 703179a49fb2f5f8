"""The SQL console: right answers, and nothing but the run within reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metaclip_core import Run
from metaclip_core.errors import SettingsError
from metaclip_core.sql import run_sql


def ask(run: Run, query: str, t: float = 20.0, **limits: float) -> list[tuple]:
    return run_sql(run, run.balance(["wordnet"], 7), t, query, **limits).frame.rows()  # type: ignore[arg-type]


def test_pairs_carry_the_state_of_the_setting(parted_run: Run) -> None:
    balance = parted_run.balance(["wordnet"], 7)
    rows = ask(parted_run, "SELECT pair, url, keep_t, kept FROM pairs ORDER BY pair")
    assert [row[0] for row in rows] == list(range(240))
    assert [row[1] for row in rows] == [f"https://example.com/{i}" for i in range(240)]
    assert [row[2] for row in rows] == balance.keep_t.tolist()
    assert [row[3] for row in rows] == (balance.keep_t < 20.0).tolist()


def test_entries_and_matches(parted_run: Run) -> None:
    balance = parted_run.balance(["wordnet"], 7)
    rows = ask(parted_run, "SELECT entry_id, entry, count, enabled, after FROM entries ORDER BY entry_id")
    assert [row[1] for row in rows] == parted_run.entries["entry"].to_list()
    assert [row[2] for row in rows] == parted_run.entries["count"].to_list()
    assert [row[3] for row in rows] == balance.enabled.tolist()
    assert [row[4] for row in rows] == balance.counts_after(20.0).tolist()
    matches = ask(parted_run, "SELECT pair, entry_id FROM matches ORDER BY ALL", max_rows=10_000)
    indptr, ids = parted_run.matches().indptr, parted_run.matches().entry_ids
    assert matches == list(zip(np.repeat(np.arange(240), np.diff(indptr)).tolist(), ids.tolist(), strict=True))


def test_rows_are_limited(parted_run: Run) -> None:
    result = run_sql(parted_run, parted_run.balance(), 1.0, "SELECT * FROM pairs", max_rows=100)
    assert (len(result.frame), result.truncated) == (100, True)
    exact = run_sql(parted_run, parted_run.balance(), 1.0, "SELECT * FROM pairs", max_rows=240)
    assert (len(exact.frame), exact.truncated) == (240, False)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("CREATE TABLE x (a int)", "read-only"),
        ("SET memory_limit='10GB'", "read-only"),
        ("SELECT 1; SELECT 2", "one SELECT at a time"),
        ("", "one SELECT at a time"),
        ("ATTACH 'x.db'", "read-only"),
        ("INSTALL httpfs", "read-only"),
        ("PRAGMA database_list", "read-only"),
        ("DROP VIEW pairs", "read-only"),
        ("SELECT nonsense FROM pairs", "nonsense"),
        ("SELECT * FROM run", "does not exist"),
        ("SELECT * FROM 'https://example.com/x.parquet'", "SQL"),
        ("SELEC 1", "SQL"),
    ],
)
def test_what_is_no_select_is_refused(parted_run: Run, query: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ask(parted_run, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_blob('{folder}/*')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_parquet('{run}/entries.parquet')",
        "SELECT * FROM read_text('{run}/parts/../manifest.json')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
    ],
)
def test_no_other_file_can_be_read_or_written(parted_run: Run, tmp_path: Path, query: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nword that must stay here\n")
    with pytest.raises(SettingsError):
        ask(parted_run, query.format(secret=secret, folder=tmp_path, run=parted_run.path))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_a_long_query_is_stopped(parted_run: Run) -> None:
    with pytest.raises(SettingsError, match=r"longer than 0\.2 seconds"):
        ask(parted_run, "SELECT count(*) FROM range(100000000000)", max_seconds=0.2)
