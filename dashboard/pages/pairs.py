"""The pairs themselves: browse them, and ask of any one why it is kept or dropped."""

from __future__ import annotations

import streamlit as st

from dashboard.components.captions import cut, marked_caption
from dashboard.components.figures import csv_download
from dashboard.components.page import show
from dashboard.components.pictures import pair_wall, status_badge
from dashboard.components.tables import ROW_BY_CELL, chosen_rows, count_column, percents, share_column
from dashboard.data.balances import Settings
from dashboard.data.pairs import STATUSES, PairView, filtered_pairs, pair_table, pair_view, sampled
from dashboard.data.pictures import picture
from dashboard.numbers import share_text, t_text
from dashboard.state import go_to
from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.run import Run

_WALL = 24


def page(run: Run, settings: Settings) -> None:
    asked = st.query_params.get("pair", "")
    if asked:
        detail(run, settings, asked)
        st.divider()
    browse(run, settings)


def browse(run: Run, settings: Settings) -> None:
    status_place, entry_place, words_place, shuffle_place = st.columns([3, 2, 3, 1.5], vertical_alignment="bottom")
    status = status_place.pills("Status at t", STATUSES, key="status", bind="query-params")
    entry = entry_place.text_input(
        "Carries the entry", key="carries", bind="query-params", placeholder="exactly as it is in the metadata"
    )
    words = words_place.text_input("Caption has", key="words", bind="query-params", placeholder="any text, then Enter")
    shuffle = _shuffle()
    shuffle_place.button("Reshuffle", icon=":material/shuffle:", key="reshuffle", on_click=_reshuffle, width="stretch")
    found = filtered_pairs(run, settings, status=status or "", entry=entry, words=words)
    if not len(found):
        st.info("No pair is like that: change the filters or t.", icon=":material/search_off:")
        return
    shown = pair_table(run, settings, sampled(found, _WALL, shuffle))
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.caption(
        f"{len(found):,} pairs"
        + (
            f"; {len(shown)} of them shown, {'drawn at random' if shuffle else 'the first ones'}."
            if len(shown) < len(found)
            else "."
        )
    )
    with right:
        csv_download(shown, name="pairs")
    pair_wall(shown, run.fingerprint, key="wall")


def _shuffle() -> int:
    """Which sample is shown: 0 is the first pairs, each number above another drawing."""
    text = st.query_params.get("shuffle", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _reshuffle() -> None:
    st.query_params["shuffle"] = str(_shuffle() + 1)


def _close() -> None:
    st.query_params.pop("pair", None)


def detail(run: Run, settings: Settings, asked: str) -> None:
    if not (asked.isascii() and asked.isdigit()) or int(asked) >= run.n_pairs:
        raise SettingsError(f"there is no pair {cut(asked, 30)!r}: they are numbered from 0 to {run.n_pairs - 1:,}")
    view = pair_view(run, settings, int(asked))
    row = view.row
    image, words = st.columns([1, 2], gap="large")
    with image:
        if row["image_path"] is None:
            st.caption("This pool has no picture for the pair.")
        else:
            try:
                data = picture(run.fingerprint, row["image_path"], row["image_offset"], row["image_size"])  # type: ignore[arg-type]
                st.image(data, width="stretch", alt="the pair's picture")
            except PoolError as error:
                st.text(str(error))
    with words:
        top, close = st.columns([5, 1], vertical_alignment="center")
        with top.container(horizontal=True, vertical_alignment="center"):
            status_badge(view.status)
            st.text(f"pair {view.pair:,}  ·  key {cut(str(row['key']), 80)}")
        close.button("Close", icon=":material/close:", key="close_pair", on_click=_close)
        decisive = view.entries["entry"][0] if view.status != "unmatched" else None
        marked_caption(str(row["text"]), view.spans, decisive)
        st.text(why(view, settings.t))
        if row["url"]:
            st.text(f"url {cut(str(row['url']), 300)}")
    if len(view.entries):
        entries_of(view)


def why(view: PairView, t: float) -> str:
    """One sentence, plain text."""
    if view.status == "unmatched":
        return "It matches no enabled entry, so it is kept at no t."
    entry = cut(str(view.entries["entry"][0]), 80)
    if view.status == "kept":
        said = f"Kept, because of “{entry}”: keep_t = {t_text(view.keep_t)} is below t = {t_text(t)}."
    else:
        said = f"Dropped: no entry says yes at t = {t_text(t)}; “{entry}” would be the first, above t = {t_text(view.keep_t)}."
    return f"{said} Over all draws it is kept with P(keep) = {share_text(view.keep_probability)}."


def entries_of(view: PairView) -> None:
    chosen = st.dataframe(
        percents(view.entries, "yes_probability"),
        hide_index=True,
        key="explained",
        on_select="rerun",
        selection_mode=ROW_BY_CELL,
        column_order=["entry", "sources", "count", "yes_probability", "u", "says_yes_above", "says_yes"],
        column_config={
            "entry": st.column_config.TextColumn("entry", width="medium"),
            "sources": st.column_config.ListColumn("sources"),
            "count": count_column("count", "c: pairs of the pool that the entry matches."),
            "yes_probability": share_column("says yes with", help="min(1, t / c)"),
            "u": st.column_config.NumberColumn("draw u", format="%.4f", help="Fixed by seed, pair and entry."),
            "says_yes_above": st.column_config.NumberColumn("u x c", format="%.4g", help="From this t on it says yes."),
            "says_yes": st.column_config.CheckboxColumn("yes at t"),
        },
    )
    left, right = st.columns([5, 1])
    left.caption("The least u x c is the pair's keep_t. Rows without a draw are entries whose sources are off.")
    with right:
        csv_download(view.entries, name="pair_entries")
    rows = chosen_rows(chosen)
    if rows:
        del st.session_state["explained"]
        go_to("entries", entry=view.entries["entry"][rows[0]])


show("Pairs", page, intro="Captions are shown letter by letter; pictures are read from the pool, never from the web.")
