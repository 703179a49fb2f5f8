"""`metaclip append`: more shards for a finished run."""

from __future__ import annotations

import argparse
from typing import Any

from metaclip_core.cli.options import add_engine


def add(commands: Any) -> None:
    parser = commands.add_parser("append", help="a finished run with further shards, as a new run")
    parser.set_defaults(command=_run)
    parser.add_argument("run", metavar="RUN", help="a finished run; its settings are those of the new one")
    parser.add_argument("pool", nargs="+", metavar="POOL", help="what is new: files, folders, URLs, patterns of them")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run directory to write")
    add_engine(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace another run in --out")


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.cli.curate import run_summary
    from metaclip_core.extending import append_shards
    from metaclip_core.kernels.threads import available_cores
    from metaclip_core.progress import shown_progress

    with shown_progress() as show:
        run = append_shards(
            options.run,
            options.pool,
            options.out,
            engine=options.engine,
            workers=options.workers or available_cores(),
            overwrite=options.overwrite,
            on_progress=show,
        )
    print("\n".join(run_summary(run)))
