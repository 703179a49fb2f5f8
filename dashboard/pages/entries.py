"""Every entry of the metadata: find one, and see what balancing does to it."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard import charts
from dashboard.components.captions import literal_heading
from dashboard.components.figures import chart_with_table, csv_download
from dashboard.components.funnel import figure_row
from dashboard.components.page import show
from dashboard.components.pictures import pair_wall
from dashboard.components.tables import ROW_BY_CELL, chosen_rows, count_column, percents, share_column
from dashboard.data.balances import Settings
from dashboard.data.entries import EntryView, entry_view, filtered_entries
from dashboard.data.pairs import pair_table, sampled
from dashboard.numbers import counted, share_text, t_text
from dashboard.state import go_to
from metaclip_core.run import Run

_PAGE = 50
_WALL = 6
_SORTS = {
    "count": "before",
    "kept pairs": "after",
    "probability": "yes_probability",
    "entry": "entry",
}
_ORDERS = {"largest first": True, "smallest first": False}
_STATUSES = ("head", "tail", "never matched")


def page(run: Run, settings: Settings) -> None:
    entry = st.query_params.get("entry", "")
    if entry:
        detail(run, settings, entry)
        st.divider()
    found = filters(run, settings)
    table(found)


def filters(run: Run, settings: Settings) -> pl.DataFrame:
    words_place, status_place, source_place, sort_place, order_place = st.columns(
        [3, 3, 2, 1.8, 2], vertical_alignment="bottom"
    )
    words = words_place.text_input(
        "Find", key="find", bind="query-params", placeholder="a part of an entry, then Enter"
    )
    status = status_place.pills("Status at t", _STATUSES, key="is", bind="query-params")
    source = source_place.selectbox(
        "Of source", run.source_names, index=None, placeholder="any", key="of", bind="query-params"
    )
    sort = sort_place.selectbox("Sort by", list(_SORTS), key="sort", bind="query-params")
    order = order_place.selectbox("Order", list(_ORDERS), key="order", bind="query-params")
    return filtered_entries(
        run,
        settings,
        words=words,
        sources=(source,) if source else (),
        status=status or "",
        sort=_SORTS[sort or "count"],
        descending=_ORDERS[order or "largest first"],
    )


def table(found: pl.DataFrame) -> None:
    if not len(found):
        st.info("No entry is like that: change the filters, or switch a source on.", icon=":material/search_off:")
        return
    n_pages = -(-len(found) // _PAGE)
    place = st.container()
    left, right = st.columns([5, 1], vertical_alignment="center")
    with left:
        number = st.pagination(n_pages, key="page", bind="query-params") if n_pages > 1 else 1
    with right:
        csv_download(found, name="entries")
    rows = found[(number - 1) * _PAGE : number * _PAGE]
    with place:
        st.caption(f"{counted(len(found), 'entry', 'entries')}; click a row to open one.")
        chosen = st.dataframe(
            percents(rows, "yes_probability"),
            hide_index=True,
            key="entries_table",
            on_select="rerun",
            selection_mode=ROW_BY_CELL,
            column_order=["rank", "entry", "sources", "status", "before", "cap", "after", "yes_probability"],
            column_config={
                "rank": count_column("rank", "By count, the most frequent first."),
                "entry": st.column_config.TextColumn("entry", width="medium"),
                "sources": st.column_config.ListColumn("sources"),
                "before": count_column("before", "c: pairs of the pool that the entry matches."),
                "cap": st.column_config.NumberColumn("cap", format="localized", help="min(c, t)"),
                "after": count_column("after", "Kept pairs that carry it, through whichever of their entries."),
                "yes_probability": share_column("says yes", help="min(1, t / c)"),
            },
        )
    selected = chosen_rows(chosen)
    if selected:
        del st.session_state["entries_table"]
        go_to("entries", entry=rows["entry"][selected[0]])


def detail(run: Run, settings: Settings, entry: str) -> None:
    view = entry_view(run, settings, entry)
    head, close = st.columns([6, 1], vertical_alignment="center")
    with head:
        literal_heading(entry)
    close.button("Close", icon=":material/close:", key="close_entry", on_click=_close, width="stretch")
    figures(view)
    st.caption("Of the sources " + ", ".join(view.row["sources"]))  # type: ignore[arg-type]
    curve, together = st.columns([3, 2], gap="large")
    with curve:
        chart_with_table(
            charts.entry_against_t(view.curve, settings.t),
            view.curve,
            name="entry_curve",
            how_to_read="Where the solid line is above the dashed one, pairs of this entry are kept by rarer entries beside it.",
        )
    with together:
        companions(view)
    kept, dropped = st.columns(2, gap="large")
    for place, pairs, name in ((kept, view.kept, "kept"), (dropped, view.dropped, "dropped")):
        with place:
            st.markdown(f"**{name.capitalize()}: {len(pairs):,} pairs**")
            shown = pair_table(run, settings, sampled(pairs, _WALL, 1))
            pair_wall(shown, run.fingerprint, key=f"entry_{name}")
            if len(pairs) and st.button("All of them", key=f"all_{name}", icon=":material/arrow_forward:"):
                go_to("pairs", status=name, carries=entry)


def _close() -> None:
    st.query_params.pop("entry", None)


def figures(view: EntryView) -> None:
    row = view.row
    if row["status"] == "off":
        st.info("None of this entry's sources is on, so it has no part in the balance.", icon=":material/toggle_off:")
        return
    before = int(row["before"])  # type: ignore[call-overload]
    after, rank = int(row["after"]), row["rank"]  # type: ignore[call-overload]
    items = [
        ("Status at t", str(row["status"]).split()[0], "c >= t" if row["status"] == "head" else "c < t"),  # type: ignore[arg-type]
        ("Before", f"{before:,}", f"rank {rank:,}" if rank else "matches no pair"),
        ("Cap", t_text(float(row["cap"])), "min(c, t)"),  # type: ignore[arg-type]
        ("After", f"{after:,}", f"{share_text(after / before)} of its pairs" if before else "none"),
        ("Says yes", share_text(float(row["yes_probability"])), "min(1, t / c)"),  # type: ignore[arg-type]
    ]
    figure_row([(label, value, note, None) for label, value, note in items])


def companions(view: EntryView) -> None:
    st.markdown("**Comes most often with**")
    if not len(view.companions):
        st.caption("It comes alone: none of its pairs matches another entry.")
        return
    st.dataframe(
        percents(view.companions, "share"),
        hide_index=True,
        key="companions",
        height=320,
        column_order=["entry", "together", "share", "before"],
        column_config={
            "entry": "entry",
            "together": count_column("together", "Pairs that carry both."),
            "share": share_column("of its pairs"),
            "before": count_column("its own count"),
        },
    )
    csv_download(view.companions, name="companions")


show("Entries", page, intro="What the pool's captions are matched against, and what each entry keeps at t.")
