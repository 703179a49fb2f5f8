"""From a pool to a run: match every shard, add the counts up, give every pair its keep_t.

    plan.json    the settings and the shards, written first: what an unfinished run is of
    staging/     one matched shard each, memory-mapped later; gone when the run is finished
    parts/       the run's pairs
    manifest.json  written last: a folder without it is no run

A run that was killed goes on from the files that are complete.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash
from filelock import FileLock, Timeout

from metaclip_core import __version__
from metaclip_core.balancing import check_seed
from metaclip_core.engines import MapStage, engine_named
from metaclip_core.errors import PoolError, RunError, SettingsError
from metaclip_core.index import INDEX_FOLDER
from metaclip_core.kernels.sorting import sort_hashes
from metaclip_core.matching import BOUNDARIES
from metaclip_core.metadata import Metadata, load_metadata
from metaclip_core.pools import open_pool
from metaclip_core.pools.record import ReadOptions, Shard
from metaclip_core.run import FORMAT_VERSION, Run, open_run
from metaclip_core.stages import (
    CountContext,
    MatchContext,
    SkipLog,
    ThresholdContext,
    count_group,
    match_shard,
    read_counts,
    read_staged,
    staged_identities,
    threshold_part,
)
from metaclip_core.storage import file_digest, make_folder, storage_errors, write_atomically, write_json

__all__ = ["Progress", "curate"]

_EDGE_BYTES = 65_536  # of a file's begin and end that go into its fingerprint
_IDENTITIES_AT_ONCE = 2**24  # looked through for repeats in one pass: 128 MB, and as much again to sort them
_COUNTS_IN_A_GROUP = 64  # shards, or sums of shards, that one task adds up


@dataclass(frozen=True)
class Progress:
    """How far a stage (`match`, `threshold`) is: shards done of all, and pairs so far."""

    stage: str
    done: int
    total: int
    pairs: int


def curate(
    pool: str | Path | Sequence[str | Path],
    metadata: Metadata | str | Path,
    out: str | Path,
    *,
    format: str = "auto",
    text_column: str | None = None,
    id_column: str | None = None,
    boundaries: str = "space",
    engine: str = "local",
    workers: int = 1,
    seed: int = 0,
    on_error: str = "raise",
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Curate a pool into the run directory `out`, and open it.

    `pool`: files or folders. A finished run of the same settings is opened as it is; one of other settings is refused
    unless `overwrite`; an unfinished one goes on. With several `workers` (processes) the caller's own script needs the
    usual `if __name__ == "__main__"`. Raises SettingsError, PoolError, MetadataError, RunError, StorageError.
    """
    if boundaries not in BOUNDARIES:
        raise SettingsError(f"unknown boundary mode {boundaries!r}; there are: {', '.join(BOUNDARIES)}")
    if on_error not in ("raise", "skip"):
        raise SettingsError(f"unknown policy {on_error!r} for bad records; there are: raise, skip")
    if workers < 1:
        raise SettingsError(f"workers must be 1 or more, got {workers}")
    start_workers = engine_named(engine)
    if not isinstance(metadata, Metadata):
        metadata = load_metadata(metadata)
    paths = [pool] if isinstance(pool, str | Path) else list(pool)
    opening = SkipLog.empty(on_error)
    options = ReadOptions(text_column=text_column, id_column=id_column)
    shards = open_pool(paths, format=format, options=options, bad_record=opening)
    settings = {
        "metadata": metadata.fingerprint,
        "inputs": _inputs(shards),
        "format": format,
        "text_column": text_column,
        "id_column": id_column,
        "boundaries": boundaries,
        "seed": check_seed(seed),
        "on_error": on_error,
    }
    folder = Path(out)
    if overwrite:
        _remove_run(folder)
    make_folder(folder)
    with storage_errors(folder):
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                f"{folder}: another process is curating into it; wait for it, or choose another --out"
            ) from error
    try:
        if _is_finished(folder, settings):
            _tidy(folder)
            return open_run(folder)
        job = _Curation(folder, settings, shards, metadata, opening, on_progress or (lambda progress: None))
        with start_workers(workers) as map_stage:
            job.run(map_stage, workers)
    finally:
        lock.release()
    return open_run(folder)


