"""A chart with a sentence on how to read it and its table as a file."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import polars as pl
import streamlit as st

__all__ = ["chart_with_table", "csv_download"]


def chart_with_table(
    chart: go.Figure,
    table: pl.DataFrame,
    *,
    name: str,
    how_to_read: str,
    on_click: Callable[[float], None] | None = None,
    lasso: bool = False,
) -> list[int]:
    """Draw the chart; below it the sentence and a button for the table as CSV. `name`: key and file name.

    `on_click` is called with the x of a point that is clicked, before the page is drawn again. With `lasso` the custom
    data of the points in it, or in a box, are returned, whole numbers.
    """
    key = f"chart_{name}"

    def clicked() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points and on_click:
            on_click(float(f"{float(points[0]['x']):.3g}"))  # a t that one can read

    state = st.plotly_chart(
        chart,
        key=key,
        config={"displaylogo": False, "displayModeBar": lasso},
        alt=how_to_read,
        on_select=clicked if on_click else "rerun" if lasso else "ignore",
        selection_mode=("lasso", "box") if lasso else "points",
    )
    text, button = st.columns([4, 1], vertical_alignment="top")
    text.caption(how_to_read)
    with button:
        csv_download(table, name=name)
    points = state["selection"]["points"] if lasso else []  # type: ignore[index]
    return [int(point["customdata"]) for point in points if "customdata" in point]


def csv_download(table: pl.DataFrame, *, name: str) -> None:
    """A button for the table as CSV, made when it is clicked; lists are joined with `|`."""

    def make() -> str:
        lists = [column for column, kind in table.schema.items() if isinstance(kind, pl.List)]
        return table.with_columns(pl.col(column).list.join("|") for column in lists).write_csv()

    st.download_button(
        "CSV",
        make,
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"csv_{name}",
        on_click="ignore",
        icon=":material/download:",
        type="tertiary",
    )
