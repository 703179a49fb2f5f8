"""One entry against t, and how two settings or the sources share the matches."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.style import AFTER, BEFORE, CAP, figure, literal, log_axis, mark
from dashboard.numbers import t_text

__all__ = ["composition", "entry_against_t", "two_settings"]


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
    chart.update_yaxes(autorange="reversed")
    return chart


def two_settings(ranks: pl.DataFrame) -> go.Figure:
    """`rank, entry, before, after_a, after_b`, a row an entry: what two settings leave of the distribution."""
    chart = figure(title="Pairs of each entry under A and B", x="entries by rank (most frequent first)", y="pairs")
    names = literal(ranks["entry"])
    for column, label, colour, dash in (
        ("before", "before (c)", BEFORE, "solid"),
        ("after_a", "after A", CAP, None),
        ("after_b", "after B", AFTER, None),
    ):
        values = ranks[column].cast(pl.Float64)
        chart.add_scatter(
            x=ranks["rank"].to_numpy(),
            y=ranks.select(pl.when(values > 0).then(values)).to_series().to_numpy(),  # a log axis has no 0
            name=label,
            mode="lines" if dash else "markers",
            line={"color": colour, "width": 2.5, "dash": dash},
            marker={"color": colour, "size": 4, "opacity": 0.8},
            text=names,
            hovertemplate="<b>%{text}</b><br>rank %{x:,}<br>" + label + ": %{y:,.0f}<extra></extra>",
        )
    chart.update_xaxes(**log_axis())
    chart.update_yaxes(**log_axis())
    return chart
