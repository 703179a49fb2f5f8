"""`metaclip export`: the curated set at a threshold, as files for training."""

from __future__ import annotations

import argparse
from typing import Any

from metaclip_core.cli.options import add_run, add_settings, positive, run_of, sources_of


def add(commands: Any) -> None:
    parser = commands.add_parser("export", help="write the curated set as files that training code reads")
    parser.set_defaults(command=_run)
    add_run(parser)
    add_settings(parser)
    parser.add_argument("--format", required=True, metavar="F", help="parquet, jsonl, webdataset, datacomp, metaclip")
    parser.add_argument("--out", required=True, metavar="PATH",
                        help="a folder to write, or a URL; or a file: .parquet, .jsonl, .npy (datacomp)")  # fmt: skip
    parser.add_argument("--pairs-per-file", type=positive, metavar="N",
                        help="in a folder: of parquet and jsonl 1,000,000, of webdataset 10,000")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.export import export
    from metaclip_core.progress import shown_progress

    run = run_of(options)
    with shown_progress(" pairs") as show:
        result = export(
            run,
            options.out,
            t=options.t,
            format=options.format,
            sources=sources_of(options),
            seed=options.seed,
            counts=options.counts,
            pairs_per_file=options.pairs_per_file,
            overwrite=options.overwrite,
            on_progress=show,
        )
    left_out = "".join(f", left out: {n:,} {reason}" for reason, n in result.left_out.items())
    print(f"{result.path}: {result.pairs:,} of {run.n_pairs:,} pairs{left_out}")
