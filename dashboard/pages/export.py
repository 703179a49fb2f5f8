"""Take the curated set away, in the formats that training code reads."""

from __future__ import annotations

import re
import shlex

import streamlit as st

from dashboard.components.funnel import figure_row
from dashboard.components.jobs import job_list
from dashboard.components.page import show
from dashboard.data.balances import Settings, snapshot
from dashboard.data.runs import exports_folder, jobs_folder
from dashboard.numbers import share_text, t_text
from metaclip_core.jobs import start
from metaclip_core.run import Run

_FORMATS = {
    "parquet": "Texts, pictures' places, keep_t, P(keep) and matched entries of each pair, for pandas, polars, DuckDB, Spark.",
    "jsonl": "The same, a JSON object a line.",
    "webdataset": "Tars of pictures, texts and JSON, copied from the pool: what webdataset and open_clip read.",
    "datacomp": "A sorted .npy of uids, which DataComp's resharder reads; for pools whose ids are 32 hex digits.",
    "metaclip": "metadata.json, entry_count.npy and the indices of the subset, as the authors' own code reads them.",
}


def page(run: Run, settings: Settings) -> None:
    now = snapshot(run, settings)
    figure_row(
        [
            ("To be exported", f"{now.curated:,}", "keep_t < t", None),
            (
                "Of the pool",
                share_text(now.curated / now.pairs) if now.pairs else "none",
                f"of {now.pairs:,} pairs",
                None,
            ),
            ("At t", t_text(settings.t), f"seed {settings.seed}", "The settings of the sidebar."),
        ]
    )
    if not now.curated:
        st.info(
            "This setting keeps no pair: raise t, or switch a source on. An empty set can be exported all the same."
        )
    chosen = st.radio("Format", list(_FORMATS), captions=list(_FORMATS.values()), key="format", bind="query-params")
    kind = chosen or "parquet"
    st.caption("Beside it come a recipe (settings, fingerprints, versions, the command) and a data card.")
    folder = exports_folder()
    name = st.text_input(
        "Name of the export", value=f"{run.name}-t{settings.t:g}-{kind}", key=f"name_{kind}_{settings.t!r}"
    ).strip()
    if not re.fullmatch(r"[\w.+-]{1,120}", name) or name.startswith("."):
        st.warning("A name has letters, digits, ., +, - and _ only.")
        return
    out = str(folder / name) if folder else name
    arguments = command(run, settings, kind, out)
    st.caption("The same from the command line:")
    st.code(shlex.join(["metaclip", *arguments]), language="bash", wrap_lines=True)
    if folder is None:
        st.info(
            "The app was given no folder to write to. Start it with `metaclip dashboard RUN --root DIR` to export from here."
        )
    elif st.button("Export", key="go", type="primary", icon=":material/download:"):
        start(jobs_folder(), arguments, title=f"Export {name}", out=out)
        st.rerun()
    job_list("export")


def command(run: Run, settings: Settings, kind: str, out: str) -> list[str]:
    """The arguments of `metaclip` for this export; t is written so that it reads back identically."""
    arguments = ["export", str(run.path), "-t", repr(settings.t), "--seed", str(settings.seed)]
    if settings.sources is not None:
        arguments += ["--sources", ",".join(settings.sources)]
    return [*arguments, "--format", kind, "--out", out]


show("Export", page)
