"""A finished run: a directory that holds every pair with its matches and keep_t (docs/run-directory.md).

It may lie in a store: then its files are copied to this machine when they are first asked for (`mirror`).
"""

from __future__ import annotations

import json
import re
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
from metaclip_core.mirror import fetch, mirror_folder
from metaclip_core.progress import OnProgress
from metaclip_core.storage import is_as_described, write_json
from metaclip_core.store import Place, StoreError, StorePath, place_of
from metaclip_core.strings import hash_each

__all__ = ["FORMAT_VERSION", "TABLES", "Run", "open_run"]

FORMAT_VERSION = 2

TABLES = ("entries.parquet", "skipped.parquet")
"""The files of a run beside its manifest and its parts."""

TOTALS = ("read", "pairs", "skipped", "duplicates", "filtered", "matched_pairs", "matches", "repeated_ids")

_NAME = re.compile(r"\w[\w.-]*", re.ASCII)

VERIFY_BYTES = 2**31
"""Runs up to this size have the content of all files checked when opened, larger ones only their sizes."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, opened by `open_run`. Arrays per pair are in the order of `pairs`, per entry in that of `entries`.

    `path`: its folder; of a run in a `store` that of its copy on this machine.
    """

    path: Path
    manifest: dict[str, Any]
    store: StorePath | None = None

    @property
    def place(self) -> Place:
        """Where the run is, for people and for other machines: the folder, or the URL in its store."""
        return self.store or self.path

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
    def part_places(self) -> list[Place]:
        """Where the parts are, also for other machines."""
        return [self.place / "parts" / part["name"] for part in self.manifest["parts"]]

    @cached_property
    def part_paths(self) -> list[Path]:
        """The parts on this machine."""
        return self._files(*(f"parts/{part['name']}" for part in self.manifest["parts"]))

    def table_path(self, name: str) -> Path:
        """One of TABLES on this machine."""
        return self._files(name)[0]

    @cached_property
    def entries(self) -> pl.DataFrame:
        """`entry: str, sources: list[str], count: int64`, a row an entry; the row number is the entry's id."""
        return _read_table(self.table_path("entries.parquet"))

    @cached_property
    def skipped(self) -> pl.DataFrame:
        """The records that were skipped: `path, place, reason, detail`."""
        return _read_table(self.table_path("skipped.parquet"))

    def _files(self, *names: str, on_progress: OnProgress | None = None) -> list[Path]:
        """Files of the run on this machine. Raises RunError, StorageError."""
        if self.store is not None:
            described = _described(self.manifest)
            wanted = {name: described[name] for name in names}
            check_content = _is_small(described)
            fetch(self.store, self.path, wanted, check_content=check_content, on_progress=on_progress)
        return [self.path / name for name in names]

    def fetch(self, on_progress: OnProgress | None = None) -> None:
        """Copy what is missing of a run in a store to this machine: `path` then is a run directory like any other.

        Raises RunError, StorageError.
        """
        if self.store is not None:
            self._files(*_described(self.manifest), on_progress=on_progress)
            write_json(self.path / "manifest.json", self.manifest)

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
        self,
        sources: Iterable[str] | None = None,
        seed: int | None = None,
        counts: np.ndarray | None = None,
        *,
        wider: Balance | None = None,
    ) -> Balance:
        """The pool at every t, with these sources on (None: all) and this seed (None: the run's, 0 unless told).

        `counts`: int64 (n_entries,), of a larger pool that this one is a part of. `wider`: this run's balance with at least
        these sources on, the same seed and counts: the new one is then sooner there. Raises SettingsError.
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
            wider=wider,
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


def open_run(path: str | Path | StorePath) -> Run:
    """Open a run directory, or a run in a store by its URL.

    Raises RunError when it is none, unfinished, of another version, or not what was written.
    """
    folder = place_of(path)
    try:
        return _open(folder)
    except StoreError as error:
        raise RunError(str(error)) from error
    except OSError as error:
        raise RunError(f"{folder}: can't be read: {error.strerror or error}") from error


def _open(folder: Place) -> Run:
    manifest_path = folder / "manifest.json"
    if not manifest_path.exists():
        if not (folder.is_dir() if isinstance(folder, Path) else folder.names()):
            raise RunError(f"{folder}: no such folder; `metaclip curate ... --out {folder}` makes a run")
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
    _check_manifest(manifest, manifest_path)
    files = _described(manifest)
    if isinstance(folder, Path):
        _check_files(folder, files)
        return Run(folder, manifest)
    stored = folder.sizes()
    for name, described in files.items():
        if name not in stored:
            raise RunError(f"{folder / name}: missing, the run is incomplete; {MEND}")
        if stored[name] != described["size_bytes"]:
            raise RunError(f"{folder / name}: altered since the run was written; {MEND}")
    return Run(mirror_folder(folder, str(manifest["fingerprint"])), manifest, folder)


def _described(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The size and the digest of each file of a run but its manifest, by name."""
    return manifest["tables"] | {f"parts/{part['name']}": part for part in manifest["parts"]}


def _is_small(files: dict[str, dict[str, Any]]) -> bool:
    return sum(int(file["size_bytes"]) for file in files.values()) <= VERIFY_BYTES


def _check_manifest(manifest: dict[str, Any], path: Place) -> None:
    """Raises RunError when something is missing in it, or contradicts itself."""
    run = Run(Path(), manifest)
    try:
        _ = [manifest["tables"][name] for name in TABLES]
        _ = [(int(file["size_bytes"]), str(file["xxh3_128"])) for file in _described(manifest).values()]
        rows = sum(part["rows"] for part in manifest["parts"])
        totals = {name: int(run.totals[name]) for name in TOTALS}
        _ = run.fingerprint, run.seed, run.source_names, dict(manifest["skipped"])
        _ = [manifest["metadata"][name] for name in ("entries", "files", "dropped", "never_matches")]
        names = [run.fingerprint, *manifest["tables"], *(part["name"] for part in manifest["parts"])]
        if foul := [name for name in names if not _NAME.fullmatch(name)]:  # a copy would be written there
            raise ValueError(f"{foul[0]!r} is no name of a file")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise RunError(f"{path}: incomplete ({what}); {MEND}") from error
    if rows != totals["pairs"]:
        raise RunError(f"{path}: its parts hold {rows:,} pairs, not {totals['pairs']:,} as it says; {MEND}")


def _check_files(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    """Raises RunError when a file is missing or is not the one that the manifest names."""
    check_content = _is_small(files)
    for name, described in files.items():
        path = folder / name
        if not path.exists():
            raise RunError(f"{path}: missing, the run is incomplete; {MEND}")
        if not is_as_described(path, described, check_content=check_content):
            raise RunError(f"{path}: altered since the run was written; {MEND}")
