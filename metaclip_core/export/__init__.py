"""The curated set of a run at one setting, as the files that training code reads (docs/export.md).

A format is one module (an `Exporter`) and one line in FORMATS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metaclip_core import __version__, distribution
from metaclip_core.balancing import check_t
from metaclip_core.errors import SettingsError
from metaclip_core.export.card import data_card
from metaclip_core.export.curated import CURATED_SCHEMA, CuratedSet
from metaclip_core.export.datacomp import DataCompExporter
from metaclip_core.export.destination import CARD_NAME, RECIPE_NAME, Destination
from metaclip_core.export.exporter import Exporter, Written
from metaclip_core.export.jsonl import JsonLinesExporter
from metaclip_core.export.metaclip import MetaclipExporter
from metaclip_core.export.parquet import ParquetExporter
from metaclip_core.export.recipe import command, json_t, recipe
from metaclip_core.export.webdataset import WebDatasetExporter
from metaclip_core.run import Run
from metaclip_core.storage import file_digest, write_atomically, write_json

__all__ = ["CURATED_SCHEMA", "FORMATS", "CuratedSet", "ExportResult", "Exporter", "Progress", "export"]

FORMATS: dict[str, type[Exporter]] = {
    "parquet": ParquetExporter,
    "jsonl": JsonLinesExporter,
    "webdataset": WebDatasetExporter,
    "datacomp": DataCompExporter,
    "metaclip": MetaclipExporter,
}


@dataclass(frozen=True)
class Progress:
    """How far a stage is (`select`, `write`, `describe`): curated pairs dealt with of all, and pairs written so far."""

    stage: str
    done: int
    total: int
    pairs: int


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished export: a folder, or a file with its recipe and data card beside it."""

    path: Path
    recipe_path: Path
    card_path: Path
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
        """Curated pairs that are not in the export, by reason (`without a picture`, ...)."""
        return dict(self.recipe["figures"]["left_out"])

    @property
    def files(self) -> list[Path]:
        """The files of the export, without its recipe and data card."""
        if self.path.is_file():
            return [self.path]
        return [self.path / file["name"] for file in self.recipe["files"]]


def export(
    run: Run,
    out: str | Path,
    *,
    t: float,
    format: str,
    sources: Iterable[str] | None = None,
    seed: int | None = None,
    pairs_per_file: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExportResult:
    """Export the pairs of a run that are kept at t, with these sources on (None: all) and this seed (None: the run's).

    `out`: a folder; for parquet, jsonl and datacomp also a file, when it ends in .parquet, .jsonl or .npy. It appears
    when the export is complete: one that was interrupted leaves `.OUT.partial`, from which the same call goes on.
    `pairs_per_file`: of parquet, jsonl (1,000,000) and webdataset (10,000) in a folder. `overwrite` replaces an
    export, nothing else. Raises SettingsError, PoolError, RunError, StorageError.
    """
    if format not in FORMATS:
        raise SettingsError(f"unknown export format {format!r}; there are: {', '.join(FORMATS)}")
    kind = FORMATS[format]
    destination = Destination(out, kind.ENDING)
    _check_pairs_per_file(pairs_per_file, kind, destination)
    t = check_t(t)
    destination.check(overwrite)
    report = on_progress or (lambda progress: None)
    report(Progress("select", 0, run.n_pairs, 0))
    curated = CuratedSet(run=run, balance=run.balance(sources, seed), t=t)
    exporter = kind(curated)
    if kind.PAIRS_PER_FILE is not None and not destination.is_file:
        pairs_per_file = pairs_per_file or kind.PAIRS_PER_FILE
    settings = {
        "t": json_t(t),
        "sources": None if curated.balance.sources is None else list(curated.balance.sources),
        "seed": curated.balance.seed,
        "format": format,
        "pairs_per_file": pairs_per_file,
    }
    plan = {"run": run.fingerprint, "version": __version__, "file": destination.is_file, **settings}
    with destination.opened(plan):
        reports = _write(exporter, pairs_per_file, destination, report)
        report(Progress("describe", len(curated), len(curated), sum(each["pairs"] for each in reports)))
        document = _describe(exporter, settings, command(curated, format, out, pairs_per_file), reports, destination)
        destination.publish(reports[0]["files"][0]["name"] if reports else "")
    return ExportResult(
        path=Path(out), recipe_path=destination.recipe_path, card_path=destination.card_path, recipe=document
    )


def _check_pairs_per_file(pairs_per_file: int | None, kind: type[Exporter], destination: Destination) -> None:
    if pairs_per_file is None:
        return
    if pairs_per_file < 1:
        raise SettingsError(f"pairs per file must be 1 or more, got {pairs_per_file}")
    if kind.PAIRS_PER_FILE is None or destination.is_file:
        raise SettingsError(
            f"{destination.out}: pairs per file can't be chosen here, only for parquet, jsonl and webdataset in a folder"
        )


def _write(
    exporter: Exporter, pairs_per_file: int | None, destination: Destination, report: Callable[[Progress], None]
) -> list[dict[str, Any]]:
    """A report a task: `pairs`, `left_out`, `noted`, and the `files` with their digests."""
    total = len(exporter.curated)
    done = pairs = 0

    def advance(n_done: int, n_pairs: int) -> None:
        nonlocal done, pairs
        done, pairs = done + n_done, pairs + n_pairs
        report(Progress("write", done, total, pairs))

    reports = []
    for task in exporter.tasks(pairs_per_file):
        each = destination.report(task.number)
        if each is None:
            written = exporter.write(task, destination.files, advance)
            files = [{"name": name, **file_digest(destination.files / name)} for name in written.files]
            each = {**asdict(written), "files": files}
            destination.keep_report(task.number, each)
        else:
            advance(task.stop - task.start, each["pairs"])
        reports.append(each)
    return reports


def _describe(
    exporter: Exporter,
    settings: dict[str, Any],
    arguments: Sequence[str],
    reports: Sequence[dict[str, Any]],
    destination: Destination,
) -> dict[str, Any]:
    """Write what stands beside the tasks' files; returns the recipe."""
    written = [
        Written(
            files=tuple(file["name"] for file in each["files"]),
            pairs=each["pairs"],
            left_out=each["left_out"],
            noted=each["noted"],
        )
        for each in reports
    ]
    beside = [
        {"name": name, **file_digest(destination.files / name)} for name in exporter.finish(destination.files, written)
    ]
    figures = _figures(exporter.curated, written)
    files = [file for each in reports for file in each["files"]]
    document = recipe(exporter.curated, settings, arguments, figures, [*files, *beside])
    with write_atomically(destination.files / CARD_NAME) as file:
        file.write(data_card(exporter.curated, settings["format"], figures).encode())
    write_json(destination.files / RECIPE_NAME, document)
    return document


def _figures(curated: CuratedSet, written: Sequence[Written]) -> dict[str, Any]:
    balance, t = curated.balance, curated.t
    left_out: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    for each in written:
        left_out.update(each.left_out)
        noted.update(each.noted)
    return {
        "pool_pairs": curated.run.n_pairs,
        "matched_pairs": balance.matched_pairs,
        "curated_pairs": len(curated),
        "expected_curated_pairs": balance.expected_size(t),
        "pairs": sum(each.pairs for each in written),
        "left_out": dict(sorted(left_out.items())),
        "noted": dict(sorted(noted.items())),
        "entries": int(balance.enabled.sum()),
        "matched_entries": distribution.matched_entries(balance),
        "head_entries": distribution.head_entries(balance, t),
        "matches": balance.n_matches,
        "tail_share": balance.tail_share(t),
    }