def _inputs(shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """The files of a pool, each with its size and a fingerprint of its begin and end."""
    files = {}
    for shard in shards:
        if shard.path in files:
            continue
        digest = xxhash.xxh3_128(str(shard.size_bytes).encode())
        try:
            with open(shard.path, "rb") as file:
                digest.update(file.read(_EDGE_BYTES))
                file.seek(max(0, shard.size_bytes - _EDGE_BYTES))
                digest.update(file.read(_EDGE_BYTES))
        except OSError as error:
            raise PoolError(f"{shard.path}: {error.strerror or error}") from error
        files[shard.path] = {
            "name": shard.name,
            "path": shard.path,
            "format": shard.format,
            "size_bytes": shard.size_bytes,
            "fingerprint": digest.hexdigest(),
        }
    return list(files.values())


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that make a run what it is: a pool that was moved as a whole is still the same."""
    inputs = [{key: value for key, value in file.items() if key != "path"} for file in settings["inputs"]]
    return {**settings, "inputs": inputs}


def _is_finished(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder is a finished run of these settings. Raises RunError when it is of others, or not a run's."""
    for name in ("manifest.json", "plan.json"):
        path = folder / name
        if path.exists():
            try:
                old = json.loads(path.read_bytes())["settings"]
                same = _comparable(old) == _comparable(settings)
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{path}: damaged; use --overwrite to begin anew, or choose another --out") from error
            if not same:
                changed = [key for key in settings if _comparable(old).get(key) != _comparable(settings)[key]]
                raise RunError(
                    f"{folder}: holds a run of other settings ({', '.join(changed)} differ); "
                    "use --overwrite to begin anew, or choose another --out"
                )
            return name == "manifest.json"
    strangers = [path.name for path in folder.iterdir() if path.name != ".lock" and not path.name.endswith(".tmp")]
    if strangers:
        raise RunError(f"{folder}: not empty and no run ({strangers[0]!r} is in it); choose another --out")
    return False


def _tidy(folder: Path) -> None:
    """Remove what only an unfinished run needs; called again for a run that was killed right after its manifest."""
    with storage_errors(folder):
        (folder / "plan.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "staging", ignore_errors=True)


def _remove_run(folder: Path) -> None:
    """Remove what a run wrote, and nothing else. Raises RunError when the folder is not a run's."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "manifest.json").exists() and not (folder / "plan.json").exists():
        raise RunError(f"{folder}: no run, so --overwrite leaves it alone; choose another --out")
    with storage_errors(folder):
        for name in ("manifest.json", "plan.json", "entries.parquet", "skipped.parquet"):
            (folder / name).unlink(missing_ok=True)
        for name in ("staging", "parts", INDEX_FOLDER):
            shutil.rmtree(folder / name, ignore_errors=True)


class _Curation:
    """One curation under way."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        shards: Sequence[Shard],
        metadata: Metadata,
        opening: SkipLog,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.folder, self.settings, self.shards, self.metadata = folder, settings, shards, metadata
        self.opening, self.on_progress = opening, on_progress
        self.staging, self.parts = folder / "staging", folder / "parts"

    def run(self, map_stage: MapStage, workers: int) -> None:
        plan = {"format_version": FORMAT_VERSION, "settings": self.settings, "shards": [asdict(s) for s in self.shards]}
        write_json(self.folder / "plan.json", plan)
        for folder in (self.staging, self.parts):
            make_folder(folder)
        reports = self._match(map_stage, workers)
        self._check(reports)
        counts = self._count(map_stage)
        repeats = self._repeated_identities(sum(report["pairs"] for report in reports))
        parts = self._threshold(map_stage, counts, repeats)
        self._finish(reports, parts, counts, sum(len(rows) for rows in repeats.values()))

    def _match(self, map_stage: MapStage, workers: int) -> list[dict[str, Any]]:
        n_threads = None if workers == 1 else 1
        context = MatchContext(
            self.metadata, self.settings["boundaries"], self.settings["on_error"], self.staging, n_threads
        )
        return self._collect("match", map_stage(match_shard, context, list(enumerate(self.shards))))

    def _count(self, map_stage: MapStage) -> np.ndarray:
        """The counts of the whole pool, added up as a tree: no worker, and not this process, reads them all."""
        context = CountContext(self.staging, len(self.metadata))
        level, n_below = 0, len(self.shards)
        while True:
            groups = [
                range(n_below)[first : first + _COUNTS_IN_A_GROUP] for first in range(0, n_below, _COUNTS_IN_A_GROUP)
            ]
            items = [(level, number, group) for number, group in enumerate(groups)]
            for _ in map_stage(count_group, context, items):
                pass
            if len(groups) == 1:
                return read_counts(self.staging, level, 0)
            level, n_below = level + 1, len(groups)

    def _threshold(
        self, map_stage: MapStage, counts: np.ndarray, repeats: dict[int, dict[int, int]]
    ) -> list[dict[str, Any]]:
        context = ThresholdContext(self.metadata, counts, self.settings["seed"], self.staging, self.parts)
        items = [(number, repeats.get(number, {})) for number in range(len(self.shards))]
        return self._collect("threshold", map_stage(threshold_part, context, items))

    def _collect(self, stage: str, results: Any) -> list[dict[str, Any]]:
        collected: list[Any] = [None] * len(self.shards)
        pairs = 0
        for done, (number, result) in enumerate(results, start=1):
            collected[number] = result
            pairs += result.get("pairs", result.get("rows", 0))
            self.on_progress(Progress(stage, done, len(self.shards), pairs))
        return collected

    def _check(self, reports: list[dict[str, Any]]) -> None:
        """Raises PoolError where there is nothing to curate: no pair at all, or a file with only blank texts."""
        pairs: Counter[str] = Counter()
        blank: Counter[str] = Counter()
        for shard, report in zip(self.shards, reports, strict=True):
            pairs[shard.path] += report["pairs"]
            blank[shard.path] += report["blank_texts"]
        if not pairs.total():
            raise PoolError(
                f"the pool has no pair: {len(pairs)} files were read, and every record was skipped or missing"
            )
        for path, n_pairs in pairs.items():
            if n_pairs and n_pairs == blank[path] and self.settings["on_error"] == "raise":
                raise PoolError(
                    f"{path}: the text of all {n_pairs:,} records is empty; name another with --text-column"
                )

    def _repeated_identities(self, n_pairs: int) -> dict[int, dict[int, int]]:
        """For each shard its rows whose identity another pair had before them, with the number of the occurrence.

        Which pair is the first is a matter of text, file name and row, never of the order of the files.
        """
        n_passes = max(1, -(-n_pairs // _IDENTITIES_AT_ONCE))
        again = [np.zeros(0, np.uint64)]
        for number_of_pass in range(n_passes):
            bounds = 2**64 * number_of_pass // n_passes, 2**64 * (number_of_pass + 1) // n_passes - 1
            of_pass = [staged_identities(self.staging, number, *bounds) for number in range(len(self.shards))]
            ordered = sort_hashes(np.concatenate(of_pass))
            again.append(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]))
        repeats: dict[int, dict[int, int]] = defaultdict(dict)
        if any(map(len, again)):
            self._number_repeats(np.concatenate(again), repeats)
        return repeats

    def _number_repeats(self, again: np.ndarray, repeats: dict[int, dict[int, int]]) -> None:
        """Number the occurrences of the identity hashes `again`, which are ascending."""
        groups: dict[int, list[tuple[str, str, int, int, int]]] = defaultdict(list)
        for number in range(len(self.shards)):
            column = read_staged(self.staging, number).column("identity").to_numpy()
            places = np.minimum(np.searchsorted(again, column), len(again) - 1)
            rows = np.flatnonzero(again[places] == column)
            if not len(rows):
                continue
            texts = read_staged(self.staging, number).column("text").take(pa.array(rows)).to_pylist()
            shard = self.shards[number]
            for row, text in zip(rows.tolist(), texts, strict=True):
                groups[int(column[row])].append((text, shard.name, shard.start + row, number, row))
        for group in groups.values():
            for occurrence, (_, _, _, number, row) in enumerate(sorted(group)):
                if occurrence:
                    repeats[number][row] = occurrence

    def _finish(
        self, reports: list[dict[str, Any]], parts: list[dict[str, Any]], counts: np.ndarray, repeated_ids: int
    ) -> None:
        skipped = Counter(self.opening.reasons)
        located = list(self.opening.located)
        for report in reports:
            skipped.update(report["skipped"])
            located += report["located"]
        schema = dict.fromkeys(("path", "place", "reason", "detail"), pl.String)
        frames = {
            "entries.parquet": self.metadata.frame().with_columns(pl.Series("count", counts)),
            "skipped.parquet": pl.DataFrame(located, schema=schema),
        }
        tables = {}
        for name, frame in frames.items():
            with write_atomically(self.folder / name) as file:
                frame.write_parquet(file, compression="zstd")
            tables[name] = file_digest(self.folder / name)
        pairs = sum(report["pairs"] for report in reports)
        totals = {
            "read": pairs + skipped.total(),
            "pairs": pairs,
            "skipped": skipped.total(),
            "duplicates": 0,
            "filtered": 0,
            "matched_pairs": sum(report["matched_pairs"] for report in reports),
            "matches": int(counts.sum()),
            "repeated_ids": repeated_ids,
        }
        identity = json.dumps([_comparable(self.settings), [part["xxh3_128"] for part in parts]], sort_keys=True)
        manifest = {
            "format_version": FORMAT_VERSION,
            "fingerprint": xxhash.xxh3_128_hexdigest(identity.encode()),
            "settings": self.settings,
            "versions": {
                "metaclip-dashboard": __version__,
                "python": platform.python_version(),
                "polars": pl.__version__,
                "pyarrow": pa.__version__,
                "numpy": np.__version__,
            },
            "metadata": {
                "entries": len(self.metadata),
                "sources": list(self.metadata.source_names),
                "files": [asdict(file) for file in self.metadata.files],
                "dropped": {kind: len(getattr(self.metadata.dropped, kind)) for kind in ("empty", "blank", "doubled")},
                "never_matches": int(self.metadata.never_matches.sum()),
            },
            "totals": totals,
            "skipped": dict(sorted(skipped.items())),
            "tables": tables,
            "parts": parts,
        }
        write_json(self.folder / "manifest.json", manifest)
        _tidy(self.folder)
