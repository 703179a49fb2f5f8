"""`metaclip append`: more shards for a finished run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import add_engine, add_run

if TYPE_CHECKING:
    from metaclip_core.run import Run

__all__ = ["add_extending", "extend"]


def add(commands: Any) -> None:
    parser = commands.add_parser("append", help="a finished run with further shards, as a new run")
    parser.set_defaults(command=_run)
    add_run(parser)
    parser.add_argument("pool", nargs="+", metavar="POOL", help="what is new: files, folders, URLs, patterns of them")
    add_extending(parser)


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.extending import append_shards

    extend(options, append_shards, options.pool)


def add_extending(parser: argparse.ArgumentParser) -> None:
    """What every command takes that makes a larger run of a finished one."""
    parser.add_argument("--out", required=True, metavar="RUN", help="the run directory to write, or a URL")
    add_engine(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace another run in --out")


def extend(options: argparse.Namespace, make: Callable[..., Run], what: Any) -> None:
    """`make` (of `metaclip_core.extending`) the larger run of `options.run` and `what`, and say what is in it."""
    from metaclip_core.cli.curate import run_summary
    from metaclip_core.kernels.threads import available_cores
    from metaclip_core.progress import shown_progress

    with shown_progress() as show:
        run = make(
            options.run,
            what,
            options.out,
            engine=options.engine,
            workers=options.workers or available_cores(),
            overwrite=options.overwrite,
            on_progress=show,
        )
    print("\n".join(run_summary(run)))
