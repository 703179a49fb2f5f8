"""Parquet and JSON lines: the curated set exactly, whatever the setting and however it is cut into files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from metaclip_core.curation import curate
from metaclip_core.export import CURATED_SCHEMA, export
from metaclip_core.export import parquet as parquet_format
from metaclip_core.run import Run

from .conftest import METADATA, Pool
from .oracle import expected

SETTINGS = [
    (7.0, None, None),
    (0.1 + 0.2, None, None),
    (12.5, ("wordnet",), None),
    (20.0, ("wiki_bigram", "wiki_title"), 2**64 - 1),
    (3.0, (), None),
    (0.0, None, None),
    (math.inf, None, 1),
]


def rows_of(path: Path, format: str) -> list[dict[str, Any]]:
    files = [path] if path.is_file() else sorted(path.glob(f"*.{format}"))
    if format == "parquet":
        return [row for file in files for row in pq.read_table(file).to_pylist()]
    # Split at line feeds alone: a text may hold U+2028, at which str.splitlines would break it.
    return [json.loads(line) for file in files for line in file.read_bytes().split(b"\n") if line]


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
@pytest.mark.parametrize(("t", "sources", "seed"), SETTINGS)
def test_the_kept_pairs_and_all_that_is_said_of_them(
    pool: Pool, tmp_path: Path, format: str, t: float, sources: tuple[str, ...] | None, seed: int | None
) -> None:
    result = export(pool.run, tmp_path / "out", t=t, format=format, sources=sources, seed=seed)
    kept = [pair for pair in expected(pool.pairs, METADATA, t, sources, seed or 0) if pair.keep_t < t]
    rows = rows_of(result.path, format)
    assert [(row["key"], row["text"], row["keep_t"]) for row in rows] == [(p.key, p.text, p.keep_t) for p in kept]
    assert [row["matched_entries"] for row in rows] == [pair.entries for pair in kept]
    names = list(METADATA)
    assert [[names[i] for i in row["entry_ids"]] for row in rows] == [pair.entries for pair in kept]
    assert [row["keep_probability"] for row in rows] == pytest.approx([p.keep_probability for p in kept], abs=1e-12)
    assert [row["url"] for row in rows] == [f"https://example.com/{int(pair.key)}" for pair in kept]
    assert result.pairs == result.curated_pairs == len(kept)


def test_a_pair_whose_keep_t_is_t_is_not_kept(pool: Pool, tmp_path: Path) -> None:
    ordered = sorted(pair.keep_t for pair in expected(pool.pairs, METADATA, 1))
    for n in (0, 1, 50):
        for t, size in ((ordered[n], n), (math.nextafter(ordered[n], math.inf), n + 1)):
            assert export(pool.run, tmp_path / repr(t), t=t, format="parquet").pairs == size


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_files_of_any_size_are_one_set(pool: Pool, tmp_path: Path, format: str) -> None:
    whole = rows_of(export(pool.run, tmp_path / f"whole.{format}", t=30, format=format).path, format)
    for size in (7, len(whole) - 1, len(whole), 10**9):
        result = export(pool.run, tmp_path / str(size), t=30, format=format, pairs_per_file=size)
        assert rows_of(result.path, format) == whole
        lengths = [len(rows_of(path, format)) for path in result.files]
        assert lengths == [min(size, len(whole) - start) for start in range(0, len(whole), size)]


def test_parquet_has_plain_types_and_row_groups_of_its_size(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_format, "GROUP_ROWS", 50)
    file = pq.ParquetFile(export(pool.run, tmp_path / "out.parquet", t=1e9, format="parquet").path)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [105 - 15, 105 - 15]  # a batch ends where a part does
    assert file.schema_arrow.names == CURATED_SCHEMA.names
    assert str(file.schema_arrow.field("text").type) == "string"
    assert str(file.schema_arrow.field("matched_entries").type).startswith("list<")


def test_an_empty_set_is_a_file_without_rows(pool: Pool, tmp_path: Path) -> None:
    table = pl.read_parquet(export(pool.run, tmp_path / "out", t=0, format="parquet").files)
    assert (table.height, table.columns) == (0, CURATED_SCHEMA.names)
    assert export(pool.run, tmp_path / "out.jsonl", t=0, format="jsonl").path.read_bytes() == b""


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_a_set_without_uids_can_be_curated_again(tmp_path: Path, format: str) -> None:
    (tmp_path / "pool.jsonl").write_text("".join(f'{{"text": "a dog {i}"}}\n' for i in range(30)))
    (tmp_path / "metadata.txt").write_text("dog\na\n")
    run = curate(tmp_path / "pool.jsonl", tmp_path / "metadata.txt", tmp_path / "run")
    out = export(run, tmp_path / "out", t=15, format=format).path
    again = curate(out, tmp_path / "metadata.txt", tmp_path / "again")
    assert 0 < again.n_pairs == run.balance().curated_size(15) < 30


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_the_sample(sample_run: Run, tmp_path: Path, format: str) -> None:
    rows = rows_of(export(sample_run, tmp_path / "out", t=20, format=format, pairs_per_file=2000).path, format)
    pool = sample_run.pairs().collect()
    kept = pool.filter(pl.col("keep_t") < 20)
    assert 0 < len(kept) < len(pool)
    for name in ("key", "uid", "text", "url", "image_path", "image_offset", "image_size", "keep_t", "entry_ids"):
        assert [row[name] for row in rows] == kept[name].to_list(), name
    entries = sample_run.entries["entry"].to_list()
    counts = sample_run.entries["count"].to_list()
    for row in rows:
        assert row["matched_entries"] == [entries[i] for i in row["entry_ids"]]
        miss = math.prod(1 - min(1.0, 20 / counts[i]) for i in row["entry_ids"])
        assert row["keep_probability"] == pytest.approx(1 - miss, abs=1e-12)
