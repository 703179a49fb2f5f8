"""A pool's counts over another's."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.style import BEFORE, THRESHOLD, figure, literal, log_axis

__all__ = ["against_reference"]


def against_reference(table: pl.DataFrame) -> go.Figure:
    """`metadata.published.lay_over`, a point an entry that both have, on log scales; the line is equal shares."""
    chart = figure(title="Counts here against the reference", x="reference: share of all matches", y="here", height=460)
    both = table.filter((pl.col("mine") > 0) & (pl.col("published") > 0))
    chart.add_scatter(
        x=both["published_share"].to_numpy(),
        y=both["my_share"].to_numpy(),
        name="entries",
        mode="markers",
        marker={"color": BEFORE, "size": 5, "opacity": 0.5},
        text=literal(both["entry"]),
        customdata=both.select("mine", "published").to_numpy(),
        hovertemplate="<b>%{text}</b><br>here %{customdata[0]:,} pairs<br>reference %{customdata[1]:,}<extra></extra>",
    )
    if len(both):
        low = min(both["published_share"].min(), both["my_share"].min())  # type: ignore[type-var]
        high = max(both["published_share"].max(), both["my_share"].max())  # type: ignore[type-var]
        line = {"color": THRESHOLD, "width": 1.5, "dash": "dash"}
        chart.add_scatter(x=[low, high], y=[low, high], name="equal shares", mode="lines", line=line, hoverinfo="skip")
    ticks = {**log_axis(), "exponentformat": "power"}
    chart.update_xaxes(**ticks)
    chart.update_yaxes(**ticks)
    return chart
