"""The local engine: in this process with one worker, else a pool of processes, started fresh and never forked."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from metaclip_core.errors import EngineError

__all__ = ["map_locally"]

_context: Any = None  # of this worker process, set once when it starts


def _start_worker(context: Any) -> None:
    global _context
    _context = context
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Ctrl-C reaches the whole group, but it is the parent that ends its workers, also while they start.

    A process inherits the mask of the thread that starts it; where there are no masks, `_start_worker` has to do.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


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
        with _interrupts_deferred():  # the first call starts the workers
            numbers = {pool.submit(_call, stage, item): number for number, item in enumerate(items)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    except BrokenProcessPool as error:
        raise EngineError(
            "a worker process was killed (out of memory?); run the same command again, with fewer --workers if need be"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
