"""The first page: the funnel from pool to curated set at the current t, and what t does to the distribution."""

from __future__ import annotations

import streamlit as st

from dashboard import charts
from dashboard.components.figures import chart_with_table
from dashboard.components.funnel import funnel_metrics, what_t_does
from dashboard.components.pictures import picture_wall
from dashboard.components.tables import source_table, top_table
from dashboard.data import current_run, default_t, kept_with_pictures, snapshot
from dashboard.state import Settings, controls
from metaclip_core.errors import MetaclipError
from metaclip_core.run import Run


def page() -> None:
    st.title("MetaCLIP curation")
    try:
        run = current_run()
        if run is None:
            st.info(
                "No run is open. Start with `metaclip dashboard RUN`, RUN being a folder that `metaclip curate` wrote."
            )
            return
        st.text(f"Run {run.name}  ·  {run.fingerprint[:12]}")
        settings = controls(
            source_names=run.source_names,
            largest_count=int(run.entries["count"].max() or 0),  # type: ignore[arg-type]
            default_t=default_t(run),
            default_seed=run.seed,
        )
        overview(run, settings)
    except MetaclipError as error:
        st.error("This can't be shown:", icon=":material/error:")
        st.text(str(error))


def overview(run: Run, settings: Settings) -> None:
    t = settings.t
    now = snapshot(run, settings.sources, settings.seed, t)
    funnel_metrics(now)
    st.text(what_t_does(now, t))
    if now.matched:
        distribution_charts(run, settings)
    else:
        st.info("There is no distribution to draw: switch a source on, or curate with other metadata.")
    st.subheader("Sources")
    source_table(now.sources)
    if now.matched:
        st.subheader("Most frequent entries")
        top_table(now.top)
    pairs = kept_with_pictures(run, settings.sources, settings.seed, t)
    if len(pairs):
        st.subheader("Some of the kept pairs")
        picture_wall(pairs, run.fingerprint)


def distribution_charts(run: Run, settings: Settings) -> None:
    t = settings.t
    now = snapshot(run, settings.sources, settings.seed, t)
    left, right = st.columns(2, gap="large")
    with left:
        chart_with_table(
            charts.rank_frequency(now.ranks, t),
            now.ranks,
            name="rank_frequency",
            how_to_read="Left of the dashed line are head entries: balancing flattens them towards t, but those that ride "
            "along with tail entries stay above the cap.",
        )
        chart_with_table(
            charts.size_against_t(now.sizes, t),
            now.sizes,
            name="size_curve",
            how_to_read="Raising t only adds pairs; where the curve is flat, a larger t buys little.",
        )
    with right:
        chart_with_table(
            charts.cumulative(now.cumulative, t),
            now.cumulative,
            name="cumulative_counts",
            how_to_read="The paper's figure: a few head entries make the steep end of the solid line; the cap straightens it.",
        )
        chart_with_table(
            charts.matches_per_pair(now.per_pair),
            now.per_pair,
            name="matches_per_pair",
            how_to_read="Pairs that match many entries have many chances to be kept, so the curated bars lose less on the "
            "right.",
        )


page()
