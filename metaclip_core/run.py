"""A finished run: a directory that holds every pair with its matches and keep_t (docs/run-directory.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip_core.balancing import Balance
from metaclip_core.errors import MEND, RunError, SettingsError
from metaclip_core.index import Index, open_index
from metaclip_core.matching import Matches
from metaclip_core.metadata.table import enabled_entries, source_masks
from metaclip_core.storage import file_digest
from metaclip_core.strings import hash_each

__all__ = ["FORMAT_VERSION", "TABLES", "Run", "open_run"]

FORMAT_VERSION = 2

TABLES = ("entries.parquet", "skipped.parquet")
"""The files of a run beside its manifest and its parts."""

TOTALS = ("read", "pairs", "skipped", "duplicates", "filtered", "matched_pairs", "matches", "repeated_ids")

VERIFY_BYTES = 2**31
"""Runs up to this size have the content of all files checked when opened, larger ones only their sizes."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, opened by `open_run`. Arrays per pair are in the order of `pairs`, per entry in that of `entries`."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def fingerprint(self) -> str:
        """32 hex digits that stand for the settings and the content."""
        return str(self.manifest["fingerprint"])

    @property
    def totals(self) -> dict[str, int]:
        """read = pairs + skipped + duplicates + filtered; matched_pairs, matches, repeated_ids."""
        return dict(self.manifest["totals"])

    @property
    def n_pairs(self) -> int:
        return int(self.manifest["totals"]["pairs"])

    @property
    def seed(self) -> int:
        """The seed of the keep_t that is stored with the pairs."""
        return int(self.manifest["settings"]["seed"])

    @property
    def source_names(self) -> tuple[str, ...]:
        return tuple(self.manifest["metadata"]["sources"])

    @property
    def part_paths(self) -> list[Path]:
        return [self.path / "parts" / part["name"] for part in self.manifest["parts"]]

    @cached_property
    def entries(self) -> pl.DataFrame:
        """`entry: str, sources: list[str], count: int64`, a row an entry; the row number is the entry's id."""
        return _read_table(self.path / "entries.parquet")

    @cached_property
    def skipped(self) -> pl.DataFrame:
        """The records that were skipped: `path, place, reason, detail`."""
        return _read_table(self.path / "skipped.parquet")

    @cached_property
    def source_masks(self) -> np.ndarray:
        """The sources of each entry, bit i for `source_names[i]`: uint32 (n_entries,)."""
        return source_masks(self.entries["sources"], self.source_names)

    @cached_property
    def entry_hashes(self) -> np.ndarray:
        """XXH64 of each entry: uint64 (n_entries,)."""
        return hash_each(self.entries["entry"].to_arrow().cast(pa.large_string()))

    def pairs(self, columns: Iterable[str] | None = None) -> pl.LazyFrame:
        """The pairs: identity, uid, key, text, url, image_path, image_offset, image_size, entry_ids, keep_t."""
        frame = pl.scan_parquet(self.part_paths)
        return frame if columns is None else frame.select(list(columns))

    def rows(self, numbers: np.ndarray, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """These pairs, by their number in the order of `pairs`, in the order asked for; repeats are given again.

        Reads only the row groups that hold them. `numbers`: int64 (n,). Raises SettingsError where one is no pair's.
        """
        numbers = np.asarray(numbers, np.int64)
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.n_pairs:
            raise SettingsError(f"{self.path}: pairs are numbered from 0 to {self.n_pairs - 1:,}")
        wanted = list(self.pairs().collect_schema() if columns is None else columns)
        order = np.argsort(numbers, kind="stable")
        # Neither `empty_table()` nor `pa.array(places)`: they import pandas, a quarter of a second.
        empty = [pa.Table.from_batches([], pq.read_schema(path)) for path in self.part_paths[:1]]
        tables = [table.select(wanted) for table in empty]
        for path, start, stop in zip(self.part_paths, self.part_starts[:-1], self.part_starts[1:], strict=True):
            inside = numbers[order[slice(*np.searchsorted(numbers[order], (start, stop)))]] - start
            if not len(inside):
                continue
            with pq.ParquetFile(path) as file:
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                ends = np.cumsum(sizes)
                groups = np.unique(np.searchsorted(ends, inside, side="right"))
                for group in groups:
                    first, last = int(ends[group]) - sizes[group], int(ends[group])
                    places = inside[(inside >= first) & (inside < last)] - first
                    taken = pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])
                    tables.append(file.read_row_group(int(group), columns=wanted).select(wanted).take(taken))
        if not tables:
            return self.pairs(columns).collect()
        found = pl.DataFrame(pa.concat_tables(tables))
        return found[np.argsort(order, kind="stable")]

    @cached_property
    def part_starts(self) -> np.ndarray:
        """The number of the first pair of each part, and of all pairs: int64 (n_parts + 1,)."""
        return np.cumsum([0, *(part["rows"] for part in self.manifest["parts"])], dtype=np.int64)

    @cached_property
    def _index(self) -> Index:
        return open_index(self.path, self.part_paths, self.n_pairs, int(self.totals["matches"]))

    def matches(self) -> Matches:
        """The entries of every pair, memory-mapped where the run's folder is writable. Raises RunError."""
        return self._index.matches

    @property
    def identity_hashes(self) -> np.ndarray:
        """XXH64 of each pair's identity: uint64 (n_pairs,)."""
        return self._index.identity_hashes

    def balance(
        self, sources: Iterable[str] | None = None, seed: int | None = None, counts: np.ndarray | None = None
    ) -> Balance:
        """The pool at every t, with these sources on (None: all) and this seed (None: the run's, 0 unless told).

        `counts`: int64 (n_entries,), of a larger pool that this one is a part of. Raises SettingsError.
        """
        chosen = None if sources is None else sources if isinstance(sources, str) else tuple(sources)
        return Balance(
            matches=self.matches(),
            counts=self.entries["count"].to_numpy() if counts is None else np.asarray(counts),
            enabled=enabled_entries(self.source_masks, self.source_names, chosen),
            identity_hashes=self.identity_hashes,
            entry_hashes=self.entry_hashes,
            sources=None if chosen is None else tuple(chosen),
            seed=self.seed if seed is None else seed,
        )


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what reading a file of a run can raise into a RunError: a large run's content is not checked when opened."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise RunError(f"{path}: damaged ({error}); {MEND}") from error


