"""The command line as the tests call it, in this process or in one that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """A command that has ended: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that a command that failed, and was no wrong usage, has to say."""
        assert (self.status, self.out) == (1, ""), self
        assert self.err.startswith("metaclip: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("metaclip: ").rstrip()


def start(*arguments: Any, **settings: Any) -> subprocess.Popen[str]:
    """Start `metaclip` with these arguments as the leader of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "metaclip_core.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **settings,
    )


def finish(process: subprocess.Popen[str]) -> Done:
    out, err = process.communicate(timeout=120)
    return Done(process.returncode, out, err)


def curate_arguments(folder: Path, out: Path | str, workers: int = 1) -> list[Any]:
    return ["curate", folder / "pool", "--metadata", folder / "metadata.parquet", "--out", out, "--workers", workers]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that curate writes, but for the lock: the index comes when matches are asked for."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes() for name, path in files.items() if name != ".lock" and not name.startswith("index/")
    }
