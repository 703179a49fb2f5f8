"""What all charts share: colours of Okabe and Ito, which colour-blind readers tell apart, on light and on dark."""

from __future__ import annotations

import re
from math import log10
from typing import Any

import plotly.graph_objects as go
import polars as pl

__all__ = ["AFTER", "BEFORE", "CAP", "TAIL", "THRESHOLD", "figure", "literal", "log_axis", "mark"]

BEFORE = "#0072B2"
CAP = "#E69F00"
AFTER = "#009E73"
TAIL = "#CC79A7"
THRESHOLD = "#888888"

_LONGEST_NAME = 60
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f]+")


def figure(*, title: str, x: str, y: str, height: int = 400) -> go.Figure:
    """An empty figure with a title and named axes; the page's theme colours text and grid."""
    return go.Figure(
        layout={
            "title": {"text": title, "x": 0, "xanchor": "left"},
            "height": height,
            "margin": {"l": 64, "r": 24, "t": 48, "b": 56},
            "legend": {"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
            "hovermode": "closest",
            # A margin fitted to its labels is drawn twice; those of numbers fit.
            "xaxis": {"title": {"text": x}, "automargin": False},
            "yaxis": {"title": {"text": y}, "automargin": False},
        }
    )


def log_axis() -> dict[str, Any]:
    """The settings of a logarithmic axis: a tick a power of ten, as 1k, 1M."""
    return {"type": "log", "dtick": 1, "exponentformat": "SI", "minor": {"showgrid": False}}


def mark(chart: go.Figure, x: float, label: str) -> None:
    """A dashed vertical line at x, with a label above it; nothing where a logarithmic axis can't show x."""
    if x > 0:
        chart.add_vline(x=x, line={"color": THRESHOLD, "width": 1.5, "dash": "dash"})
        log = chart.layout.xaxis.type == "log"
        chart.add_annotation(
            x=log10(x) if log else x,
            y=1,
            yref="paper",
            text=label,
            showarrow=False,
            xanchor="left",
            yanchor="top",
            xshift=4,
        )


def literal(names: pl.Series) -> list[str]:
    """Entries for hover texts: Plotly reads a few HTML tags and entities there, an entry has none."""
    plain = (_NOT_PLAIN.sub(" ", name) for name in names)
    cut = (name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in plain)
    return [name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for name in cut]
