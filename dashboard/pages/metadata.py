"""The metadata that captions are matched against: its sources, what they share, and its counts beside another pool's."""

from __future__ import annotations

import re

import polars as pl
import streamlit as st

from dashboard import charts
from dashboard.components.figures import chart_with_table, csv_download
from dashboard.components.jobs import job_list
from dashboard.components.page import show
from dashboard.components.tables import count_column, source_table
from dashboard.data.balances import Settings, snapshot
from dashboard.data.metadata import laid_over, overlaps, references, write_list
from dashboard.data.runs import jobs_folder, lists_folder, runs_folder
from metaclip_core.jobs import start
from metaclip_core.run import Run

_POINTS = 2_000
_ROWS = 200


def page(run: Run, settings: Settings) -> None:
    now = snapshot(run, settings)
    source_table(now.sources)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("What the sources share", anchor=False)
        shared = overlaps(run)
        st.dataframe(
            shared,
            hide_index=True,
            key="overlaps",
            column_config={name: count_column(name) for name in shared.columns if name != "source"},
        )
        st.caption("Entries that are in both; on the diagonal all of a source. An entry keeps all its sources.")
        csv_download(shared, name="overlaps")
    with right:
        st.subheader("What came of the files", anchor=False)
        facts(run)
    st.subheader("Beside another pool", anchor=False)
    beside(run)
    st.subheader("Add a list of your own", anchor=False)
    custom_list(run)


def facts(run: Run) -> None:
    about = run.manifest["metadata"]
    for file in about["files"]:
        st.text(f"{file['name']}: {file['n_rows']:,} rows")
    dropped = ", ".join(f"{number:,} {why}" for why, number in about["dropped"].items() if number) or "none"
    st.text(f"{about['entries']:,} entries; rows dropped: {dropped}")
    st.text(f"{about['never_matches']:,} entries can never match: spacing would put a space into them.")


def beside(run: Run) -> None:
    known = references(run)
    if not known:
        st.info(
            "Counts of another pool can be laid over these: another run, or the paper's published counts as "
            "`metaclip metadata import` makes them, in a folder given as `--root DIR`.",
            icon=":material/layers:",
        )
        return
    chosen = st.selectbox(
        "Reference",
        list(known),
        index=None,
        placeholder="another run, or a file with counts",
        key="beside",
        bind="query-params",
    )
    if not chosen:
        return
    table = laid_over(run, known[chosen])
    chart_with_table(
        charts.against_reference(table[:_POINTS]),
        table,
        name="against_reference",
        how_to_read=f"The {min(_POINTS, len(table)):,} entries that differ most (by log-likelihood ratio). Above the line an entry is "
        "more frequent here than in the reference.",
    )
    st.dataframe(
        table[:_ROWS].with_columns(
            pl.col("my_share", "published_share") * 100,
            pl.when(pl.col("log2_ratio").is_finite()).then(pl.col("log2_ratio")),  # a cell shows no infinity
        ),
        hide_index=True,
        key="differences",
        column_order=["entry", "mine", "published", "my_share", "published_share", "log2_ratio"],
        column_config={
            "mine": count_column("here"),
            "published": count_column("reference"),
            "my_share": st.column_config.NumberColumn("share here", format="%.3f %%"),
            "published_share": st.column_config.NumberColumn("share there", format="%.3f %%"),
            "log2_ratio": st.column_config.NumberColumn(
                "log2 of the ratio", format="%.1f", help="Empty where one of the two has none."
            ),
        },
    )


def custom_list(run: Run) -> None:
    folder, runs = lists_folder(), runs_folder()
    if folder is None or runs is None:
        st.info("The app was given no folder to write to: start it with `--root DIR`, or use `metaclip metadata add`.")
        return
    st.caption(
        "Classes of a benchmark, species, products: only they are matched, the other counts stay. It makes a new run."
    )
    lines = st.text_area("Entries, one a line", key="m_entries", height=160)
    left, right = st.columns(2, gap="medium")
    source = left.text_input("Name of the source", key="m_source", placeholder="species").strip()
    name = right.text_input("Name of the new run", key="m_run", placeholder="letters, digits, - and _").strip()
    entries = [line for line in lines.splitlines() if line.strip()]
    if any(word and not re.fullmatch(r"[\w-]{1,80}", word) for word in (source, name)):
        st.warning("Names have letters, digits, - and _ only.")
        return
    if st.button("Add", key="m_add", type="primary", disabled=not (entries and source and name), icon=":material/add:"):
        file = write_list(folder, source, entries)
        arguments = ["metadata", "add", str(run.path), f"{source}={file}", "--out", str(runs / name)]
        title = f"Add {len(entries):,} entries of {source} to {run.name}"
        start(jobs_folder(), arguments, title=title, out=str(runs / name))
        st.rerun()
    job_list("metadata")


show(
    "Metadata",
    page,
    intro="Where the entries come from. `metaclip metadata` makes the paper's four sources, and yours.",
)
