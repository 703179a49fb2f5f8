"""The curated set of a run at one setting, as the files that training code reads (docs/export.md).

A format is one module (an `Exporter`) and one line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from metaclip_core import __version__
from metaclip_core.balancing import check_t
from metaclip_core.errors import SettingsError
from metaclip_core.export.card import data_card
from metaclip_core.export.curated import CURATED_SCHEMA, CuratedSet
from metaclip_core.export.datacomp import DataCompExporter
from metaclip_core.export.destination import CARD_NAME, RECIPE_NAME, Destination, destination_of
from metaclip_core.export.exporter import Exporter, Written
from metaclip_core.export.jsonl import JsonLinesExporter
from metaclip_core.export.metaclip import MetaclipExporter
from metaclip_core.export.parquet import ParquetExporter
from metaclip_core.export.recipe import command, figures_of, json_t, recipe
from metaclip_core.export.webdataset import WebDatasetExporter
from metaclip_core.metadata.published import counts_of_whole
from metaclip_core.progress import OnProgress, Progress
from metaclip_core.run import Run
from metaclip_core.storage import write_atomically, write_json
from metaclip_core.store import Place, StorePath, place_of

__all__ = ["CURATED_SCHEMA", "FORMATS", "CuratedSet", "ExportResult", "Exporter", "export"]

FORMATS: dict[str, type[Exporter]] = {
    "parquet": ParquetExporter,
    "jsonl": JsonLinesExporter,
    "webdataset": WebDatasetExporter,
    "datacomp": DataCompExporter,
    "metaclip": MetaclipExporter,
}


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished export: a folder, or a file with its recipe and data card beside it."""

    path: Place
    recipe_path: Place
    card_path: Place
    recipe: dict[str, Any]

    @property
    def curated_pairs(self) -> int:
        """The pairs with keep_t < t."""
        return int(self.recipe["figures"]["curated_pairs"])

    @property
    def pairs(self) -> int:
        """Those of them that were exported: all but the ones in `left_out`."""
        return int(self.recipe["figures"]["pairs"])

    @property
    def left_out(self) -> dict[str, int]:
        """Curated pairs that are not in the export, by reason (`no_picture`, `unreadable_picture`)."""
        return dict(self.recipe["figures"]["left_out"])

    @property
    def files(self) -> list[Place]:
        """The files of the export, without its recipe and data card."""
        if self.recipe_path.name != RECIPE_NAME:
            return [self.path]
        return [self.path / file["name"] for file in self.recipe["files"]]


def export(
    run: Run,
    out: str | Path | StorePath,
    *,
    t: float,
    format: str,
    sources: Iterable[str] | None = None,
    seed: int | None = None,
    counts: str | Path | None = None,
    pairs_per_file: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportResult:
    """Export the pairs of a run that are kept at t, with these sources on (None: all) and this seed (None: the run's).

    `counts`: balance by those of the whole that this pool is a part of, its run or a file (`published.counts_of_whole`).
    `out`: a folder, or the URL of one; for parquet, jsonl and datacomp also a file, when it ends in .parquet, .jsonl or .npy. It appears
    when the export is complete: one that was interrupted leaves `.OUT.partial`, from which the same call goes on.
    `pairs_per_file`: of parquet, jsonl (1,000,000) and webdataset (10,000) in a folder. `overwrite` replaces an
    export, nothing else. `on_progress` is told the stage (`select`, `write`, `describe`), the curated pairs dealt with
    of all, and the pairs written so far. Raises SettingsError, PoolError, RunError, StorageError.
    """
    if format not in FORMATS:
        raise SettingsError(f"unknown export format {format!r}; there are: {', '.join(FORMATS)}")
    kind = FORMATS[format]
    destination = destination_of(out, kind.ENDING)
    _check_pairs_per_file(pairs_per_file, kind, destination)
    t = check_t(t)
    destination.check(overwrite)
    report = on_progress or (lambda progress: None)
    report(Progress("select", 0, run.n_pairs, 0))
    whole = None if counts is None else counts_of_whole(counts, run.entries)
    balance = run.balance(sources, seed, whole)
    curated = CuratedSet(run=run, balance=balance, t=t, counts=None if counts is None else str(counts))
    exporter = kind(curated)
    if kind.PAIRS_PER_FILE is not None and not destination.is_file:
        pairs_per_file = pairs_per_file or kind.PAIRS_PER_FILE
    settings = {
        "t": json_t(t),
        "sources": None if curated.balance.sources is None else list(curated.balance.sources),
        "seed": curated.balance.seed,
        "counts": None if whole is None else xxhash.xxh3_128_hexdigest(whole.tobytes()),
        "format": format,
        "pairs_per_file": pairs_per_file,
    }
    plan = {"run": run.fingerprint, "version": __version__, "file": destination.is_file, **settings}
    with destination.opened(plan):
        written = _write(exporter, pairs_per_file, destination, report)
        report(Progress("describe", len(curated), len(curated), sum(each.pairs for each in written)))
        document = _describe(exporter, settings, command(curated, format, out, pairs_per_file), written, destination)
        destination.publish(written[0].files[0]["name"])
    return ExportResult(
        path=place_of(out), recipe_path=destination.recipe_path, card_path=destination.card_path, recipe=document
    )


def _check_pairs_per_file(pairs_per_file: int | None, kind: type[Exporter], destination: Destination) -> None:
    if pairs_per_file is None:
        return
    if pairs_per_file < 1:
        raise SettingsError(f"pairs per file must be 1 or more, got {pairs_per_file}")
    if kind.PAIRS_PER_FILE is None or destination.is_file:
        raise SettingsError(
            f"{destination.place}: pairs per file can't be chosen here, only for parquet, jsonl and webdataset in a folder"
        )


def _write(
    exporter: Exporter, pairs_per_file: int | None, destination: Destination, report: OnProgress
) -> list[Written]:
    """What each task wrote, now or before an interruption."""
    total = len(exporter.curated)
    done = pairs = 0

    def advance(n_done: int, n_pairs: int) -> None:
        nonlocal done, pairs
        done, pairs = done + n_done, pairs + n_pairs
        report(Progress("write", done, total, pairs))

    results = []
    for task in exporter.tasks(pairs_per_file):
        earlier = destination.report(task.number)
        if earlier is None:
            written = exporter.write(task, destination.files, advance)
            destination.keep_report(task.number, asdict(written))
        else:
            written = Written(**earlier)
            advance(task.stop - task.start, written.pairs)
        results.append(written)
    return results


def _describe(
    exporter: Exporter,
    settings: dict[str, Any],
    arguments: Sequence[str],
    written: Sequence[Written],
    destination: Destination,
) -> dict[str, Any]:
    """Write what stands beside the tasks' files; returns the recipe."""
    beside = exporter.finish(destination.files, written)
    figures = figures_of(exporter.curated, written)
    files = [*(file for each in written for file in each.files), *beside]
    if destination.is_file:
        files = [{**files[0], "name": destination.place.name}]
    document = recipe(exporter.curated, settings, arguments, figures, files)
    with write_atomically(destination.files / CARD_NAME) as file:
        file.write(data_card(exporter.curated, settings["format"], figures).encode())
    write_json(destination.files / RECIPE_NAME, document)
    return document
