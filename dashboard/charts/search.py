"""Embeddings as pictures: the map, and how well pictures and captions agree."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from dashboard.charts.style import AFTER, BEFORE, CAP, TAIL, THRESHOLD, figure, literal

__all__ = ["agreement", "embedding_map"]

_GROUPS = (BEFORE, CAP, AFTER, TAIL, "#56B4E9", "#D55E00", "#F0E442")
_STATUS = {"kept": AFTER, "dropped": CAP, "unmatched": THRESHOLD}


def embedding_map(points: pl.DataFrame, found: pl.DataFrame | None, density: pl.DataFrame) -> go.Figure:
    """`points` (pair, x, y, text, group), a point a pair, coloured by group, over `search.map_density`; `found` (row, x, y,
    text), if any, stands out.
    """
    chart = figure(title="Pictures by likeness", x="", y="", height=620)
    chart.add_contour(
        x=density["x"].unique(maintain_order=True).to_numpy(),
        y=density["y"].unique(maintain_order=True).to_numpy(),
        z=density["pictures"].to_numpy().reshape(density["x"].n_unique(), -1).T,
        colorscale=[[0, "rgba(128,128,128,0)"], [1, "rgba(128,128,128,0.7)"]],
        contours={"coloring": "fill", "showlines": False},
        ncontours=12,
        showscale=False,
        hoverinfo="skip",
    )
    for number, group in enumerate(points["group"].unique(maintain_order=True).sort()):
        some = points.filter(pl.col("group") == group)
        chart.add_scatter(
            x=some["x"].to_numpy(),
            y=some["y"].to_numpy(),
            name=literal(pl.Series([group]))[0],
            mode="markers",
            marker={"size": 5, "opacity": 0.6, "color": _STATUS.get(group, _GROUPS[number % len(_GROUPS)])},
            customdata=some["pair"].to_numpy(),
            text=literal(some["text"]),
            hovertemplate="%{text}<extra></extra>",
        )
    if found is not None:
        chart.add_scatter(
            x=found["x"].to_numpy(),
            y=found["y"].to_numpy(),
            name=f"results ({len(found):,})",
            mode="markers",
            marker={"size": 14, "symbol": "circle-open", "color": "#D55E00", "line": {"width": 3}},
            customdata=found["row"].to_numpy(),
            text=literal(found["text"]),
            hovertemplate="%{text}<extra></extra>",
        )
    chart.update_layout(dragmode="lasso")
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False)
    return chart


def agreement(scores: pl.DataFrame) -> go.Figure:
    """`data.searches.agreement_shares`: two histograms, each by its own total, so that their shapes can be compared."""
    chart = figure(title="Agreement of picture and caption", x="CLIP score (cosine)", y="share of the pairs")
    for column, colour in (("kept", AFTER), ("dropped", CAP)):
        total = scores[column].sum() or 1
        chart.add_scatter(
            x=((scores["from"] + scores["to"]) / 2).to_numpy(),
            y=(scores[column] / total).to_numpy(),
            name=f"{column} ({scores[column].sum():,})",
            mode="lines",
            line={"color": colour, "width": 2.5, "shape": "hvh"},
            customdata=scores[column].to_numpy(),
            hovertemplate="score %{x:.3f}<br>%{y:.1%} of the " + column + " (%{customdata:,})<extra></extra>",
        )
    chart.update_yaxes(tickformat=".1%", rangemode="tozero")
    return chart
