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
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash
from filelock import FileLock, Timeout

from metaclip_core import __version__
from metaclip_core.balancing import check_seed
from metaclip_core.duplicates import DUPLICATES, check_duplicates, find_duplicates
from metaclip_core.engines import MapStage, engine_named
from metaclip_core.errors import PoolError, RunError, SettingsError, StorageError
from metaclip_core.index import INDEX_FOLDER
from metaclip_core.matching import BOUNDARIES
from metaclip_core.metadata import Metadata, load_metadata
from metaclip_core.pools import open_pool
from metaclip_core.pools.files import edges
from metaclip_core.pools.record import ReadOptions, Shard
from metaclip_core.progress import OnProgress, Progress
from metaclip_core.repeats import KINDS, RepeatContext, ranges_of_hashes, repeats_in_range
from metaclip_core.restaging import OldPart, RestageContext, old_parts, restage_part
from metaclip_core.run import FORMAT_VERSION, TABLES, Run, open_run
from metaclip_core.selection import Selection
from metaclip_core.stages import (
    CountContext,
    MatchContext,
    SkipLog,
    StagedShard,
    ThresholdContext,
    count_group,
    match_shard,
    read_counts,
    read_staged,
    staged_matched,
    threshold_part,
    told_apart,
)
from metaclip_core.storage import (
    file_digest,
    json_bytes,
    make_folder,
    move,
    names_in,
    remove_folder,
    remove_leftovers,
    storage_errors,
    write_atomically,
    write_json,
)
from metaclip_core.store import Place, StorePath, place_of

__all__ = ["Curation", "curate", "curate_into", "described_inputs"]

_COUNTS_IN_A_GROUP = 64  # shards, or sums of shards, that one task adds up


