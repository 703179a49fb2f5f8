"""Long work as a process of its own: started once, watched or cancelled by anyone who can read its folder.

A job is a folder: `job.json` (what was started), `progress.json` (how far it is), `log.txt` (what it printed),
`result.json` (how it ended), and `.lock`, which the process holds while it lives, so that a killed one is told from a
running one. The command line does its side wherever METACLIP_JOB names such a folder.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from metaclip_core.storage import make_folder, write_json

__all__ = ["Job", "JobLog", "cancel", "forget", "jobs_in", "start", "working_as_job"]

_LEAST_SECONDS = 0.3  # between two writes of the progress

_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it is now. `state`: `running`, `done`, `failed`, `cancelled`, or `died` (killed without a word)."""

    folder: Path
    title: str
    command: tuple[str, ...]
    out: str
    started: float
    state: str
    stage: str
    done: int
    total: int
    pairs: int
    message: str

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


def start(jobs_folder: Path, arguments: Sequence[str], *, title: str, out: str) -> str:
    """Start `metaclip ARGUMENTS...` detached from this process; returns the job's id. Raises StorageError."""
    folder = jobs_folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    make_folder(folder)
    write_json(
        folder / "job.json", {"title": title, "command": ["metaclip", *arguments], "out": out, "started": time.time()}
    )
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "metaclip_core.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "METACLIP_JOB": str(folder)},
            start_new_session=True,
        )
    _started.append(process)
    return folder.name


def jobs_in(jobs_folder: Path) -> list[Job]:
    """All jobs of a folder, the latest first; what is no job is left out."""
    _started[:] = [process for process in _started if process.poll() is None]  # reaps those that have ended
    if not jobs_folder.is_dir():
        return []
    found = (_read(folder) for folder in sorted(jobs_folder.iterdir(), reverse=True) if folder.is_dir())
    return [job for job in found if job is not None]


def _read(folder: Path) -> Job | None:
    job = _json(folder / "job.json")
    if not job:
        return None
    alive = _is_alive(folder, float(job["started"]))  # before the result is read: it may end in between
    progress, result = _json(folder / "progress.json"), _json(folder / "result.json")
    state = str(result.get("state", "")) or ("running" if alive else "died")
    return Job(
        folder=folder,
        title=str(job["title"]),
        command=tuple(job["command"]),
        out=str(job["out"]),
        started=float(job["started"]),
        state=state,
        stage=str(progress.get("stage", "starting")),
        done=int(progress.get("done", 0)),
        total=int(progress.get("total", 0)),
        pairs=int(progress.get("pairs", 0)),
        message=str(result.get("message", "")),
    )


def _is_alive(folder: Path, started: float) -> bool:
    if not (folder / "process.json").exists():
        return time.time() - started < 60  # a minute to start Python and take the lock
    try:
        with FileLock(folder / ".lock").acquire(timeout=0):
            return False
    except Timeout:
        return True


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def cancel(job: Job) -> None:
    """Ask a running job to stop; it keeps what is complete, and the same command goes on from there."""
    process = _json(job.folder / "process.json").get("pid")
    if job.state == "running" and isinstance(process, int):
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:
            return


def forget(job: Job) -> None:
    """Remove the folder of a job that has ended; what it made stays."""
    if job.state != "running":
        for path in job.folder.iterdir():
            path.unlink(missing_ok=True)
        job.folder.rmdir()


class JobLog:
    """What a job's own process writes into its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0.0

    def progress(self, stage: str, done: int, total: int, pairs: int) -> None:
        now = time.monotonic()
        if now - self._written >= _LEAST_SECONDS or done >= total:
            self._written = now
            write_json(self._folder / "progress.json", {"stage": stage, "done": done, "total": total, "pairs": pairs})

    def result(self, state: str, message: str = "") -> None:
        """How it ended; the first word counts."""
        if not (self._folder / "result.json").exists():
            write_json(self._folder / "result.json", {"state": state, "message": message, "finished": time.time()})


def job_folder() -> Path | None:
    """The folder of the job that this process works for, if it does."""
    name = os.environ.get("METACLIP_JOB")
    return Path(name) if name else None


@contextmanager
def working_as_job() -> Iterator[JobLog | None]:
    """Hold the lock of this process's job, and let a request to cancel interrupt the work; None when it has none."""
    folder = job_folder()
    if folder is None:
        yield None
        return
    with FileLock(folder / ".lock").acquire(timeout=10):
        write_json(folder / "process.json", {"pid": os.getpid()})
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield JobLog(folder)
