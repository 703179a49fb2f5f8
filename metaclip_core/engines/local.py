"""The local engine: in this process with one worker, else a pool of processes, started fresh and never forked."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any

from metaclip_core.errors import EngineError
from metaclip_core.storage import storage_errors

__all__ = ["local_workers"]

_held: tuple[Path, Any] | None = None  # (file, the context that it holds) of this worker process


def _start_worker() -> None:
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


@contextmanager
def local_workers(workers: int) -> Iterator[Any]:
    """See `metaclip_core.engines.Engine`. The processes start with the first stage of several items, and stay."""
    if workers == 1:
        yield _map_here
        return
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
        numbers = count()

        def map_stage(
            stage: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]
        ) -> Iterator[tuple[int, Any]]:
            if len(items) <= 1:
                yield from _map_here(stage, context, items)
                return
            path = Path(folder) / f"{next(numbers)}.pickle"
            with storage_errors(path):
                path.write_bytes(pickle.dumps(context, pickle.HIGHEST_PROTOCOL))
            with _interrupts_deferred():  # the first call starts the workers
                futures = {pool.submit(_call, stage, path, item): number for number, item in enumerate(items)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BrokenProcessPool as error:
                raise EngineError(
                    "a worker process was killed (out of memory?); run the same command again, with fewer --workers if "
                    "need be"
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
