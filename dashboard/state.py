"""What the address holds, and how one page leads to another.

The controls of the sidebar are on every page: `run` (by fingerprint), `t`, `sources` (those that are on) and `seed`; a page's
own filters come and go with it. A control at its default is left out of the address.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard.data.balances import Settings
from metaclip_core.balancing import check_seed
from metaclip_core.errors import SettingsError
from metaclip_core.run import Run

__all__ = ["MAX_T", "View", "choose_run", "go_to", "seed_from", "set_t", "t_ladder", "view"]

MAX_T = 1e12  # more pairs than any pool has
_FIRST_DECADE = -2  # by the size of the pool, t is often below 1


@dataclass(frozen=True, kw_only=True)
class View:
    """What a page is to show."""

    run: Run
    settings: Settings


def view() -> View | None:
    """What the sidebar says now; None when no run can be shown."""
    current: View | None = st.session_state.get("_view")
    return current


def t_ladder(largest: int) -> list[float]:
    """The slider's stops: 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, ..., the first above the largest count being the last."""
    stops: list[float] = []
    decade = _FIRST_DECADE
    while True:
        for step in (1.0, 1.5, 2.0, 3.0, 5.0, 7.0):
            stops.append(float(f"{step}e{decade}"))
            if stops[-1] > max(largest, 1):
                return stops
        decade += 1


def set_t(t: float) -> None:
    """Make t the threshold of the app; for callbacks, which run before the page is drawn."""
    st.session_state["t"] = float(min(max(t, 0.0), MAX_T))


def choose_run(run_id: str) -> None:
    """Make another run the one that is shown, with all of its sources; the page must be drawn again."""
    st.session_state["_run"] = run_id
    st.session_state.pop("_run_chosen", None)
    st.session_state["_forget"] = True


def seed_from(text: str) -> int:
    """A seed as typed. Raises SettingsError."""
    try:
        return check_seed(int(text))
    except ValueError as error:
        raise SettingsError(f"seed must be a whole number from 0 to 2**64 - 1, got {text!r}") from error


def go_to(page: str, **filters: str | int) -> None:
    """Open a page with these filters; run, t, sources and seed stay as they are.

    On the page itself only filters without a widget can be set so.
    """
    chosen = {name: str(value) for name, value in filters.items()}
    if st.session_state.get("_page") == page:  # a switch to the page one is on would drop t from the address
        for name, value in chosen.items():
            st.query_params[name] = value
        st.rerun()
    st.switch_page(f"dashboard/pages/{page}.py", query_params=chosen)