def _read_table(path: Path) -> pl.DataFrame:
    with _damage(path):
        return pl.read_parquet(path)


def open_run(path: str | Path) -> Run:
    """Open a run directory. Raises RunError when it is none, unfinished, of another version, or not what was written."""
    folder = Path(path)
    try:
        return _open(folder)
    except OSError as error:
        raise RunError(f"{folder}: can't be read: {error.strerror or error}") from error


def _open(folder: Path) -> Run:
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; `metaclip curate ... --out {folder}` makes a run")
    manifest_path = folder / "manifest.json"
    if not manifest_path.exists():
        if (folder / "plan.json").exists():
            raise RunError(f"{folder}: the curation is unfinished; run the same `metaclip curate` again to finish it")
        raise RunError(f"{folder}: no run (it has no manifest.json); `metaclip curate ... --out DIR` makes one")
    try:
        manifest = json.loads(manifest_path.read_bytes())
        version = manifest["format_version"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise RunError(f"{manifest_path}: damaged, not the manifest of a run; {MEND}") from error
    if version != FORMAT_VERSION:
        raise RunError(
            f"{manifest_path}: a run of format version {version}, this program reads {FORMAT_VERSION}; "
            "curate again with --overwrite, or use the release that wrote it"
        )
    run = Run(folder, manifest)
    _verify(run)
    return run


def _verify(run: Run) -> None:
    """Raises RunError when a file is missing or is not the one that the manifest names."""
    manifest_path = run.path / "manifest.json"
    try:
        expected = {name: run.manifest["tables"][name] for name in TABLES} | run.manifest["tables"]
        expected |= {f"parts/{part['name']}": part for part in run.manifest["parts"]}
        sizes = {name: int(file["size_bytes"]) for name, file in expected.items()}
        digests = {name: str(file["xxh3_128"]) for name, file in expected.items()}
        rows = sum(part["rows"] for part in run.manifest["parts"])
        totals = {name: int(run.totals[name]) for name in TOTALS}
        _ = run.fingerprint, run.seed, run.source_names, dict(run.manifest["skipped"])
        _ = {name: run.manifest["metadata"][name] for name in ("entries", "files", "dropped", "never_matches")}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RunError(f"{manifest_path}: incomplete ({what}); {MEND}") from error
    if rows != totals["pairs"]:
        raise RunError(f"{manifest_path}: its parts hold {rows:,} pairs, not {totals['pairs']:,} as it says; {MEND}")
    check_content = sum(sizes.values()) <= VERIFY_BYTES
    for name, size in sizes.items():
        path = run.path / name
        if not path.exists():
            raise RunError(f"{path}: missing, the run is incomplete; {MEND}")
        if path.stat().st_size != size or (check_content and file_digest(path)["xxh3_128"] != digests[name]):
            raise RunError(f"{path}: altered since the run was written; {MEND}")
