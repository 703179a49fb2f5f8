"""The local engine: in this process with one worker, else a pool of processes, started fresh and never forked."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

__all__ = ["map_locally"]

_context: Any = None  # of this worker process, set once when it starts


def _start_worker(context: Any) -> None:
    global _context
    _context = context


def _call(stage: Callable[[Any, Any], Any], item: Any) -> Any:
    return stage(_context, item)


def map_locally(
    stage: Callable[[Any, Any], Any], context: Any, items: Sequence[Any], *, workers: int
) -> Iterator[tuple[int, Any]]:
    """See `metaclip_core.engines.Engine`."""
    if workers == 1 or len(items) <= 1:
        for number, item in enumerate(items):
            yield number, stage(context, item)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(items)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(context,),
    )
    try:
        numbers = {pool.submit(_call, stage, item): number for number, item in enumerate(items)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
