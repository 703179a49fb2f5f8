"""What the threshold does to the size of the curated set, and how many entries a pair carries."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.style import AFTER, BEFORE, TAIL, figure, log_axis, mark
from dashboard.numbers import t_text

__all__ = ["matches_per_pair", "size_against_t"]

_MOST_BARS = 60
_UNSEEN = {"marker": {"opacity": 0}}  # points that can be clicked, under a line that is all one sees


def size_against_t(sizes: pl.DataFrame, t: float) -> go.Figure:
    """`distribution.size_curve`: the curated share of the matched pairs and the tail share, with the current t marked."""
    chart = figure(title="Curated size and tail share against t", x="threshold t (log scale)", y="share")
    for column, label, colour, dash, hover in (
        (
            "curated_share",
            "curated, of matched pairs",
            AFTER,
            "solid",
            "%{customdata:,} pairs curated<br>%{y:.1%} of the matched",
        ),
        ("tail_share", "tail share, of all matches", TAIL, "dash", "%{y:.1%} of the matches are of tail entries"),
    ):
        curve = {"x": sizes["t"].to_numpy(), "y": sizes[column].to_numpy(), "name": label}
        chart.add_scatter(**curve, mode="lines", line={"color": colour, "width": 2.5, "dash": dash}, hoverinfo="skip")
        chart.add_scatter(  # what is hovered and clicked; a line has no points for that
            **curve,
            mode="markers",
            marker={"color": colour, "size": 12, "opacity": 0},
            selected=_UNSEEN,
            unselected=_UNSEEN,
            showlegend=False,
            customdata=sizes["curated"].to_numpy(),
            hovertemplate="t = %{x:,.6~g}<br>" + hover + "<extra></extra>",
        )
    chart.update_xaxes(**log_axis())
    chart.update_yaxes(tickformat=".0%", range=[0, 1.05])
    mark(chart, t, f"t = {t_text(t)}")
    return chart


def matches_per_pair(per_pair: pl.DataFrame) -> go.Figure:
    """`distribution.matches_per_pair`: bars of the pool beside bars of the curated set; the last bar holds all above it."""
    chart = figure(title="Entries that a pair matches", x="matched entries of a pair", y="pairs")
    last = min(int(per_pair["matches"].max()), _MOST_BARS)  # type: ignore[arg-type]
    bars = (
        per_pair.with_columns(pl.col("matches").clip(upper_bound=last))
        .group_by("matches", maintain_order=True)
        .agg(pl.col("pairs").sum(), pl.col("curated").sum())
    )
    for column, label, colour in (("pairs", "in the pool", BEFORE), ("curated", "curated", AFTER)):
        chart.add_bar(
            x=bars["matches"].to_numpy(),
            y=bars[column].to_numpy(),
            name=label,
            marker={"color": colour},
            hovertemplate="%{x} entries<br>%{y:,} pairs " + label + "<extra></extra>",
        )
    if last < len(per_pair) - 1:
        chart.update_xaxes(title={"text": f"matched entries of a pair ({last}: or more)"})
    return chart
