"""docs/run-directory.md is a contract: it names all that a run holds, and a run holds all that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from metaclip_core.run import FORMAT_VERSION, Run

PAGE = (Path(__file__).resolve().parents[2] / "docs/run-directory.md").read_text(encoding="utf-8")


def documented(name: str) -> set[str]:
    """The code words of the table row that begins with this one."""
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \| (.*) \|$", PAGE, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row))


def keys(value: Any) -> Iterator[str]:
    """The keys of all objects in it."""
    for inner in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from keys(inner)
    if isinstance(value, dict):
        yield from value


def test_the_version() -> None:
    assert f"format version {FORMAT_VERSION}." in PAGE


def test_the_files(parted_run: Run) -> None:
    found = {
        re.sub(r"\d{5}", "NNNNN", path.relative_to(parted_run.path).as_posix())
        for path in parted_run.path.rglob("*.*")
        if path.name != ".lock"
    }
    found = {"index/*.npy" if name.startswith("index/") else name for name in found}
    for name in found:
        assert f"| `{name}` |" in PAGE
    assert found >= {"manifest.json", "entries.parquet", "skipped.parquet", "parts/NNNNN.parquet"}


def test_the_keys_of_the_manifest(parted_run: Run) -> None:
    manifest = parted_run.manifest
    assert set(manifest) == set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## The manifest")[2], re.MULTILINE))
    for name in ("settings", "metadata", "totals", "parts"):
        assert set(keys(manifest[name])) == documented(name), name
    assert {key for table in manifest["tables"].values() for key in table} == documented("tables")


@pytest.mark.parametrize("name", ["entries.parquet", "skipped.parquet"])
def test_the_columns_of_the_tables(parted_run: Run, name: str) -> None:
    columns = pl.read_parquet_schema(parted_run.path / name)
    words = {word.partition(":")[0] for word in documented(name)} - {"--on-error skip"}
    assert set(columns) == words


def test_the_columns_of_the_parts(parted_run: Run) -> None:
    for path in parted_run.part_paths:
        assert set(pq.read_schema(path).names) == documented("parts/NNNNN.parquet")
