"""The core of metaclip-dashboard: match captions against metadata, balance by a threshold t, keep what came out.

The names below are the contract that other people's scripts rely on. They are imported on first use, so that
`import metaclip_core` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaclip_core.balancing import Balance, entry_counts, keep_probability, keep_thresholds
    from metaclip_core.curation import curate
    from metaclip_core.errors import MetaclipError
    from metaclip_core.matching import Matches, match_texts
    from metaclip_core.metadata import Metadata, load_metadata
    from metaclip_core.run import Run, open_run

__version__ = "0.1.0"

__all__ = [
    "Balance",
    "Matches",
    "MetaclipError",
    "Metadata",
    "Run",
    "curate",
    "entry_counts",
    "keep_probability",
    "keep_thresholds",
    "load_metadata",
    "match_texts",
    "open_run",
]

_HOMES = {
    "Balance": "balancing",
    "Matches": "matching",
    "MetaclipError": "errors",
    "Metadata": "metadata",
    "Run": "run",
    "curate": "curation",
    "entry_counts": "balancing",
    "keep_probability": "balancing",
    "keep_thresholds": "balancing",
    "load_metadata": "metadata",
    "match_texts": "matching",
    "open_run": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
