"""Captions, and other strings from the web: shown letter by letter, never as Markdown or HTML."""

from __future__ import annotations

from html import escape
from itertools import pairwise

import streamlit as st

from metaclip_core.inspection import Span

__all__ = ["cut", "literal_heading", "marked_caption"]

_LONGEST = 5_000


def cut(text: str, longest: int) -> str:
    """The text on one line, with an ellipsis where it was longer."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def literal_heading(text: str) -> None:
    """A heading of untrusted text; its direction marks don't reach beyond it."""
    st.html(f'<h3 style="margin:0;overflow-wrap:anywhere"><bdi>{escape(cut(text, 200))}</bdi></h3>')


def marked_caption(text: str, spans: list[Span], decisive: str | None) -> None:
    """A caption with the places of its entries marked, the decisive one's more strongly; a long one scrolls."""
    shown = text[:_LONGEST]
    bounds = sorted({0, len(shown), *(min(edge, len(shown)) for span in spans for edge in (span.start, span.stop))})
    pieces = []
    for start, stop in pairwise(bounds):
        piece = escape(shown[start:stop])
        inside = [span.entry for span in spans if span.start <= start and stop <= span.stop]
        if inside:
            strong = decisive in inside
            colour = "rgba(0,158,115,.45)" if strong else "rgba(86,180,233,.28)"
            title = escape(", ".join(inside), quote=True)
            piece = (
                f'<span title="{title}" style="background:{colour};border-radius:3px;padding:1px 0'
                f'{";font-weight:600" if strong else ""}">{piece}</span>'
            )
        pieces.append(piece)
    more = f"<p><em>{len(text) - len(shown):,} more characters</em></p>" if len(text) > len(shown) else ""
    st.html(
        '<div style="max-height:14rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:1.1rem;'
        f'line-height:1.7"><bdi>{"".join(pieces)}</bdi>{more}</div>'
    )
