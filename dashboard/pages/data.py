"""Where the numbers come from: this run's files and settings; other runs; and a new curation."""

from __future__ import annotations

import os
import re
from datetime import datetime

import polars as pl
import streamlit as st

from dashboard.components.captions import cut
from dashboard.components.figures import csv_download
from dashboard.components.jobs import job_list
from dashboard.components.page import trouble
from dashboard.components.tables import ROW_BY_CELL, chosen_rows, count_column
from dashboard.data.inputs import Inputs, inputs, preview
from dashboard.data.runs import jobs_folder, known_runs, roots, runs_folder
from dashboard.numbers import counted
from dashboard.state import choose_run, view
from metaclip_core.errors import MetaclipError
from metaclip_core.jobs import start
from metaclip_core.run import Run

_BAD_RECORDS = {"is skipped": "skip", "ends the work": "raise"}
_BOUNDARIES = {"between spaces": "space", "also without": "script"}


def page() -> None:
    st.session_state["_page"] = "data"
    st.title("Data", anchor=False)
    message, current = st.session_state.get("_trouble"), view()
    if message:
        trouble(message)
    this, others, new = st.tabs(["This run", "Runs", "Curate"], key="tab")
    with this:
        if current:
            about(current.run)
        else:
            st.info("No run is open.")
    with others:
        runs_table(current.run.fingerprint[:12] if current else "")
    with new:
        try:
            curate_form()
        except MetaclipError as error:
            trouble(str(error))
        job_list("curate")


def about(run: Run) -> None:
    manifest = run.manifest
    totals, settings = run.totals, manifest["settings"]
    st.text(
        f"{run.name}  ·  fingerprint {run.fingerprint}  ·  format version {manifest['format_version']}\n"
        f"read {totals['read']:,} = pairs {totals['pairs']:,} + skipped {totals['skipped']:,} + duplicates "
        f"{totals['duplicates']:,} + filtered {totals['filtered']:,};  repeated ids {totals['repeated_ids']:,}\n"
        f"the same twice, dropped or not: {_counts(manifest['duplicates'])};  filtered: {_counts(manifest['filtered'])}"
    )
    files = pl.DataFrame(
        settings["inputs"], schema=["name", "format", "size_bytes", "fingerprint", "path"], orient="row"
    ).with_columns(pl.col("size_bytes").cast(pl.Int64))
    st.markdown("**Files of the pool**")
    st.dataframe(
        files,
        hide_index=True,
        key="files",
        column_order=["name", "format", "size_bytes", "fingerprint"],  # a visitor needn't know the server's folders
        column_config={
            "size_bytes": count_column("bytes"),
            "fingerprint": st.column_config.TextColumn("fingerprint", help="XXH3-128 of size, begin and end."),
        },
    )
    csv_download(files.drop("path"), name="files")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Settings, versions, metadata**")
        rows = {name: value for name, value in settings.items() if name != "inputs"}
        rows |= {f"version of {name}": value for name, value in manifest.get("versions", {}).items()}
        rows |= {f"metadata: {name}": value for name, value in manifest["metadata"].items()}
        table = pl.DataFrame({"what": list(rows), "value": [_plain(value) for value in rows.values()]})
        st.dataframe(table, hide_index=True, key="settings_table", height=360)
    with right:
        st.markdown("**Skipped records**")
        skipped = run.skipped
        if len(skipped):
            reasons = ", ".join(
                f"{reason} {n:,}" for reason, n in skipped["reason"].value_counts(sort=True).iter_rows()
            )
            st.text(reasons)
            st.dataframe(skipped[:1000], hide_index=True, key="skipped_table", height=300)
            csv_download(skipped, name="skipped")
        else:
            st.caption("None: every record was read.")


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items() if number) or "none"


def _plain(value: object) -> str:
    return "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def runs_table(current: str) -> None:
    runs = known_runs()
    if not runs:
        st.info("There is no run in the folders of this app: curate one on the third tab, or with `metaclip curate`.")
        return
    table = pl.DataFrame(
        {
            "shown": [run.id == current for run in runs],
            "name": [run.name for run in runs],
            "pairs": [run.pairs for run in runs],
            "fingerprint": [run.id for run in runs],
            "written": [datetime.fromtimestamp(os.path.getmtime(run.path)) for run in runs],
        }
    )
    chosen = st.dataframe(
        table,
        hide_index=True,
        key="runs_table",
        on_select="rerun",
        selection_mode=ROW_BY_CELL,
        column_config={"shown": st.column_config.CheckboxColumn("open"), "pairs": count_column("pairs")},
    )
    rows = chosen_rows(chosen)
    if rows and runs[rows[0]].id != current:
        choose_run(runs[rows[0]].id)
        st.rerun()
    st.caption("Click a row to open the run. Only runs in the folders given at the start (`--root DIR`) are listed.")


