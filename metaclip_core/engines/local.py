"""The local engine: in this process with one worker, else a pool of processes, started fresh and never forked."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from metaclip_core.errors import RunError

__all__ = ["local_workers"]

_held: tuple[Path, Any] | None = None  # (file, the context that it holds) of this worker process


@contextmanager
def local_workers(workers: int) -> Iterator[Any]:
    """See `metaclip_core.engines.Engine`. The processes start with the first stage of several items, and stay."""
    if workers == 1:
        yield _map_here
        return
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        numbers = count()

        def map_stage(
            stage: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]
        ) -> Iterator[tuple[int, Any]]:
            if len(items) <= 1:
                yield from _map_here(stage, context, items)
                return
            path = Path(folder) / f"{next(numbers)}.pickle"
            path.write_bytes(pickle.dumps(context, pickle.HIGHEST_PROTOCOL))
            futures = {pool.submit(_call, stage, path, item): number for number, item in enumerate(items)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BrokenProcessPool as error:
                raise RunError(
                    "a worker process died, perhaps because the memory is full; run the same command again to go on, "
                    "with fewer --workers if need be"
                ) from error

        try:
            yield map_stage
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _map_here(stage: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    for number, item in enumerate(items):
        yield number, stage(context, item)


def _call(stage: Callable[[Any, Any], Any], path: Path, item: Any) -> Any:
    global _held
    if _held is None or _held[0] != path:
        _held = (path, pickle.loads(path.read_bytes()))
    return stage(_held[1], item)
