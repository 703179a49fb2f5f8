"""How far a piece of long work is: what every long function tells its `on_progress`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from metaclip_core.jobs import JobLog, job_folder

__all__ = ["OnProgress", "Progress", "shown_progress"]


@dataclass(frozen=True)
class Progress:
    """How far a stage is: items (shards, parts) done of all, and pairs so far."""

    stage: str
    done: int
    total: int
    pairs: int


OnProgress = Callable[[Progress], None]


@contextmanager
def shown_progress(unit: str = " shards") -> Iterator[OnProgress]:
    """An `on_progress` that draws a bar on a terminal, and writes the job's file where this process works for a job."""
    from tqdm import tqdm

    folder = job_folder()
    log = JobLog(folder) if folder else None
    with tqdm(unit=unit, disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.set_description(progress.stage)
            bar.total, bar.n = progress.total, progress.done
            bar.set_postfix_str(f"{progress.pairs:,} pairs")
            if log:
                log.progress(progress.stage, progress.done, progress.total, progress.pairs)

        yield show