def curate_form() -> None:
    if not roots():
        st.info(
            "The app was given no folder to read pools from. Start it with `metaclip dashboard --root DIR` to curate files of "
            "DIR here, or run `metaclip curate` and open the result.",
            icon=":material/folder_off:",
        )
        return
    found = inputs()
    if not found.pools or not found.metadata:
        st.info(
            "No pool or no metadata file lies in the folders of this app. A pool is tars, parquet, JSON lines or CSV; metadata "
            "is a parquet file with a column `entry`, a .json list or a .txt file with an entry a line.",
            icon=":material/search_off:",
        )
        return
    pool, metadata = choose_files(found)
    columns = st.columns(5, gap="medium", vertical_alignment="bottom")
    text_column = columns[0].text_input("Text column", key="c_text", placeholder="found by itself").strip() or None
    id_column = columns[1].text_input("Id column", key="c_id", placeholder="uid, where there is one").strip() or None
    on_error = columns[2].selectbox(
        "A bad record",
        list(_BAD_RECORDS),
        key="c_error",
        help="Skipped records are counted, and listed with the reason.",
    )
    boundaries = columns[3].selectbox(
        "Entries stand",
        list(_BOUNDARIES),
        key="c_boundaries",
        help="Between spaces is the paper's way. It finds hardly anything in scripts that are written without them, such as "
        "Chinese or Thai: there an entry may also stand in the middle of a text.",
    )
    seed = columns[4].number_input("Seed of the draws", min_value=0, max_value=2**53 - 1, value=0, key="c_seed")
    chosen = more_options()
    if pool:
        show_preview(tuple(found.pools[label] for label in pool), text_column, id_column)
    name = st.text_input("Name of the run", key="c_name", placeholder="letters, digits, - and _").strip()
    if name and not re.fullmatch(r"[\w-]{1,80}", name):
        st.warning("A name has letters, digits, - and _ only.")
        return
    if st.button(
        "Curate", key="c_go", type="primary", disabled=not (pool and metadata and name), icon=":material/play_arrow:"
    ):
        out = runs_folder() / name  # type: ignore[operator]
        arguments = ["curate", *(found.pools[label] for label in pool)]
        arguments += [
            "--metadata",
            *(found.metadata[label] for label in metadata),
            "--out",
            str(out),
            "--seed",
            str(seed),
        ]
        arguments += ["--on-error", _BAD_RECORDS[on_error]]
        arguments += ["--boundaries", _BOUNDARIES[boundaries]]
        arguments += chosen
        arguments += ["--text-column", text_column] if text_column else []
        arguments += ["--id-column", id_column] if id_column else []
        start(jobs_folder(), arguments, title=f"Curate {name}", out=str(out))
        st.rerun()


def more_options() -> list[str]:
    """What to leave out, as arguments of `metaclip curate`."""
    with st.expander("Leave pairs out before matching"):
        columns = st.columns(3, gap="medium", vertical_alignment="bottom")
        condition = (
            columns[0]
            .text_input(
                "Keep only where",
                key="c_filter",
                placeholder="similarity > 0.3 AND punsafe < 0.5",
                help="SQL on the pool's own columns.",
            )
            .strip()
        )
        languages = columns[1].text_input("Languages", key="c_languages", placeholder="en de; all").split()
        doubles = columns[2].selectbox(
            "Drop duplicates",
            ["none", "pair", "url", "text"],
            key="c_doubles",
            help="Of those with the same, the first is kept.",
        )
    arguments = ["--filter", condition] if condition else []
    arguments += ["--language", *languages] if languages else []
    return [*arguments, "--drop-duplicates", doubles] if doubles and doubles != "none" else arguments


def choose_files(found: Inputs) -> tuple[list[str], list[str]]:
    left, right = st.columns(2, gap="medium")
    pool = left.multiselect("Pool: files or folders", list(found.pools), key="c_pool")
    metadata = right.multiselect("Metadata: files", list(found.metadata), key="c_metadata")
    if found.cut_off:
        st.caption(
            "The folders hold more files than are listed here; give the app a smaller folder to find the others."
        )
    return pool, metadata


def show_preview(paths: tuple[str, ...], text_column: str | None, id_column: str | None) -> None:
    first = preview(paths, text_column, id_column)
    st.caption(
        f"{counted(first.shards, 'shard')} of {', '.join(first.formats)}."
        + (f" Columns: {cut(', '.join(first.columns), 300)}." if first.columns else "")
        + " The first records:"
    )
    if len(first.pairs):
        st.dataframe(first.pairs.with_columns(pl.col("text").str.slice(0, 300)), hide_index=True, key="preview")
    for line in first.skipped:
        st.text(f"Would be skipped: {cut(line, 300)}")


page()
