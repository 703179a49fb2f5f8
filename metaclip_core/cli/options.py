"""Arguments that several commands take, with one meaning."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaclip_core.embedding.models import ModelSpec
    from metaclip_core.run import Run

__all__ = ["add_engine", "add_model", "add_run", "add_settings", "model_of", "positive", "run_of", "sources_of"]


def add_run(parser: argparse.ArgumentParser, **settings: Any) -> None:
    """`RUN`: a finished run."""
    parser.add_argument("run", metavar="RUN", help="a run directory, or the URL of one (s3://bucket/run)", **settings)


def run_of(options: argparse.Namespace) -> Run:
    """The run that `RUN` names; what is missing of one in a store is fetched, which shows."""
    from metaclip_core.progress import shown_progress
    from metaclip_core.run import open_run

    run = open_run(options.run)
    if run.store is not None:
        with shown_progress(" files") as show:
            run.fetch(show)
    return run


def add_settings(parser: argparse.ArgumentParser, *, t_required: bool = True) -> None:
    """`-t`, `--sources`, `--seed` and `--counts`: a run under one setting."""
    parser.add_argument("-t", dest="t", type=float, required=t_required, metavar="T",
                        help="the threshold" + ("" if t_required else " (makes the tail's share of all matches nearest to 6 %%)"))  # fmt: skip
    parser.add_argument("--sources", metavar="A,B", help="the metadata sources that are on (all); empty for none")
    parser.add_argument("--seed", type=int, metavar="N", help="of the draws (the run's own)")
    parser.add_argument("--counts", metavar="WHOLE", help="balance by the counts of the whole that this pool is a part of: "
                        "its run, or a file of entries and counts")  # fmt: skip


def sources_of(options: argparse.Namespace) -> list[str] | None:
    """What `--sources` names; None when it was not given: all are on."""
    return None if options.sources is None else [name.strip() for name in options.sources.split(",") if name.strip()]


def positive(text: str) -> int:
    """A whole number from 1 on, as an argparse type."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def add_engine(parser: argparse.ArgumentParser) -> None:
    """`--engine` and `--workers`: how the shards are shared out."""
    parser.add_argument("--engine", default="local", help="local (processes), or ray (needs the extra `ray`)")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes; by default one a core, at most one a shard"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model` and `--pretrained`: the model that embeds."""
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="metaclip-sample (ships with the project), an open_clip name, or local-dir:FOLDER",
    )
    parser.add_argument("--pretrained", metavar="TAG_OR_PATH", help="with an open_clip name: the weights")


def model_of(options: argparse.Namespace) -> ModelSpec:
    """What `--model` and `--pretrained` name; without them the model that ships."""
    from metaclip_core.embedding.models import model_named

    return model_named(options.model, options.pretrained)
