"""The controls, bound to the page's address: the same address shows the same numbers.

`t` (the threshold), `sources` (repeated, those that are on) and `seed`; a control at its default is left out of the address.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from metaclip_core.balancing import check_seed, check_t
from metaclip_core.errors import SettingsError

__all__ = ["Settings", "controls", "t_ladder"]

MAX_T = 1e12  # more pairs than any pool has


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the controls say. `sources`: those that are on, in the run's order; None when all are."""

    t: float
    sources: tuple[str, ...] | None
    seed: int


def t_ladder(largest: int) -> list[float]:
    """The slider's stops: 1, 1.5, 2, 3, 5, 7, 10, 15, ..., the first above the largest count being the last."""
    stops: list[float] = []
    power = 1.0
    while True:
        for step in (1.0, 1.5, 2.0, 3.0, 5.0, 7.0):
            stops.append(step * power)
            if stops[-1] > largest and len(stops) > 1:
                return stops
        power *= 10.0


def controls(*, source_names: tuple[str, ...], largest_count: int, default_t: float, default_seed: int) -> Settings:
    """Draw the controls and read them. Raises SettingsError where what was typed can't be."""
    slider_place, number_place, sources_place, seed_place = st.columns([4, 1.6, 4, 1.4], gap="medium")
    with number_place:  # first: it reads the address, the slider follows it
        t = st.number_input(
            "Threshold t",
            min_value=0.0,
            max_value=MAX_T,
            value=default_t,
            step=1.0,
            format="%.10g",
            key="t",
            bind="query-params",
            help="An entry that matches c pairs says yes to each with probability min(1, t / c). By default t makes "
            "the tail's share of all matches as near to 6% as it gets.",
        )
    with slider_place:
        stops = t_ladder(largest_count)
        st.session_state["t_slider"] = min(stops, key=lambda stop: abs(stop - t))
        st.select_slider(
            "Threshold t, in steps",
            options=stops,
            format_func=lambda stop: f"{stop:,.10g}",
            key="t_slider",
            on_change=_t_from_slider,
        )
    with sources_place:
        chosen = st.pills(
            "Metadata sources that are on",
            source_names,
            selection_mode="multi",
            default=list(source_names),
            key="sources",
            bind="query-params",
            help="An entry takes part when any of its sources is on. The counts of the others do not change.",
        )
    with seed_place:
        seed_text = st.text_input(
            "Seed",
            value=str(default_seed),
            key="seed",
            bind="query-params",
            max_chars=20,
            help="Of the draws: another seed keeps other pairs, about as many.",
        )
    sources = tuple(name for name in source_names if name in chosen)
    return Settings(
        t=check_t(t), sources=None if len(sources) == len(source_names) else sources, seed=_seed_from(seed_text)
    )


def _t_from_slider() -> None:
    st.session_state["t"] = float(st.session_state["t_slider"])


def _seed_from(text: str) -> int:
    try:
        return check_seed(int(text))
    except ValueError as error:
        raise SettingsError(f"seed must be a whole number from 0 to 2**64 - 1, got {text!r}") from error
