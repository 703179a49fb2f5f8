"""One entry against t, and how the sources share the matches."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.style import AFTER, BEFORE, CAP, figure, literal, log_axis, mark
from dashboard.numbers import t_text

__all__ = ["composition", "entry_against_t"]


def entry_against_t(curve: pl.DataFrame, t: float) -> go.Figure:
    """`inspection.entry_curve`: the entry's kept pairs and its cap over t, with the current t marked."""
    chart = figure(title="Pairs of this entry against t", x="threshold t (log scale)", y="pairs", height=360)
    for column, label, colour, dash in (
        ("cap", "cap (min(c, t))", CAP, "dash"),
        ("after", "after (kept pairs that carry it)", AFTER, "solid"),
    ):
        chart.add_scatter(
            x=curve["t"].to_numpy(),
            y=curve[column].cast(pl.Float64).to_numpy(),
            name=label,
            mode="lines",
            line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate="t = %{x:,.6~g}<br>" + column + " %{y:,.0f}<extra></extra>",
        )
    chart.update_xaxes(**log_axis())
    chart.update_yaxes(rangemode="tozero")
    mark(chart, t, f"t = {t_text(t)}")
    return chart


def composition(sources: pl.DataFrame, *, matches_before: int, matches_after: int) -> go.Figure:
    """`distribution.source_totals`: each source's share of all matches, before and after balancing."""
    chart = figure(title="Matches by source, before and after", x="share of all matches", y="")
    for column, label, colour, total in (
        ("matches_before", "before", BEFORE, matches_before),
        ("matches_after", "after", AFTER, matches_after),
    ):
        chart.add_bar(
            y=literal(sources["source"]),
            x=(sources[column] / max(total, 1)).to_numpy(),
            name=label,
            orientation="h",
            marker={"color": colour},
            customdata=sources[column].to_numpy(),
            hovertemplate="<b>%{y}</b><br>%{x:.1%} of the matches " + label + " (%{customdata:,})<extra></extra>",
        )
    chart.update_xaxes(tickformat=".0%", rangemode="tozero")
    chart.update_yaxes(autorange="reversed", automargin=True)  # names of any length
    return chart
