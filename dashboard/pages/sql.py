"""A read-only SQL console over the run, at the current setting."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard.components.figures import csv_download
from dashboard.components.page import show, trouble
from dashboard.data.balances import Settings
from dashboard.data.sql import answer
from metaclip_core.errors import SettingsError
from metaclip_core.run import Run

_MAX_ROWS = 1_000
_LONGEST_CELL = 500

_EXAMPLES = {
    "Entries that keep the least of what they have": """SELECT entry, count, after, round(after / count, 3) AS kept_share
FROM entries
WHERE count > 100
ORDER BY kept_share
LIMIT 50""",
    "Kept pairs that barely made it": """SELECT pair, text, keep_t
FROM pairs
WHERE kept
ORDER BY keep_t DESC
LIMIT 50""",
    "Entries of dropped pairs": """SELECT entry, count(*) AS dropped
FROM matches
JOIN entries USING (entry_id)
WHERE NOT kept
GROUP BY entry
ORDER BY dropped DESC
LIMIT 50""",
    "Captions that match nothing": """SELECT pair, text
FROM pairs
WHERE len(entry_ids) = 0
LIMIT 50""",
}


def page(run: Run, settings: Settings) -> None:
    chosen = st.selectbox("Examples", list(_EXAMPLES), key="example", on_change=_take_example)
    query = st.text_area(
        "Query",
        value=_EXAMPLES[chosen or next(iter(_EXAMPLES))],
        key="query",
        bind="query-params",
        height=180,
        help="Ctrl-Enter runs it. Views: pairs (pair, key, text, url, image_path, image_offset, image_size, entry_ids, keep_t, "
        "kept), entries (entry_id, entry, sources, count, enabled, after), matches (pair, kept, entry_id).",
    )
    st.button("Run", key="run_query", type="primary", icon=":material/play_arrow:")
    if not query.strip():
        st.info("Write a SELECT over pairs, entries and matches.")
        return
    try:
        result = answer(run, settings, query, _MAX_ROWS)
    except SettingsError as error:
        trouble(str(error))
        return
    rows = f"{len(result.frame):,} rows" if len(result.frame) != 1 else "1 row"
    more = f"; there are more, the first {_MAX_ROWS:,} are shown" if result.truncated else ""
    st.caption(f"{rows} in {result.seconds:.2f} s{more}")
    st.dataframe(_for_cells(result.frame), hide_index=True, key="answer")
    csv_download(_for_cells(result.frame, None), name="query")


def _take_example() -> None:
    st.session_state["query"] = _EXAMPLES[st.session_state["example"]]


def _for_cells(frame: pl.DataFrame, longest: int | None = _LONGEST_CELL) -> pl.DataFrame:
    """The frame in types that a browser and a CSV file show; long texts cut for the browser."""
    columns = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if isinstance(kind, pl.List) and kind.inner != pl.String:
            column = column.cast(pl.List(pl.String))
        elif kind in (pl.Binary, pl.Object) or isinstance(kind, pl.Struct | pl.Array):
            column = pl.Series(name, [str(value) for value in frame[name]])  # type: ignore[assignment]
        elif kind == pl.String and longest:
            column = column.str.slice(0, longest)
        columns.append(column)
    return frame.with_columns(columns)


show(
    "SQL",
    page,
    intro="DuckDB over this run and nothing else: no files, no network, no settings. 10 seconds and 1,000 rows.",
)
