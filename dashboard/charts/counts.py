"""How often entries match, before and after balancing."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.style import AFTER, BEFORE, CAP, figure, literal, log_axis, mark
from dashboard.numbers import t_text

__all__ = ["cumulative", "rank_frequency", "two_settings"]


def rank_frequency(ranks: pl.DataFrame, t: float) -> go.Figure:
    """`distribution.rank_frequency` with a column `entry`: three curves over the rank; the line at t's rank."""
    chart = figure(title="Pairs of each entry, by rank", x="entries by rank (most frequent first)", y="pairs")
    _draw_over_ranks(
        chart,
        ranks,
        ("before", "before (c)", BEFORE, "solid"),
        ("cap", "cap (min(c, t))", CAP, "dash"),
        ("after", "after (kept pairs)", AFTER, None),
    )
    n_head = int((ranks["before"] >= t).sum())
    if 0 < n_head < len(ranks):
        mark(chart, float(ranks["rank"][n_head - 1]), f"c reaches t = {t_text(t)}")
    return chart


def two_settings(ranks: pl.DataFrame) -> go.Figure:
    """`rank, entry, before, after_a, after_b`, a row an entry: what two settings leave of the distribution."""
    chart = figure(title="Pairs of each entry under A and B", x="entries by rank (most frequent first)", y="pairs")
    _draw_over_ranks(
        chart,
        ranks,
        ("before", "before (c)", BEFORE, "solid"),
        ("after_a", "after A", CAP, None),
        ("after_b", "after B", AFTER, None),
    )
    return chart


def _draw_over_ranks(chart: go.Figure, ranks: pl.DataFrame, *curves: tuple[str, str, str, str | None]) -> None:
    """Curves (column, label, colour, dash; points where dash is None) over `rank`, both axes logarithmic."""
    names = literal(ranks["entry"])
    for column, label, colour, dash in curves:
        values = ranks[column].cast(pl.Float64)
        chart.add_scatter(
            x=ranks["rank"].to_numpy(),
            y=ranks.select(pl.when(values > 0).then(values)).to_series().to_numpy(),  # a log axis has no 0
            name=label,
            mode="markers" if dash is None else "lines+markers" if len(ranks) == 1 else "lines",
            line={"color": colour, "width": 2.5, "dash": dash},
            marker={"color": colour, "size": 4, "opacity": 0.8},
            text=names,
            hovertemplate="<b>%{text}</b><br>rank %{x:,}<br>" + label.partition(" (")[0] + " %{y:,.0f}<extra></extra>",
        )
    chart.update_xaxes(**log_axis())
    chart.update_yaxes(**log_axis())


def cumulative(counts: pl.DataFrame, t: float) -> go.Figure:
    """`distribution.cumulative_counts` with a column `entry`: the paper's figure; the line at the first head entry."""
    chart = figure(title="Cumulative counts", x="matched entries (least frequent first)", y="matches up to this entry")
    names = literal(counts["entry"])
    for column, label, colour, dash in (
        ("before", "before (sum of c)", BEFORE, "solid"),
        ("cap", "cap (sum of min(c, t))", CAP, "dash"),
    ):
        chart.add_scatter(
            x=counts["position"].to_numpy(),
            y=counts[column].cast(pl.Float64).to_numpy(),
            name=label,
            mode="lines+markers" if len(counts) == 1 else "lines",
            line={"color": colour, "width": 2.5, "dash": dash},
            text=names,
            customdata=counts["count"].to_numpy(),
            hovertemplate="<b>%{text}</b> (c = %{customdata:,})<br>entry %{x:,}<br>"
            + column
            + " %{y:,.0f}<extra></extra>",
        )
    head = counts.filter(pl.col("count") >= t)
    if 0 < len(head) < len(counts):
        mark(chart, float(head["position"][0]), f"c reaches t = {t_text(t)}")
        chart.layout.annotations[0].update(xanchor="right", xshift=-4)
    return chart
