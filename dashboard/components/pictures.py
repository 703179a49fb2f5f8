"""A wall of pairs: picture, caption, whether it is kept, and why."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard.components.captions import cut
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


def pair_wall(pairs: pl.DataFrame, fingerprint: str, *, key: str, columns: int = 6, similar: bool = False) -> None:
    """`data.pairs.pair_table`: pictures in rows of `columns`, or a table where no pair has one. A click explains a pair.

    With a column `score` that is shown, too; `similar` adds a button that searches for more like it.
    """
    if not len(pairs):
        st.caption("None.")
    elif pairs["image_path"].null_count() == len(pairs):
        _table(pairs, key=key)
    else:
        for start in range(0, len(pairs), columns):
            cells = st.columns(columns)
            for cell, pair in zip(cells, pairs[start : start + columns].iter_rows(named=True), strict=False):
                with cell:
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
        because = f"  ·  {cut(str(pair['decided_by']), 40)}" if pair["decided_by"] else ""
        st.text(f"{pair['score']:.3f}{because}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        status_badge(str(pair["status"]))
        explain = st.button("Why?", key=f"{key}_{pair['pair']}", type="tertiary", help="Explain this pair")
        more = similar and st.button(
            "More", key=f"{key}_like_{pair['pair']}", type="tertiary", help="More like this picture"
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
        selection_mode="single-row",
        column_config={
            "status": st.column_config.TextColumn("status", width="small"),
            "text": st.column_config.TextColumn("caption", width="large"),
            "decided_by": st.column_config.TextColumn("decided by"),
            "keep_t": st.column_config.TextColumn("keep_t", width="small"),
        },
    )
    rows = chosen["selection"]["rows"]
    if rows:
        del st.session_state[f"{key}_table"]
        go_to("pairs", pair=int(pairs["pair"][rows[0]]))
