"""Jobs: real processes of the command line, watched and cancelled through their folders."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from metaclip_core import open_run
from metaclip_core.jobs import Job, cancel, forget, jobs_in, start


@pytest.fixture
def pool(tmp_path: Path) -> list[str]:
    """The arguments of a curation of 40 shards of 2,000 pairs."""
    (tmp_path / "pool").mkdir()
    for i in range(40):
        pl.DataFrame({"text": ["a dog and a cat"] * 2000}).write_parquet(tmp_path / f"pool/{i:02}.parquet")
    (tmp_path / "entries.txt").write_text("dog\ncat\n")
    names = [str(tmp_path / name) for name in ("pool", "entries.txt", "run")]
    return ["curate", names[0], "--metadata", names[1], "--out", names[2], "--workers", "1"]


def wait(folder: Path, until: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (job,) = jobs_in(folder)
        if until(job):
            return job
        time.sleep(0.02)
    raise AssertionError(f"still {job}: {(job.folder / 'log.txt').read_text()}")


def test_a_job_runs_to_its_end(tmp_path: Path, pool: list[str]) -> None:
    jobs = tmp_path / "jobs"
    assert jobs_in(jobs) == []
    name = start(jobs, pool, title="Curate <b>", out=pool[-3])
    job = wait(jobs, lambda job: job.state != "running")
    assert (job.id, job.state, job.title, job.message) == (name, "done", "Curate <b>", "")
    assert (job.stage, job.done, job.total, job.pairs) == ("threshold", 40, 40, 80_000)
    assert job.command == ("metaclip", *pool)
    assert "80,000 pairs" in (job.folder / "log.txt").read_text()
    assert open_run(tmp_path / "run").n_pairs == 80_000
    forget(job)
    assert jobs_in(jobs) == []


def test_a_failed_job_says_why(tmp_path: Path, pool: list[str]) -> None:
    start(tmp_path / "jobs", ["curate", str(tmp_path / "nothing"), *pool[2:]], title="", out="")
    job = wait(tmp_path / "jobs", lambda job: job.state != "running")
    assert job.state == "failed"
    assert "nothing: no such file or folder" in job.message


def test_a_cancelled_job_stops_and_the_same_command_goes_on(tmp_path: Path, pool: list[str]) -> None:
    jobs = tmp_path / "jobs"
    start(jobs, pool, title="", out="")
    cancel(wait(jobs, lambda job: job.state == "running" and job.done > 0))
    job = wait(jobs, lambda job: job.state != "running")
    assert job.state == "cancelled"
    assert "goes on where it stopped" in job.message
    assert not (tmp_path / "run/manifest.json").exists()
    forget(job)
    start(jobs, pool, title="", out="")
    assert wait(jobs, lambda job: job.state != "running").state == "done"


def test_a_killed_job_is_told_from_a_running_one(tmp_path: Path, pool: list[str]) -> None:
    jobs = tmp_path / "jobs"
    start(jobs, pool, title="", out="")
    job = wait(jobs, lambda job: job.done > 0)
    os.kill(int((job.folder / "process.json").read_text().split(":")[1].strip(" }\n")), signal.SIGKILL)
    assert wait(jobs, lambda job: job.state != "running").state == "died"


def test_folders_that_are_no_jobs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/job.json").write_text("{")
    (tmp_path / "c").write_text("")
    assert jobs_in(tmp_path) == []
