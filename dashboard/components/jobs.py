"""Long work that was started from a page: how far it is, for any session to watch or cancel."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.components.captions import cut
from dashboard.data.runs import jobs_folder, known_runs
from dashboard.state import choose_run
from metaclip_core.jobs import Job, cancel, forget, jobs_in, start

__all__ = ["job_list"]

_LOOK = {
    "running": ("blue", ":material/hourglass_top:"),
    "done": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "died": ("red", ":material/error:"),
    "cancelled": ("gray", ":material/block:"),
}


def job_list(kind: str) -> None:
    """The jobs whose command is `metaclip KIND`, the latest first; drawn again every second while one runs."""
    jobs = [job for job in jobs_in(jobs_folder()) if job.command[1:2] == (kind,)]
    if not jobs:
        return
    st.subheader("Work in progress, and what came of it", anchor=False)
    running = any(job.state == "running" for job in jobs)
    st.fragment(_jobs, run_every=1.0 if running else None)(kind, running)


def _jobs(kind: str, was_running: bool) -> None:
    jobs = [job for job in jobs_in(jobs_folder()) if job.command[1:2] == (kind,)]
    for job in jobs[:20]:
        with st.container(border=True):
            _job(job)
    if was_running and not any(job.state == "running" for job in jobs):
        known_runs.clear()  # type: ignore[attr-defined]
        st.rerun()  # the whole page: what was made is there to be opened


def _job(job: Job) -> None:
    colour, icon = _LOOK.get(job.state, _LOOK["failed"])
    left, other, right = st.columns([5, 1, 1], vertical_alignment="center")
    with left.container(horizontal=True, vertical_alignment="center"):
        st.badge(job.state, color=colour, icon=icon)  # type: ignore[arg-type]
        st.text(cut(job.title, 120))
    if job.state == "running":
        st.progress(job.share, text=f"{job.stage}: {job.done:,} of {job.total:,}, {job.pairs:,} pairs")
        right.button(
            "Cancel", key=f"cancel_{job.id}", on_click=cancel, args=(job,), icon=":material/close:", width="stretch"
        )
    else:
        _next_step(job, other)
        right.button("Forget", key=f"forget_{job.id}", on_click=forget, args=(job,), width="stretch",
                     help="Takes it off this list; what it made stays.")  # fmt: skip
        if job.message:
            st.text(job.message)
        elif job.state == "died":
            st.text("The process ended without a word: it was killed, or the machine was. The same command goes on.")
    with st.expander("Command and log"):
        st.code(shlex.join(job.command), language="bash", wrap_lines=True)
        try:
            log = (job.folder / "log.txt").read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            log = ""
        st.code(log.split("\r")[-1].strip() or "nothing was printed", language=None, wrap_lines=True)


def _next_step(job: Job, place: DeltaGenerator) -> None:
    """What a job that has ended leads to: the run that it made, or the same command once more."""
    if job.state == "done":
        made = next((run for run in known_runs() if Path(run.path) == Path(job.out).resolve()), None)
        if made and place.button("Open", key=f"open_{job.id}", icon=":material/arrow_forward:", width="stretch"):
            choose_run(made.id)
            st.rerun()
    elif place.button("Go on", key=f"again_{job.id}", width="stretch",
                      help="Starts the same command, which goes on from what is complete."):  # fmt: skip
        start(jobs_folder(), job.command[1:], title=job.title, out=job.out)
        forget(job)
        st.rerun()
