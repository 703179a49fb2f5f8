"""A wall of pairs: picture, caption, whether it is kept, and why."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard.components.captions import cut
from dashboard.components.tables import ROW_BY_CELL, chosen_rows
from dashboard.data.pictures import thumbnail
from dashboard.numbers import t_text
from dashboard.state import go_to
from metaclip_core.errors import PoolError

__all__ = ["STATUS_LOOK", "pair_wall", "status_badge"]

_LONGEST_CAPTION = 110

STATUS_LOOK = {
    "kept": ("green", ":material/check:"),
    "dropped": ("orange", ":material/close:"),
    "unmatched": ("gray", ":material/remove:"),
}


_STYLE = """<style>
[class*="st-key-pictures_"] {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1.25rem 1rem; align-items: start;
}
[class*="st-key-pictures_"] [data-testid="stText"] { font-size: 0.875rem; overflow-wrap: anywhere; }
</style>"""


def pair_wall(pairs: pl.DataFrame, fingerprint: str, *, key: str, similar: bool = False) -> None:
    """`data.pairs.pair_table`: pictures, as many side by side as there is room for, or a table where no pair has one.

    With a column `score` that is shown, too, and what decided; `similar` adds a button that searches for more like it.
    """
    if not len(pairs):
        st.caption("None.")
    elif pairs["image_path"].null_count() == len(pairs):
        _table(pairs, key=key)
    else:
        st.html(_STYLE)
        with st.container(key=f"pictures_{key}"):
            for pair in pairs.iter_rows(named=True):
                with st.container(gap="xsmall"):
                    _card(pair, fingerprint, key=key, similar=similar)


def _card(pair: dict[str, object], fingerprint: str, *, key: str, similar: bool) -> None:
    try:
        if pair["image_path"] is None:
            raise PoolError("no picture")
        data = thumbnail(fingerprint, pair["image_path"], pair["image_offset"], pair["image_size"])  # type: ignore[arg-type]
    except PoolError as error:
        with st.container(border=True, height=120):
            st.text(cut(str(error), 160))
    else:
        st.image(data, width="stretch", alt="the pair's picture")
    st.text(cut(str(pair["text"]), _LONGEST_CAPTION))
    if "score" in pair:
        score = "" if pair["score"] is None else f"{pair['score']:.3f}  ·  "
        st.text(score + (f"“{cut(str(pair['decided_by']), 40)}”" if pair["decided_by"] else "no entry matches"))
    status_badge(str(pair["status"]))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        explain = st.button("Why?", key=f"{key}_{pair['pair']}", type="tertiary", help="Explain this pair")
        more = similar and st.button(
            "More like this",
            key=f"{key}_like_{pair['pair']}",
            type="tertiary",
            help="Search for pictures like this one",
        )
    if more:
        go_to("search", like=int(pair["pair"]))  # type: ignore[call-overload]
    if explain:
        go_to("pairs", pair=int(pair["pair"]))  # type: ignore[call-overload]


def status_badge(status: str) -> None:
    """`kept`, `dropped` or `unmatched`, in its colour and with its sign."""
    colour, icon = STATUS_LOOK[status]
    st.badge(status, color=colour, icon=icon)  # type: ignore[arg-type]


def _table(pairs: pl.DataFrame, *, key: str) -> None:
    shown = pairs.select(
        "status",
        pl.col("text").map_elements(lambda text: cut(text, 300), return_dtype=pl.String),
        "decided_by",
        pl.col("keep_t").map_elements(t_text, return_dtype=pl.String),
    )
    chosen = st.dataframe(
        shown,
        hide_index=True,
        key=f"{key}_table",
        on_select="rerun",
        selection_mode=ROW_BY_CELL,
        column_config={
            "status": st.column_config.TextColumn("status", width="small"),
            "text": st.column_config.TextColumn("caption", width="large"),
            "decided_by": st.column_config.TextColumn("decided by"),
            "keep_t": st.column_config.TextColumn("keep_t", width="small"),
        },
    )
    rows = chosen_rows(chosen)
    if rows:
        del st.session_state[f"{key}_table"]
        go_to("pairs", pair=int(pairs["pair"][rows[0]]))
