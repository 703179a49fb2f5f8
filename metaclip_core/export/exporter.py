"""What every export format is: a curated set split into tasks, each of which writes its files whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from metaclip_core.export.curated import CuratedSet

__all__ = ["Advance", "Exporter", "Task", "Written", "nothing_left_out"]

Advance = Callable[[int, int], None]
"""Called with (curated pairs dealt with, pairs written) since the last call."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The curated pairs `start` to `stop`, which go into the files of this number."""

    number: int
    start: int
    stop: int


def nothing_left_out() -> dict[str, int]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a task wrote: files (names below the export's folder), pairs in them, pairs left out by reason."""

    files: tuple[str, ...]
    pairs: int
    left_out: dict[str, int] = field(default_factory=nothing_left_out)
    noted: dict[str, int] = field(default_factory=nothing_left_out)
    """Pairs that are written, and that a reader may yet stumble over, by reason."""


class Exporter(ABC):
    """A format: made for one curated set, it writes one task after the other.

    `ENDING`: of the one file that `--out` may name; None where an export is always a folder.
    `PAIRS_PER_FILE`: of a file in a folder, unless the user says otherwise; None where nobody may choose.
    """

    ENDING: ClassVar[str | None] = None
    PAIRS_PER_FILE: ClassVar[int | None] = None

    def __init__(self, curated: CuratedSet) -> None:
        """Raises MetaclipError where the curated set can't be written in this format."""
        self.curated = curated

    def tasks(self, pairs_per_file: int | None) -> list[Task]:
        """The curated set in pieces of this many pairs (None: in one); one task at least, so that there is a file."""
        n_pairs = len(self.curated)
        size = pairs_per_file or max(n_pairs, 1)
        starts = range(0, max(n_pairs, 1), size)
        return [Task(number=i, start=start, stop=min(start + size, n_pairs)) for i, start in enumerate(starts)]

    @abstractmethod
    def write(self, task: Task, folder: Path, advance: Advance) -> Written:
        """Write the task's files into the folder, each of them atomically; the same task gives the same bytes."""

    def finish(self, folder: Path, written: Sequence[Written]) -> list[str]:
        """Write what stands beside the tasks' files; returns its names. `written`: of each task, in order."""
        return []
