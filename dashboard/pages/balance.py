"""Choose the threshold t, and see what it does: to the size, to the sources, to the shape of the distribution."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard import charts
from dashboard.components.distribution import cumulative_figure, rank_figure, size_figure
from dashboard.components.figures import chart_with_table, csv_download
from dashboard.components.funnel import funnel_metrics, what_t_does
from dashboard.components.page import show
from dashboard.data.balances import Settings, Snapshot, balance_of, snapshot
from dashboard.numbers import share_text, t_text
from dashboard.state import set_t
from metaclip_core.balancing import Balance
from metaclip_core.distribution import PAPER_MATCHED_PAIRS, PAPER_T, PAPER_TAIL_SHARE, t_for_pool_size
from metaclip_core.run import Run


def page(run: Run, settings: Settings) -> None:
    now = snapshot(run, settings)
    funnel_metrics(now)
    st.text(what_t_does(now, settings.t))
    if not now.matched:
        st.info("Nothing matches under these sources: switch one on in the sidebar.")
        return
    ways_to_choose(balance_of(run, settings), now)
    curves(now, settings.t)
    flatness(now)


def ways_to_choose(balance: Balance, now: Snapshot) -> None:
    st.subheader("Choose t", anchor=False)
    by_size, by_tail, by_pool = st.columns(3, gap="medium")
    with by_size.container(border=True, height="stretch"):
        st.markdown("**By size**")
        size = st.number_input(
            "Pairs to keep", min_value=0, max_value=now.matched, value=now.matched // 2, key="by_size"
        )
        t = balance.t_for_size(size)
        reached = balance.curated_size(t)
        st.caption(f"t = {t_text(t)} keeps exactly {reached:,} pairs" + (" (ties)." if reached != size else "."))
        st.button("Use this t", key="use_size", on_click=set_t, args=(t,))
    with by_tail.container(border=True, height="stretch"):
        st.markdown("**By tail share**")
        share = st.number_input(
            "Tail's share of all matches, in %",
            min_value=0.0,
            max_value=100.0,
            value=PAPER_TAIL_SHARE * 100,
            key="by_tail",
        )
        t = balance.t_for_tail_share(share / 100)
        st.caption(
            f"t = {t_text(t)} has a tail of {share_text(balance.tail_share(t))}; the paper keeps about "
            f"{PAPER_TAIL_SHARE:.0%} when it scales a pool."
        )
        st.button("Use this t", key="use_tail", on_click=set_t, args=(t,))
    with by_pool.container(border=True, height="stretch"):
        st.markdown("**By the size of the pool**")
        t = t_for_pool_size(balance)
        tail = balance.t_for_tail_share(PAPER_TAIL_SHARE)
        st.caption(
            f"{PAPER_T:,.0f} x {now.matched:,} matched pairs / {PAPER_MATCHED_PAIRS / 1e9:g} billion = {t_text(t)}, which keeps "
            f"{balance.curated_size(t):,} pairs. By equal tail share ({PAPER_TAIL_SHARE:.0%}) t is {t_text(tail)} and keeps "
            f"{balance.curated_size(tail):,}."
        )
        st.button("Use this t", key="use_pool", on_click=set_t, args=(t,))


def curves(now: Snapshot, t: float) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        size_figure(now, t, on_click=set_t)
    with right:
        rank_figure(now, t)
    left, right = st.columns(2, gap="large")
    with left:
        cumulative_figure(now, t)
    with right:
        chart_with_table(
            charts.composition(now.sources, matches_before=now.matches_before, matches_after=now.matches_after),
            now.sources,
            name="composition",
            how_to_read="Balancing moves weight from the sources of common words to those of rare ones. An entry of several "
            "sources counts for each.",
        )


def flatness(now: Snapshot) -> None:
    st.subheader("How flat the distribution is", anchor=False)
    rows = [{"curve": name, **values} for name, values in (("before", now.flat_before), ("after", now.flat_after))]
    table = pl.DataFrame(rows)
    st.dataframe(
        table,
        hide_index=True,
        key="flatness",
        column_config={
            "entries": st.column_config.NumberColumn("entries with a pair", format="localized"),
            "entropy_bits": st.column_config.NumberColumn("entropy, bits", format="%.2f"),
            "effective_entries": st.column_config.NumberColumn(
                "effective entries",
                format="localized",
                step=1,
                help="2 to the entropy: as many equal entries are as diverse.",
            ),
            "gini": st.column_config.NumberColumn(
                "Gini", format="%.3f", help="0: all counts equal; 1: one entry has all."
            ),
        },
    )
    csv_download(table, name="flatness")


show(
    "Balance", page, intro="The threshold t is how many pairs an entry may claim. Entries below it keep all they have."
)
