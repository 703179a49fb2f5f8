"""The three curves of a balance that more than one page shows."""

from __future__ import annotations

from collections.abc import Callable

from dashboard import charts
from dashboard.components.figures import chart_with_table
from dashboard.data.balances import Snapshot

__all__ = ["cumulative_figure", "rank_figure", "size_figure"]


def rank_figure(now: Snapshot, t: float) -> None:
    chart_with_table(
        charts.rank_frequency(now.ranks, t),
        now.ranks,
        name="rank_frequency",
        how_to_read="Left of the dashed line are head entries: balancing flattens them towards t, but those that ride along "
        "with tail entries stay above the cap.",
    )


def cumulative_figure(now: Snapshot, t: float) -> None:
    chart_with_table(
        charts.cumulative(now.cumulative, t),
        now.cumulative,
        name="cumulative_counts",
        how_to_read="The paper's figure: a few head entries make the steep end of the solid line; the cap straightens it.",
    )


def size_figure(now: Snapshot, t: float, *, on_click: Callable[[float], None] | None = None) -> None:
    """`on_click` is called with the t of a point that is clicked."""
    chart_with_table(
        charts.size_against_t(now.sizes, t),
        now.sizes,
        name="size_curve",
        how_to_read="Raising t only adds pairs; where the curve is flat, a larger t buys little."
        + (" A click on a curve sets t." if on_click else ""),
        on_click=on_click,
    )
