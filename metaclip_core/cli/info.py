"""`metaclip info`: a run in figures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import add_run, add_settings, run_of, sources_of
from metaclip_core.cli.output import json_text

if TYPE_CHECKING:
    import numpy as np

    from metaclip_core.run import Run

__all__ = ["run_info"]

_AS_THEY_ARE = ("t", "seed", "fingerprint")  # to be copied
_FORMATS = {"tail_share": ".4f", "expected_curated_pairs": ",.1f"}


def add(commands: Any) -> None:
    parser = commands.add_parser("info", help="a run in figures, at a threshold t")
    parser.set_defaults(command=_run)
    add_run(parser)
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object; an infinite t is null")


def run_info(
    run: Run,
    t: float,
    *,
    sources: Sequence[str] | None = None,
    seed: int | None = None,
    counts: np.ndarray | None = None,
) -> dict[str, Any]:
    """The figures of `metaclip info`; the names are part of the contract, shares are 0 to 1.

    `counts`: of a larger pool, see `Run.balance`; `matches`, `matched_entries`, `tail_share` and `head_entries` are its.
    """
    from metaclip_core import distribution

    balance = run.balance(sources=sources, seed=seed, counts=counts)
    return {
        **{name: run.totals[name] for name in ("read", "pairs", "skipped", "duplicates", "filtered")},
        "repeated_ids": run.totals["repeated_ids"],
        "entries": int(balance.enabled.sum()),
        "matched_pairs": balance.matched_pairs,
        "matches": balance.n_matches,
        "matched_entries": distribution.matched_entries(balance),
        "tail_share": balance.tail_share(t),
        "head_entries": distribution.head_entries(balance, t),
        "curated_pairs": balance.curated_size(t),
        "expected_curated_pairs": balance.expected_size(t),
        "t": t,
        "sources": list(run.source_names if balance.sources is None else balance.sources),
        "seed": balance.seed,
        "fingerprint": run.fingerprint,
    }


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.metadata.published import counts_of_whole

    run = run_of(options)
    counts = counts_of_whole(options.counts, run.entries) if options.counts else None
    figures = run_info(run, options.t, sources=sources_of(options), seed=options.seed, counts=counts)
    if options.json:
        print(json_text(figures))
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<24}{_shown(name, value)}")


def _shown(name: str, value: Any) -> str:
    if name in _AS_THEY_ARE:
        return str(value)
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return format(value, _FORMATS.get(name, ","))
