"""What every export format is: a curated set split into tasks, each of which writes its files whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from metaclip_core.export.curated import CuratedSet
from metaclip_core.storage import file_digest

__all__ = ["Advance", "Exporter", "Task", "Written", "described"]

Advance = Callable[[int, int], None]
"""Called with (curated pairs dealt with, pairs written) since the last call."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The curated pairs `start` to `stop`, which go into the files of this number."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a task wrote: files (as `described`) and the number of pairs in them.

    `left_out`: curated pairs that aren't in them, by reason (`no_picture`, ...). `pictures`: pairs by the extension of
    their picture.
    """

    files: list[dict[str, Any]]
    pairs: int
    left_out: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, int] = field(default_factory=dict)


def described(folder: Path, name: str) -> dict[str, Any]:
    """A file of an export as its recipe lists it: name below the folder, `/` between; size in bytes; XXH3-128."""
    return {"name": name, **file_digest(folder / name)}


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

    def finish(self, folder: Path, written: Sequence[Written]) -> list[dict[str, Any]]:
        """Write what stands beside the tasks' files; returns its files. `written`: of each task, in order."""
        return []
