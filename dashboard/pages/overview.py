"""The pool at a glance: the funnel, the paper's tables for this pool, and what t does to the distribution."""

from __future__ import annotations

import streamlit as st

from dashboard import charts
from dashboard.components.distribution import cumulative_figure, rank_figure, size_figure
from dashboard.components.figures import chart_with_table
from dashboard.components.funnel import funnel_metrics, what_t_does
from dashboard.components.page import show
from dashboard.components.pictures import pair_wall
from dashboard.components.tables import source_table, top_table
from dashboard.data.balances import Settings, Snapshot, snapshot
from dashboard.data.pairs import some_kept
from dashboard.numbers import share_text
from metaclip_core.run import Run

_WALL = 12


def overview(run: Run, settings: Settings) -> None:
    now = snapshot(run, settings)
    funnel_metrics(now)
    st.text(what_t_does(now, settings.t))
    if now.matched:
        distribution_charts(now, settings.t)
    else:
        st.info("There is no distribution to draw: switch a source on, or curate with other metadata.")
    st.subheader("Sources", anchor=False)
    source_table(now.sources)
    if now.matched:
        st.text(
            f"{share_text(now.unmatched_entries / now.enabled_entries)} of the {now.enabled_entries:,} enabled entries never "
            f"match. {share_text(now.single_entry_pairs / now.matched)} of the matched pairs hang on a single entry."
        )
        st.subheader("The 20 most frequent entries", anchor=False)
        top_table(now.top)
    kept = some_kept(run, settings, _WALL)
    if len(kept):
        st.subheader("Some of the kept pairs", anchor=False)
        pair_wall(kept, run.fingerprint, key="overview_wall")


def distribution_charts(now: Snapshot, t: float) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        rank_figure(now, t)
    with right:
        cumulative_figure(now, t)
    left, right = st.columns(2, gap="large")  # a row each: what stands below a chart may be of any height
    with left:
        size_figure(now, t)
    with right:
        chart_with_table(
            charts.matches_per_pair(now.per_pair),
            now.per_pair,
            name="matches_per_pair",
            how_to_read="Pairs that match many entries have many chances to be kept, so the curated bars lose less on the "
            "right.",
        )


show("Overview", overview)
