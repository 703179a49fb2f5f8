"""How a stage is mapped over the shards of a pool. An engine knows nothing of what it maps.

A stage is a module-level function of (context, item). The context, the same for every item and large, goes to a worker
once; items and results are small. Results come as they are ready, each with the number of its item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from metaclip_core.engines.local import local_workers
from metaclip_core.engines.ray import ray_workers
from metaclip_core.errors import SettingsError

__all__ = ["Engine", "MapStage", "engine_named"]


class MapStage(Protocol):
    """Map `stage(context, item)` over items; the first error ends it."""

    def __call__(
        self, stage: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]: ...


Engine = Callable[[int], AbstractContextManager[MapStage]]
"""Given how many, starts workers that map stage after stage, and ends them with the block."""

_ENGINES: dict[str, Engine] = {"local": local_workers, "ray": ray_workers}


def engine_named(name: str) -> Engine:
    """The engine of this name. Raises SettingsError."""
    if name not in _ENGINES:
        raise SettingsError(f"unknown engine {name!r}; there are: {', '.join(_ENGINES)}")
    return _ENGINES[name]
