"""What a reader searches for, and among which pairs."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard.components.captions import cut
from dashboard.data.pictures import small_jpeg, thumbnail
from dashboard.data.searches import Query
from metaclip_core.embedding.pictures import MAX_QUERY_BYTES, decode_query
from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.run import Run
from metaclip_core.search import Filters

__all__ = ["query_controls"]

_NUMBERS = (12, 24, 48, 96)
_EXAMPLE_PX = 72
_LONGEST_TEXT = 60_000  # characters: more than the address could hold; what is too long for a query is said before
_PICTURE_TYPES = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"]


def query_controls(run: Run) -> Query:
    """Draw the query and its filters, which all tabs share and, but for an uploaded picture, the address holds."""
    text_place, upload_place = st.columns([5, 1.2], vertical_alignment="bottom")
    text = text_place.text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder="what the picture should show, then Enter",
        max_chars=_LONGEST_TEXT,
        on_change=_forget_like,
    )
    with upload_place.popover("By picture", icon=":material/upload:", width="stretch"):
        upload = st.file_uploader(
            "A picture to search by",
            type=_PICTURE_TYPES,
            max_upload_size=MAX_QUERY_BYTES // 2**20,
            key="upload",
            help="It stays here: the address can't hold it.",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        status = st.pills("Status at t", ["kept", "dropped"], key="show", bind="query-params", width="content")
        entry = st.text_input(
            "Carries the entry", key="entry_is", bind="query-params", placeholder="exactly", width=170
        )
        source = st.selectbox(
            "Has an entry of",
            run.source_names,
            index=None,
            placeholder="any source",
            key="of",
            bind="query-params",
            width=170,
        )
        words = st.text_input(
            "Caption has the words", key="has", bind="query-params", placeholder="all of them", width=170
        )
        k = st.selectbox("Results", _NUMBERS, index=1, key="k", bind="query-params", width=100)
    like = st.query_params.get("like", "")
    filters = Filters(status=status or "all", entry=entry or None, source=source, words=words or None)
    query = Query(
        text=text or "",
        like=_pair_number(like) if like else None,
        picture=upload.getvalue() if upload else None,
        k=int(k or 24),
        filters=filters,
    )
    _example(run, query)
    return query


def _pair_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise SettingsError(f"there is no pair {cut(text, 30)!r}")
    return int(text)


def _forget_like() -> None:
    st.query_params.pop("like", None)


def _example(run: Run, query: Query) -> None:
    """The picture that is searched by, where it isn't a text."""
    data: bytes | None
    if query.picture is not None:
        data = small_jpeg(decode_query(query.picture), _EXAMPLE_PX, square=True)
    elif query.like is not None and query.like < run.n_pairs:
        data = _thumbnail_of(run, query.like)
    else:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if data:
            st.image(data, width=_EXAMPLE_PX, alt="the picture searched by")
        if query.picture is not None:
            st.caption("Nearest to the picture you gave; take it away to search by text again.")
        else:
            st.caption(f"More like pair {query.like:,}")
            st.button("Back to the text", key="unlike", on_click=_forget_like)


def _thumbnail_of(run: Run, pair: int) -> bytes | None:
    path, offset, size = run.rows(np.array([pair]), ["image_path", "image_offset", "image_size"]).row(0)
    try:
        return thumbnail(run.fingerprint, path, offset, size, _EXAMPLE_PX) if path else None
    except PoolError:
        return None
