"""A finished run: a directory that holds every pair with its matches and keep_t (docs/run-directory.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from metaclip_core.balancing import Balance
from metaclip_core.errors import RunError
from metaclip_core.index import Index, open_index
from metaclip_core.matching import Matches
from metaclip_core.metadata.table import enabled_entries, source_masks
from metaclip_core.storage import file_digest
from metaclip_core.strings import hash_each

__all__ = ["FORMAT_VERSION", "Run", "open_run"]

FORMAT_VERSION = 1

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
        return pl.read_parquet(self.path / "entries.parquet")

    @cached_property
    def skipped(self) -> pl.DataFrame:
        """The records that were skipped: `path, place, reason, detail`."""
        return pl.read_parquet(self.path / "skipped.parquet")

    @cached_property
    def source_masks(self) -> np.ndarray:
        """The sources of each entry, bit i for `source_names[i]`: uint32 (n_entries,)."""
        return source_masks(self.entries["sources"], self.source_names)

    @cached_property
    def entry_hashes(self) -> np.ndarray:
        """XXH64 of each entry: uint64 (n_entries,)."""
        return hash_each(self.entries["entry"].to_arrow().cast(pa.large_string()))

    def pairs(self, columns: Iterable[str] | None = None) -> pl.LazyFrame:
        """The pairs: identity, key, text, url, image_path, image_offset, image_size, entry_ids, keep_t."""
        frame = pl.scan_parquet(self.part_paths)
        return frame if columns is None else frame.select(list(columns))

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


def open_run(path: str | Path) -> Run:
    """Open a run directory. Raises RunError when it is none, unfinished, of another version, or not what was written."""
    folder = Path(path)
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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{manifest_path}: damaged, not the manifest of a run; curate again") from error
    if version != FORMAT_VERSION:
        raise RunError(
            f"{manifest_path}: a run of format version {version}, this program reads {FORMAT_VERSION}; "
            "curate again, or use the release that wrote it"
        )
    run = Run(folder, manifest)
    _verify(run)
    return run


def _verify(run: Run) -> None:
    """Raises RunError when a file is missing or is not the one that the manifest names."""
    try:
        expected = {f"parts/{part['name']}": part for part in run.manifest["parts"]} | run.manifest["tables"]
        sizes = {name: int(file["size_bytes"]) for name, file in expected.items()}
        digests = {name: str(file["xxh3_128"]) for name, file in expected.items()}
        rows = sum(part["rows"] for part in run.manifest["parts"])
        total = run.manifest["totals"]["pairs"]
        _ = run.fingerprint, run.seed, run.source_names
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path / 'manifest.json'}: incomplete ({error!r}); curate again") from error
    if rows != total:
        raise RunError(f"{run.path}: its parts hold {rows:,} pairs, the manifest says {total:,}; curate again")
    check_content = sum(sizes.values()) <= VERIFY_BYTES
    for name, size in sizes.items():
        path = run.path / name
        if not path.exists():
            raise RunError(
                f"{path}: missing; the run is incomplete: restore the file, or curate again with --overwrite"
            )
        if path.stat().st_size != size or (check_content and file_digest(path)["xxh3_128"] != digests[name]):
            raise RunError(f"{path}: altered since the run was written; restore it, or curate again with --overwrite")
