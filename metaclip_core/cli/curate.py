"""`metaclip curate`: a pool into a run directory."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import positive

if TYPE_CHECKING:
    from metaclip_core.curation import Progress


def add(commands: Any) -> None:
    parser = commands.add_parser("curate", help="match and balance a pool into a run directory")
    parser.set_defaults(command=_run)
    parser.add_argument(
        "pool", nargs="+", metavar="POOL", help="files or folders: WebDataset tars, parquet, jsonl, csv, tsv"
    )
    parser.add_argument("--metadata", nargs="+", action="extend", required=True, metavar="[NAME=]FILE",
                        help="parquet with entry and sources, a .json list, or a text file with an entry a line")  # fmt: skip
    parser.add_argument("--out", required=True, metavar="RUN", help="the run directory to write")
    parser.add_argument("--format", default="auto", help="auto (by the file's name), webdataset, parquet, jsonl, csv")
    parser.add_argument("--text-column", metavar="C", help="the column of the text, where no usual name is found")
    parser.add_argument("--id-column", metavar="C", help="the column of a unique id; `uid` is found by itself")
    parser.add_argument("--boundaries", default="space", metavar="MODE",
                        help="space: an entry stands between spaces; script: it needs none beside Chinese, Thai, ...")  # fmt: skip
    parser.add_argument("--engine", default="local", help="local (processes), or ray (needs the extra `ray`)")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes; by default one a core, at most one a shard"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    parser.add_argument("--on-error", default="raise", choices=("raise", "skip"), help="what a bad record does (raise)")
    parser.add_argument("--overwrite", action="store_true", help="replace a run of other settings")


def _run(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from metaclip_core.curation import curate
    from metaclip_core.kernels.threads import available_cores
    from metaclip_core.metadata import load_metadata, metadata_argument

    metadata = load_metadata(*(metadata_argument(argument) for argument in options.metadata))
    with tqdm(unit=" shards", disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.set_description(progress.stage)
            bar.total, bar.n = progress.total, progress.done
            bar.set_postfix_str(f"{progress.pairs:,} pairs")

        run = curate(
            options.pool,
            metadata,
            options.out,
            format=options.format,
            text_column=options.text_column,
            id_column=options.id_column,
            boundaries=options.boundaries,
            engine=options.engine,
            workers=options.workers or available_cores(),
            seed=options.seed,
            on_error=options.on_error,
            overwrite=options.overwrite,
            on_progress=show,
        )
    totals = run.totals
    skipped = f", {totals['skipped']:,} skipped" if totals["skipped"] else ""
    print(
        f"{run.path}: {totals['pairs']:,} pairs{skipped}, {totals['matched_pairs']:,} matched, {totals['matches']:,} matches"
    )
