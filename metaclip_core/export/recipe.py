"""The recipe: all that is needed to make an export again, and to know that it is the same."""

from __future__ import annotations

import math
import platform
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from metaclip_core import __version__, distribution
from metaclip_core.export.curated import CuratedSet
from metaclip_core.export.exporter import Written

__all__ = ["RECIPE_VERSION", "command", "figures_of", "json_t", "recipe"]

RECIPE_VERSION = 1


def json_t(t: float) -> float | str:
    """t for JSON, which knows no infinity: `float` of it is t again, to the last bit."""
    return t if math.isfinite(t) else repr(t)


def command(curated: CuratedSet, format: str, out: object, pairs_per_file: int | None) -> list[str]:
    """The arguments of the command line that make this export."""
    balance = curated.balance
    arguments = ["metaclip", "export", str(curated.run.place), "-t", repr(curated.t)]
    if balance.sources is not None:
        arguments += ["--sources", ",".join(balance.sources)]
    if curated.counts is not None:
        arguments += ["--counts", curated.counts]
    arguments += ["--seed", str(balance.seed), "--format", format]
    if pairs_per_file is not None:
        arguments += ["--pairs-per-file", str(pairs_per_file)]
    return [*arguments, "--out", str(out)]


def recipe(
    curated: CuratedSet,
    settings: Mapping[str, Any],
    arguments: Sequence[str],
    figures: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The document: `metaclip_export` (its version), command, settings, figures, files, the run, versions."""
    run = curated.run
    return {
        "metaclip_export": RECIPE_VERSION,
        "command": list(arguments),
        "command_line": shlex.join(arguments),
        "settings": dict(settings),
        "figures": dict(figures),
        "run": {
            "name": run.name,
            "fingerprint": run.fingerprint,
            "settings": run.manifest["settings"],
            "metadata": run.manifest["metadata"],
            "totals": run.totals,
            "skipped": run.manifest["skipped"],
            "versions": run.manifest["versions"],
        },
        "versions": {
            "metaclip-dashboard": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "polars": pl.__version__,
            "pyarrow": pa.__version__,
        },
        "files": list(files),
    }


def figures_of(curated: CuratedSet, written: Sequence[Written]) -> dict[str, Any]:
    """The export in figures: those of `metaclip info` at this setting, and what was written and left out."""
    balance, t = curated.balance, curated.t
    left_out: Counter[str] = Counter()
    pictures: Counter[str] = Counter()
    for each in written:
        left_out.update(each.left_out)
        pictures.update(each.pictures)
    return {
        "pool_pairs": curated.run.n_pairs,
        "matched_pairs": balance.matched_pairs,
        "curated_pairs": len(curated),
        "expected_curated_pairs": balance.expected_size(t),
        "pairs": sum(each.pairs for each in written),
        "left_out": dict(sorted(left_out.items())),
        "pictures": dict(sorted(pictures.items())),
        "entries": int(balance.enabled.sum()),
        "matched_entries": distribution.matched_entries(balance),
        "head_entries": distribution.head_entries(balance, t),
        "matches": balance.n_matches,
        "tail_share": balance.tail_share(t),
    }
