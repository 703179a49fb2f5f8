"""A finished run made larger, without matching its pairs again: by more shards, or by more entries.

The larger run is a directory of its own; the old one stays as it is. It is what curating all from the start would have
given. (Where ids repeat, old pairs keep the identity that they have, and the new ones are told apart from them.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metaclip_core.curation import Curation, curate_into, described_inputs
from metaclip_core.errors import MetadataError, PoolError
from metaclip_core.metadata import Metadata, MetadataFile, load_metadata
from metaclip_core.metadata.files import SourcePath
from metaclip_core.pools import open_pool
from metaclip_core.pools.record import ReadOptions
from metaclip_core.progress import OnProgress
from metaclip_core.run import Run, open_run
from metaclip_core.selection import Selection
from metaclip_core.stages import SkipLog

__all__ = ["add_entries", "append_shards"]


def append_shards(
    run: Run | str | Path,
    pool: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    engine: str = "local",
    workers: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Run:
    """The run with further files of a pool, as a new run: the counts add up, every pair's keep_t is derived again.

    The files are read, filtered and matched with the settings of the old run. Raises what `curate` raises, and PoolError
    when the run has one of the files already.
    """
    run = run if isinstance(run, Run) else open_run(run)
    old = run.manifest["settings"]
    log = _log_of(run)
    selection = _selection_of(run)
    options = ReadOptions(text_column=old["text_column"], id_column=old["id_column"], extra_columns=selection.columns)
    paths = [pool] if isinstance(pool, str | Path) else list(pool)
    shards = open_pool(paths, format=old["format"], options=options, bad_record=log)
    inputs = described_inputs(shards)
    known = {(file["name"], file["fingerprint"]) for file in old["inputs"]}
    for file in inputs:
        if (file["name"], file["fingerprint"]) in known:
            raise PoolError(f"{file['path']}: the run {run.place} has this file already")
    settings = {**old, "inputs": [*old["inputs"], *inputs]}
    job = Curation(settings, shards, _metadata_of(run), selection, log, old=run, on_progress=on_progress)
    return curate_into(out, job, engine=engine, workers=workers, overwrite=overwrite)


def add_entries(
    run: Run | str | Path,
    files: Sequence[SourcePath],
    out: str | Path,
    *,
    engine: str = "local",
    workers: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Run:
    """The run with further metadata files (see `load_metadata`), as a new run: only what is new in them is matched.

    Entries keep their ids, new ones follow; an entry that is there gets the file's source, too. Raises what `curate`
    raises, and MetadataError when nothing in the files is new.
    """
    run = run if isinstance(run, Run) else open_run(run)
    metadata = _metadata_of(run, *files)
    settings = {**run.manifest["settings"], "metadata": metadata.fingerprint}
    if settings == run.manifest["settings"]:
        raise MetadataError(f"{run.place}: has all of these entries, with these sources, already")
    job = Curation(settings, [], metadata, _selection_of(run), _log_of(run), old=run, on_progress=on_progress)
    return curate_into(out, job, engine=engine, workers=workers, overwrite=overwrite)


def _metadata_of(run: Run, *files: SourcePath) -> Metadata:
    """The run's metadata, and that of further files; the run's own files are named, not its table."""
    metadata = load_metadata(run.table_path("entries.parquet"), *files)
    first = tuple(MetadataFile(**file) for file in run.manifest["metadata"]["files"])
    return replace(metadata, files=(*first, *metadata.files[1:]))


def _selection_of(run: Run) -> Selection:
    settings: dict[str, Any] = run.manifest["settings"]
    return Selection(settings["filter"], tuple(settings["languages"]))


def _log_of(run: Run) -> SkipLog:
    """What the run has skipped, to go on from."""
    log = SkipLog.empty(run.manifest["settings"]["on_error"])
    log.reasons.update(run.manifest["skipped"])
    log.located.extend(run.skipped.to_dicts())
    return log
