"""Arguments that several commands take, with one meaning."""

from __future__ import annotations

import argparse

__all__ = ["add_settings", "positive", "sources_of"]


def add_settings(parser: argparse.ArgumentParser, *, t_required: bool = True) -> None:
    """`-t`, `--sources` and `--seed`: a run under one setting."""
    parser.add_argument("-t", dest="t", type=float, required=t_required, metavar="T", help="the threshold")
    parser.add_argument("--sources", metavar="A,B", help="the metadata sources that are on (all); empty for none")
    parser.add_argument("--seed", type=int, metavar="N", help="of the draws (the run's own)")


def sources_of(options: argparse.Namespace) -> list[str] | None:
    """What `--sources` names; None when it was not given: all are on."""
    return None if options.sources is None else [name.strip() for name in options.sources.split(",") if name.strip()]


def positive(text: str) -> int:
    """A whole number from 1 on, as an argparse type."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value
