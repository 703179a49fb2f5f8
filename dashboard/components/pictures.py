"""A wall of pictures. Captions come from the web: they are shown letter by letter, never as Markdown or HTML."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboard.data import thumbnail
from metaclip_core.errors import PoolError

__all__ = ["picture_wall"]

_COLUMNS = 6
_LONGEST_CAPTION = 120


def picture_wall(pairs: pl.DataFrame, fingerprint: str) -> None:
    """`data.kept_with_pictures`: each picture with its caption; those that can't be read are counted below."""
    shown: list[tuple[bytes, str]] = []
    failures: list[str] = []
    for pair in pairs.iter_rows(named=True):
        try:
            data = thumbnail(fingerprint, pair["image_path"], pair["image_offset"], pair["image_size"])
        except PoolError as error:
            failures.append(str(error))
        else:
            shown.append((data, pair["text"] or ""))
    for start in range(0, len(shown), _COLUMNS):
        for column, (data, text) in zip(st.columns(_COLUMNS), shown[start : start + _COLUMNS], strict=False):
            with column:
                st.image(data, width="stretch")
                st.text(text if len(text) <= _LONGEST_CAPTION else text[: _LONGEST_CAPTION - 1] + "…")
    if failures:
        st.text(f"{len(failures)} more can't be shown; the first: {failures[0]}")
