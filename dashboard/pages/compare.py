"""Two settings of one run side by side: what the second one brings in, and what it loses."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard import charts
from dashboard.components.figures import chart_with_table, csv_download
from dashboard.components.funnel import figure_row
from dashboard.components.page import show
from dashboard.components.pictures import pair_wall
from dashboard.components.tables import count_column
from dashboard.data.balances import Settings, after_of, snapshot
from dashboard.data.comparisons import changes_of, compared
from dashboard.data.pairs import pair_table, sampled
from dashboard.numbers import share_text, t_text
from dashboard.state import MAX_T, seed_from
from metaclip_core.run import Run

_WALL = 6


def page(run: Run, a: Settings) -> None:
    b = settings_b(run, a)
    result = compared(run, a, b)
    figure_row(
        [
            ("A keeps", f"{result.size_a:,}", f"t = {t_text(a.t)}", "The settings of the sidebar."),
            ("B keeps", f"{result.size_b:,}", f"t = {t_text(b.t)}", "The settings above."),
            (
                "Both keep",
                f"{result.both:,}",
                f"overlap {share_text(result.overlap)}",
                "As a share of what either keeps.",
            ),
            ("Entered", f"{len(result.entered):,}", "pairs only B keeps", None),
            ("Left", f"{len(result.left):,}", "pairs only A keeps", None),
        ]
    )
    if not result.size_a and not result.size_b:
        st.info("Neither setting keeps a pair: raise t, or switch a source on.")
        return
    curves(run, a, b)
    entries(run, a, b)
    entered, left = st.columns(2, gap="large")
    for place, pairs, settings, name, by in (
        (entered, result.entered, b, "entered", "B"),
        (left, result.left, a, "left", "A"),
    ):
        with place:
            st.markdown(f"**{name.capitalize()}: {len(pairs):,} pairs that only {by} keeps**")
            st.caption(
                f"Why {by} keeps them; a page of a pair explains it under A." if by == "B" else "Why A keeps them."
            )
            pair_wall(pair_table(run, settings, sampled(pairs, _WALL, 1)), run.fingerprint, key=f"wall_{name}")


def settings_b(run: Run, a: Settings) -> Settings:
    """B's controls, in the address as `t_b`, `sources_b` and `seed_b`; at first ten times A's t, else as A."""
    t_place, sources_place, seed_place = st.columns([1.5, 4, 1.5], gap="medium")
    t = t_place.number_input(
        "t of B", min_value=0.0, max_value=MAX_T, value=10 * a.t or 1.0, format="%.10g", key="t_b", bind="query-params"
    )
    chosen = sources_place.pills(
        "Sources of B",
        run.source_names,
        selection_mode="multi",
        default=list(run.source_names),
        key="sources_b",
        bind="query-params",
    )
    seed = seed_place.text_input("Seed of B", value=str(run.seed), key="seed_b", bind="query-params", max_chars=20)
    sources = tuple(name for name in run.source_names if name in chosen)
    all_on = len(sources) == len(run.source_names)
    return Settings(t=t, sources=None if all_on else sources, seed=seed_from(seed))


def curves(run: Run, a: Settings, b: Settings) -> None:
    ranks = snapshot(run, a).ranks.select("rank", "entry_id", "entry", "before", pl.col("after").alias("after_a"))
    if not len(ranks):
        return
    ranks = ranks.with_columns(pl.Series("after_b", after_of(run, b)[ranks["entry_id"].to_numpy()]))
    chart_with_table(
        charts.two_settings(ranks),
        ranks,
        name="two_settings",
        how_to_read="Where B's points lie above A's, B keeps more pairs of these entries. Ranks are A's, before balancing.",
    )


def entries(run: Run, a: Settings, b: Settings) -> None:
    changes = changes_of(run, a, b)
    numbers = dict(changes["status"].value_counts().iter_rows())
    st.subheader("Entries that changed", anchor=False)
    st.caption(
        f"{numbers.get('entered', 0):,} entries have pairs only under B, {numbers.get('left', 0):,} only under A, "
        f"{numbers.get('changed', 0):,} have another number of pairs. The 200 largest changes:"
    )
    st.dataframe(
        changes[:200],
        hide_index=True,
        key="changes",
        height=320,
        column_order=["entry", "sources", "status", "after_a", "after_b", "change"],
        column_config={
            "entry": "entry",
            "sources": st.column_config.ListColumn("sources"),
            "after_a": count_column("after A"),
            "after_b": count_column("after B"),
            "change": count_column("change"),
        },
    )
    csv_download(changes, name="entry_changes")


show(
    "Compare",
    page,
    intro="A is the setting of the sidebar; B is chosen here. Sets of one seed are nested: a larger t only adds.",
)
