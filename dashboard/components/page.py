"""The frame of a page: its title, and what stands there when it can't be shown."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard.data.balances import Settings
from dashboard.state import view
from metaclip_core.errors import MetaclipError
from metaclip_core.run import Run

__all__ = ["show", "trouble"]


def show(title: str, body: Callable[[Run, Settings], None], *, intro: str = "") -> None:
    """Draw a page that shows a run: `body(run, settings)` below the title."""
    st.session_state["_page"] = title.lower()
    st.title(title, anchor=False)
    if intro:
        st.caption(intro)
    message, current = st.session_state.get("_trouble"), view()
    if message:
        trouble(message)
    elif current is None:
        st.info(
            "No run is open. Start with `metaclip dashboard RUN`, RUN being a folder that `metaclip curate` wrote, or "
            "with `metaclip dashboard --root DIR`, and curate files of DIR on the page Data.",
            icon=":material/folder_open:",
        )
    else:
        try:
            body(current.run, current.settings)
        except MetaclipError as error:
            trouble(str(error))


def trouble(message: str) -> None:
    """An error, its text shown letter by letter: it may quote a caption or a file name."""
    st.error("This can't be shown:", icon=":material/error:")
    st.text(message)