def curate(
    pool: str | Path | Sequence[str | Path],
    metadata: Metadata | str | Path,
    out: str | Path,
    *,
    format: str = "auto",
    text_column: str | None = None,
    id_column: str | None = None,
    filter: str | None = None,
    languages: Sequence[str] = (),
    drop_duplicates: str | None = None,
    boundaries: str = "space",
    engine: str = "local",
    workers: int = 1,
    seed: int = 0,
    on_error: str = "raise",
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Run:
    """Curate a pool into the run directory `out`, and open it.

    `pool`: files, folders, URLs or patterns (`pools.open_pool`). `filter` and `languages` leave pairs out before they are
    matched (`selection.Selection`), `drop_duplicates` exact duplicates of a kind (`duplicates.DUPLICATES`).
    A finished run of the same settings is opened as it is; one of other settings is refused unless `overwrite`; an
    unfinished one goes on. With several `workers` (processes) the caller's own script needs the usual
    `if __name__ == "__main__"`.
    Raises SettingsError, PoolError, MetadataError, RunError, StorageError, EngineError.
    """
    if boundaries not in BOUNDARIES:
        raise SettingsError(f"unknown boundary mode {boundaries!r}; there are: {', '.join(BOUNDARIES)}")
    if on_error not in ("raise", "skip"):
        raise SettingsError(f"unknown policy {on_error!r} for bad records; there are: raise, skip")
    if not isinstance(metadata, Metadata):
        metadata = load_metadata(metadata)
    paths = [pool] if isinstance(pool, str | Path) else list(pool)
    opening = SkipLog.empty(on_error)
    selection = Selection(filter, tuple(languages))
    options = ReadOptions(text_column=text_column, id_column=id_column, extra_columns=selection.columns)
    shards = open_pool(paths, format=format, options=options, bad_record=opening)
    settings = {
        "metadata": metadata.fingerprint,
        "inputs": described_inputs(shards),
        "format": format,
        "text_column": text_column,
        "id_column": id_column,
        "filter": filter,
        "languages": list(languages),
        "drop_duplicates": check_duplicates(drop_duplicates),
        "boundaries": boundaries,
        "seed": check_seed(seed),
        "on_error": on_error,
    }
    job = Curation(settings, shards, metadata, selection, opening, on_progress=on_progress)
    return curate_into(out, job, engine=engine, workers=workers, overwrite=overwrite)


def curate_into(out: str | Path, job: Curation, *, engine: str, workers: int, overwrite: bool) -> Run:
    """Do what is left of the job in the run directory `out`, and open it; see `curate`."""
    if workers < 1:
        raise SettingsError(f"workers must be 1 or more, got {workers}")
    start_workers = engine_named(engine)
    folder = place_of(out)
    if job.old is not None and _is_same(job.old.place, folder):
        raise SettingsError(f"{folder}: the larger run needs a folder of its own; choose another --out")
    if isinstance(folder, StorePath) and folder.protocol == "memory" and (workers > 1 or engine != "local"):
        raise SettingsError(f"{folder}: only this process sees its memory; use one worker of the local engine")
    _refuse_strangers(folder)
    make_folder(folder)
    with _alone_in(folder):
        if overwrite:
            _begin_anew(folder)
        elif _is_finished(folder, job.settings):
            _tidy(folder)
            return open_run(folder)
        job.claim(folder, overwrite)
        with start_workers(workers) as map_stage:
            job.run(map_stage, workers)
    return open_run(folder)


def _is_same(place: Place, other: Place) -> bool:
    if isinstance(place, Path) and isinstance(other, Path):
        return place.resolve() == other.resolve()
    return place == other


@contextmanager
def _alone_in(folder: Place) -> Iterator[None]:
    """Hold the folder's lock. A store has none, see `Curation.claim`."""
    if isinstance(folder, StorePath):
        yield
        return
    with storage_errors(folder):
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(
                f"{folder}: another process is curating into it; wait for it, or choose another --out"
            ) from error
    try:
        yield
    finally:
        lock.release()


def described_inputs(shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """The files of a pool, each with its size and a fingerprint of its begin and end."""
    files = {}
    for shard in shards:
        if shard.path in files:
            continue
        digest = xxhash.xxh3_128(str(shard.size_bytes).encode())
        for edge in edges(shard.path, shard.size_bytes):
            digest.update(edge)
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


def _refuse_strangers(folder: Place) -> None:
    """Raises RunError when the folder holds something and no run: nothing is written or removed there."""
    names = names_in(folder)
    strangers = sorted(name for name in names if name != ".lock" and not name.endswith(".tmp"))
    if strangers and names.isdisjoint({"manifest.json", "plan.json"}):
        raise RunError(f"{folder}: not empty and no run ({strangers[0]!r} is in it); choose another --out")


def _is_finished(folder: Place, settings: dict[str, Any]) -> bool:
    """Whether the folder is a finished run of these settings. Raises RunError when it is a run of others."""
    way_out = "use --overwrite to begin anew, or choose another --out"
    new = _comparable(settings)
    for name in ("manifest.json", "plan.json"):
        path = folder / name
        if not path.exists():
            continue
        try:
            document = json.loads(path.read_bytes())
            version, old = document["format_version"], _comparable(document["settings"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{path}: damaged; {way_out}") from error
        if version != FORMAT_VERSION:
            raise RunError(
                f"{path}: a run of format version {version}, this program writes {FORMAT_VERSION}; {way_out}"
            )
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        if name == "plan.json" and changed == ["on_error"] and old["on_error"] == "raise":
            return False  # a bad record ended it, and now they are to be skipped: what it has done had none
        if changed:
            raise RunError(f"{folder}: holds a run of other settings ({', '.join(changed)} differ); {way_out}")
        return name == "manifest.json"
    return False


def _tidy(folder: Place) -> None:
    """Remove what only an unfinished run needs; called again for a run that was killed right after its manifest."""
    with storage_errors(folder):
        (folder / "plan.json").unlink(missing_ok=True)
    with suppress(StorageError):
        remove_folder(folder / "staging")


def _begin_anew(folder: Place) -> None:
    """Remove what a run wrote, and nothing else.

    Killed anywhere in it, it leaves an unfinished run: the manifest becomes the plan, which the new plan replaces.
    """
    if (folder / "manifest.json").exists():
        move(folder / "manifest.json", folder / "plan.json")
    with storage_errors(folder):
        for name in TABLES:
            (folder / name).unlink(missing_ok=True)
    for name in ("staging", "parts", "embeddings", INDEX_FOLDER):
        remove_folder(folder / name)


class Curation:
    """One curation: of the shards of a pool, and of what an old run holds already, where there is one to go on from."""

    def __init__(
        self,
        settings: dict[str, Any],
        shards: Sequence[Shard],
        metadata: Metadata,
        selection: Selection,
        skipped: SkipLog,
        *,
        old: Run | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.settings, self.metadata, self.selection, self.skipped = settings, metadata, selection, skipped
        self.old, self.on_progress = old, on_progress or (lambda progress: None)
        self.old_parts = [] if old is None else old_parts(old)
        self.shards: list[Shard | OldPart] = [*self.old_parts, *shards]
        self.left_out: dict[int, np.ndarray] = {}  # the rows of a shard that are dropped as duplicates

    def claim(self, folder: Place, overwrite: bool) -> None:
        """Write the plan, which says what the folder becomes.

        In a store, where nothing can be locked, of two processes that begin at once with other settings one is refused. Two
        of the same settings write the same bytes.
        """
        self.folder, self.staging, self.parts = folder, folder / "staging", folder / "parts"
        plan = {"format_version": FORMAT_VERSION, "settings": self.settings, "shards": [asdict(s) for s in self.shards]}
        path = folder / "plan.json"
        if isinstance(path, StorePath) and not overwrite and not path.create(json_bytes(plan)):
            _is_finished(folder, self.settings)  # raises where it is another's
        write_json(path, plan)

    def run(self, map_stage: MapStage, workers: int) -> None:
        """Write the run directory that is claimed, or what is missing of it."""
        for each in (self.folder, self.staging, self.parts):
            make_folder(each)
            remove_leftovers(each)
        reports = self._match(map_stage, workers)
        self._check(reports)
        n_pairs = sum(report["pairs"] for report in reports)
        n_repeats, repeated = self._repeats(map_stage, n_pairs)
        self.left_out = self._dropped_duplicates(repeated)
        counts = self._count(map_stage)
        repeats = self._numbered_repeats(repeated["identity"])
        with ThreadPoolExecutor(1) as beside:  # this process only waits for its workers
            tables = beside.submit(self._write_tables, reports, counts)
            parts = self._threshold(map_stage, counts, repeats)
        self._finish(reports, parts, tables.result(), counts, sum(len(rows) for rows in repeats.values()), n_repeats)

    def _staged(self, number: int) -> pa.Table:
        return read_staged(self.staging, number)

    def _repeats(self, map_stage: MapStage, n_pairs: int) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        """(duplicates by kind, the hashes that come more than once: of the identities, and of the kind that is dropped)."""
        wanted = ("identity", self.settings["drop_duplicates"])
        items = [each for kind in KINDS for each in ranges_of_hashes(kind, n_pairs, kind in wanted)]
        context = RepeatContext(self.staging, len(self.shards))
        n_repeats: Counter[str] = Counter(dict.fromkeys(DUPLICATES, 0))
        repeated: dict[str, list[np.ndarray]] = defaultdict(list)
        results = dict(map_stage(repeats_in_range, context, items))
        for number, item in enumerate(items):  # ranges in order: what they hold is, too
            n_again, again = results[number]
            n_repeats[item.kind] += n_again
            repeated[item.kind].append(again)
        return (
            {kind: n_repeats[kind] for kind in DUPLICATES},
            {kind: np.concatenate(some) for kind, some in repeated.items()},
        )

    def _dropped_duplicates(self, repeated: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
        """The rows of each shard that are dropped as duplicates; the first by file name and row stays."""
        kind = self.settings["drop_duplicates"]
        if kind is None:
            return {}
        shards = self.shards
        order = sorted(range(len(shards)), key=lambda n: (shards[n].name, shards[n].start, shards[n].path))
        return find_duplicates(self._staged, order, kind, repeated[kind])

    def _match(self, map_stage: MapStage, workers: int) -> list[dict[str, Any]]:
        n_threads, boundaries, n_old = None if workers == 1 else 1, self.settings["boundaries"], len(self.old_parts)
        n_matched = 0 if self.old is None else self.old.manifest["metadata"]["entries"]
        old = RestageContext(self.metadata, n_matched, boundaries, self.staging, n_threads)
        new = MatchContext(
            self.metadata, boundaries, self.settings["on_error"], self.staging, n_threads, self.selection
        )
        items = list(enumerate(self.shards))
        restaged = map_stage(restage_part, old, items[:n_old])
        matched = map_stage(match_shard, new, items[n_old:])
        return self._collect("match", chain(restaged, ((n_old + number, report) for number, report in matched)))

    def _count(self, map_stage: MapStage) -> np.ndarray:
        """The counts of the whole pool, added up as a tree: no worker, and not this process, reads them all."""
        context = CountContext(self.staging, len(self.metadata), self.left_out)
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
        items = [StagedShard(n, repeats.get(n, {}), self.left_out.get(n)) for n in range(len(self.shards))]
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
        filtered = 0
        for number, (shard, report) in enumerate(zip(self.shards, reports, strict=True)):
            pairs[shard.path] += report["pairs"]
            blank[shard.path] += report["blank_texts"] if number >= len(self.old_parts) else 0
            filtered += sum(report["filtered"].values())
        if not pairs.total():
            left = f"{filtered:,} pairs were left out by --filter or --language, " if filtered else ""
            raise PoolError(
                f"the pool has no pair: {len(pairs)} files were read, {left}and every record was skipped or missing"
            )
        for path, n_pairs in pairs.items():
            if n_pairs and n_pairs == blank[path] and self.settings["on_error"] == "raise":
                raise PoolError(
                    f"{path}: the text of all {n_pairs:,} records is empty; name another with --text-column"
                )

    def _numbered_repeats(self, again: np.ndarray) -> dict[int, dict[int, int]]:
        """For each shard its rows whose identity another pair had before them, with the number of the occurrence.

        Which pair is the first is a matter of text, address, file name and row, never of the order of the files. `again`: the
        identity hashes that come more than once, ascending; some may be left out, and single.
        """
        repeats: dict[int, dict[int, int]] = defaultdict(dict)
        if not len(again):
            return repeats
        groups: dict[int, list[tuple[tuple[Any, ...], int, int]]] = defaultdict(list)
        for number, (rows, column) in enumerate(self._identities()):
            places = np.minimum(np.searchsorted(again, column), len(again) - 1)
            chosen = again[places] == column
            if not chosen.any():
                continue
            rows, hashes = rows[chosen], column[chosen]
            pairs = read_staged(self.staging, number).select(["text", "url"]).take(pa.array(rows)).to_pylist()
            shard = self.shards[number]
            for hash_, row, pair in zip(hashes.tolist(), rows.tolist(), pairs, strict=True):
                order = (pair["text"], pair["url"] or "", shard.name, shard.start + row, shard.path)
                groups[int(hash_)].append((order, number, row))
        for hash_, group in groups.items():
            # An old run's pair keeps the identity that it has; what it once told apart has its number, too.
            new = sorted(member for member in group if member[1] >= len(self.old_parts))
            free = self._free_occurrences(hash_) if len(new) < len(group) else count(0)
            for (_, number, row), occurrence in zip(new, free, strict=False):
                if occurrence:
                    repeats[number][row] = occurrence
        return repeats

    def _identities(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, identity hashes) of the pairs of each shard, without those that are left out."""
        for number in range(len(self.shards)):
            column = read_staged(self.staging, number).column("identity").to_numpy()
            rows = np.delete(np.arange(len(column)), self.left_out.get(number, []))
            yield rows, column[rows] if len(rows) < len(column) else column

    def _free_occurrences(self, identity_hash: int) -> Iterator[int]:
        """The numbers (1, 2, ...) under which the old run has told no pair of this identity apart."""
        taken = self.old.identity_hashes if self.old is not None else np.zeros(0, np.uint64)
        for occurrence in count(1):
            if not np.any(taken == np.uint64(told_apart(identity_hash, occurrence))):
                yield occurrence

    def _write_tables(self, reports: list[dict[str, Any]], counts: np.ndarray) -> dict[str, Any]:
        """Write the tables beside the parts. Returns the size and the digest of each, by name."""
        located = [*self.skipped.located, *chain.from_iterable(report["located"] for report in reports)]
        schema = dict.fromkeys(("path", "place", "reason", "detail"), pl.String)
        frames = {
            "entries.parquet": self.metadata.frame().with_columns(pl.Series("count", counts)),
            "skipped.parquet": pl.DataFrame(located, schema=schema),
        }
        tables = {}
        for name, frame in frames.items():
            with write_atomically(self.folder / name) as file:
                frame.write_parquet(file, compression="zstd")
                tables[name] = file_digest(file)
        return tables

    def _finish(
        self,
        reports: list[dict[str, Any]],
        parts: list[dict[str, Any]],
        tables: dict[str, Any],
        counts: np.ndarray,
        repeated_ids: int,
        duplicates: dict[str, int],
    ) -> None:
        skipped = Counter(self.skipped.reasons)
        for report in reports:
            skipped.update(report["skipped"])
        before = None if self.old is None else self.old.manifest
        filtered = Counter(before["filtered"] if before else {})
        for report in reports:
            filtered.update(report["filtered"])
        n_matched = sum(report["matched_pairs"] for report in reports)
        n_passed = sum(report["pairs"] for report in reports)
        n_dropped = sum(len(rows) for rows in self.left_out.values())
        dropped_before = before["totals"]["duplicates"] if before else 0
        if kind := self.settings["drop_duplicates"]:
            duplicates = {**duplicates, kind: duplicates[kind] + dropped_before}
        totals = {
            "read": n_passed + dropped_before + skipped.total() + filtered.total(),
            "pairs": n_passed - n_dropped,
            "skipped": skipped.total(),
            "duplicates": n_dropped + dropped_before,
            "filtered": filtered.total(),
            "matched_pairs": n_matched
            - sum(staged_matched(self.staging, n, rows) for n, rows in self.left_out.items()),
            "matches": int(counts.sum()),
            "repeated_ids": repeated_ids + (before["totals"]["repeated_ids"] if before else 0),
        }
        identity = json.dumps([_comparable(self.settings), [part["content"] for part in parts]], sort_keys=True)
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
            "filtered": dict(sorted(filtered.items())),
            "duplicates": duplicates,
            "tables": tables,
            "parts": [
                {"shard": shard.name, "start": shard.start, **part}
                for shard, part in zip(self.shards, parts, strict=True)
            ],
        }
        if isinstance(self.folder, StorePath) and _is_finished(self.folder, self.settings):
            return _tidy(self.folder)  # by another process; raises where one has begun something else in its place
        write_json(self.folder / "manifest.json", manifest)
        _tidy(self.folder)
