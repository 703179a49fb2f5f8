"""The controls that all pages share: which run, the threshold t, the metadata sources, the seed."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from dashboard.data.balances import Settings, default_t
from dashboard.data.runs import KnownRun, known_runs, open_known, start_error
from dashboard.numbers import t_text
from dashboard.state import MAX_T, View, seed_from, set_t, t_ladder
from metaclip_core.balancing import check_t
from metaclip_core.distribution import PAPER_TAIL_SHARE
from metaclip_core.errors import MetaclipError, SettingsError
from metaclip_core.run import Run

__all__ = ["sidebar"]


_STYLE = """<style>
.stMainBlockContainer { padding: 3.25rem 2.5rem 4rem; max-width: 1700px; }
.stMainBlockContainer h1 { font-size: 2rem; padding: 0.5rem 0; }
.stMainBlockContainer h3 { font-size: 1.3rem; }
[data-testid="stMetricValue"] { font-size: 1.4rem; }  /* 10,000,000.0 fits its box */
[data-testid="stSidebarHeader"] { height: 2.5rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 3.25rem 1rem 4rem; } }
</style>"""


def sidebar() -> None:
    """Draw the controls; what they say is `state.view()`, or an error message for the page to show."""
    st.html(_STYLE)
    st.session_state["_view"] = st.session_state["_trouble"] = None
    if st.session_state.pop("_forget", False):
        _forget_sources()
    with st.sidebar:
        try:
            known = _chosen_run()
            if known is not None:
                run = open_known(known)
                st.session_state["_view"] = View(run=run, settings=_settings(run))
        except (MetaclipError, OSError) as error:
            st.session_state["_trouble"] = str(error)


def _chosen_run() -> KnownRun | None:
    trouble = start_error()
    if trouble:
        st.session_state["_trouble"] = trouble
    runs = {known.id: known for known in known_runs()}
    asked = st.session_state.setdefault("_run", st.query_params.get("run", ""))
    if trouble and not asked:
        return None
    if asked and asked[:12] not in runs:
        st.warning(f"No run {asked[:12]!r} is in the folders of this app.", icon=":material/search_off:")
    if not runs:
        return None
    current = asked[:12] if asked[:12] in runs else next(iter(runs))
    if len(runs) > 1:
        current = st.selectbox(
            "Run",
            list(runs),
            index=list(runs).index(current),
            format_func=_labels(list(runs.values())).__getitem__,
            key="_run_chosen",
            on_change=_forget_sources,
        )
    else:
        st.text(f"Run {runs[current].name}")
    st.session_state["_run"] = current
    st.query_params["run"] = current
    return runs[current]


def _labels(runs: list[KnownRun]) -> dict[str, str]:
    """By id what a run is called; its id is told only where others are called the same: options go by their labels."""
    plain = {run.id: f"{run.name} · {run.pairs:,} pairs" for run in runs}
    n_called = Counter(plain.values())
    return {run_id: f"{label} · {run_id}" if n_called[label] > 1 else label for run_id, label in plain.items()}


def _forget_sources() -> None:
    """Another run may have other sources: all of them are on at first. t and seed stay."""
    st.session_state.pop("sources", None)


def _settings(run: Run) -> Settings:
    slider_place = st.container()
    t = st.number_input(  # first: it reads the address, the slider follows it
        "t, as a number",
        min_value=0.0,
        max_value=MAX_T,
        value=default_t(run),
        step=1.0,
        format="%.10g",
        key="t",
        bind="query-params",
        help="An entry that matches c pairs says yes to each with probability min(1, t / c). By default t makes the tail's "
        f"share of all matches as near to {PAPER_TAIL_SHARE:.0%} as it gets.",
    )
    with slider_place:
        ladder = t_ladder(int(run.entries["count"].max() or 0))  # type: ignore[arg-type]
        stops = sorted(
            {t_text(stop): stop for stop in (*ladder, t)}.values()
        )  # t itself in the place of one that reads the same
        st.session_state["t_slider"] = t
        st.select_slider(
            "Threshold t",
            options=stops,
            format_func=t_text,
            key="t_slider",
            on_change=lambda: set_t(st.session_state["t_slider"]),
            help="On a log scale; the arrow keys move it.",
        )
    chosen = st.pills(
        "Metadata sources",
        run.source_names,
        selection_mode="multi",
        default=list(run.source_names),
        key="sources",
        bind="query-params",
        help="An entry takes part when any of its sources is on. The counts of the others do not change.",
    )
    seed = st.text_input(
        "Seed",
        value=str(run.seed),
        key="seed",
        bind="query-params",
        max_chars=20,
        help="Of the draws: another seed keeps other pairs, about as many.",
    )
    sources = tuple(name for name in run.source_names if name in chosen)
    all_on = len(sources) == len(run.source_names)
    try:
        number = seed_from(seed)
    except SettingsError as error:
        st.error(f"{error}. Shown is the run's own.")
        number = run.seed
    return Settings(t=check_t(t), sources=None if all_on else sources, seed=number)
