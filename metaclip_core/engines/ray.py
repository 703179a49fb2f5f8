"""The Ray engine: shards as tasks on a cluster, or on this machine when there is none. Needs the extra `ray`.

The cluster is that of RAY_ADDRESS, else one that is started here and ended afterwards. All nodes see the pool and the run
under the same paths, or under the same URLs. A task that dies with its worker or node is run again elsewhere, from the
beginning: stages write whole files only, so nothing of it is lost and nothing is there twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from metaclip_core.errors import RunError, SettingsError

__all__ = ["ray_workers"]

_RETRIES = 5  # of a task whose worker or node died; an error that a stage raises is final
_AHEAD = 2  # tasks handed over per worker: one runs, one waits, and the driver holds no more than that

_held: tuple[Any, Any] | None = None  # (reference, context) of this worker process


@contextmanager
def ray_workers(workers: int) -> Iterator[Any]:
    """See `metaclip_core.engines.Engine`. Raises SettingsError without Ray, RunError when a task's workers keep dying."""
    ray = _import_ray()
    starts_here = not ray.is_initialized()
    if starts_here:
        ray.init(**_where(workers))
    try:
        yield partial(_map_stage, ray, workers)
    finally:
        if starts_here:
            ray.shutdown()


def _map_stage(
    ray: Any, workers: int, stage: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    held = ray.put(context)
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_call)
    numbers = iter(range(len(items)))
    pending: dict[Any, int] = {}
    try:
        while True:
            while len(pending) < _AHEAD * workers and (number := next(numbers, None)) is not None:
                # In a list, Ray hands the reference on as it is: a worker fetches the context once, not once a task.
                pending[task.remote(stage, [held], items[number])] = number
            if not pending:
                return
            (done, *_), _ = ray.wait(list(pending), num_returns=1)
            number = pending.pop(done)
            yield number, _result(ray, done)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise SettingsError(
            "the engine `ray` needs Ray, which is not installed: pip install 'metaclip-dashboard[ray]'"
        ) from error
    return ray


def _where(workers: int) -> dict[str, Any]:
    if os.environ.get("RAY_ADDRESS"):
        return {"log_to_driver": False}
    return {"num_cpus": workers, "include_dashboard": False, "log_to_driver": False}


def _call(stage: Callable[[Any, Any], Any], held: list[Any], item: Any) -> Any:
    import ray

    global _held
    if _held is None or _held[0] != held[0]:
        _held = (held[0], ray.get(held[0]))
    return stage(_held[1], item)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise RunError(
            f"Ray gave a shard up after {_RETRIES} further tries: {error}; run the same command again to go on"
        ) from error
