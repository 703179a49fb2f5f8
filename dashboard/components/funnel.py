"""The funnel in numbers, and in a sentence."""

from __future__ import annotations

import streamlit as st

from dashboard.data.balances import Snapshot
from dashboard.numbers import share_text, t_text

__all__ = ["figure_row", "funnel_metrics", "what_t_does"]


def funnel_metrics(snapshot: Snapshot) -> None:
    """Six figures in a row."""
    _, matched, curated = snapshot.funnel["share"]
    entries = snapshot.matched_entries
    figures: list[tuple[str, str, str, str | None]] = [
        (
            "Pairs",
            f"{snapshot.pairs:,}",
            f"of {snapshot.read:,} read" if snapshot.read != snapshot.pairs else "in the pool",
            f"Read: {snapshot.read:,}. Skipped: {snapshot.skipped:,}; filtered: {snapshot.filtered:,}; duplicates dropped: "
            f"{snapshot.duplicates:,}.",
        ),
        (
            "Matched",
            f"{snapshot.matched:,}",
            f"{share_text(matched)} of the pool",
            "Pairs that an enabled entry matches.",
        ),
        (
            "Curated at t",
            f"{snapshot.curated:,}",
            f"{share_text(curated)} of the pool",
            "Pairs whose keep_t is below t.",
        ),
        ("Expected at t", f"{snapshot.expected:,.1f}", "mean over seeds", "The sum of P(keep) over all pairs."),
        ("Tail share", share_text(snapshot.tail_share), "of all matches", "Matches of entries with c < t."),
        (
            "Head entries",
            f"{snapshot.head_entries:,}",
            f"of {entries:,}",
            f"Entries with c >= t, of those that match a pair. {snapshot.unmatched_entries:,} enabled entries match none.",
        ),
    ]
    figure_row(figures)


def figure_row(figures: list[tuple[str, str, str, str | None]]) -> None:
    """Boxes of one width in a row, which wraps in a narrow window: label, value, a note, and a help text."""
    with st.container(horizontal=True, gap="small"):
        for label, value, note, help_text in figures:
            st.metric(
                label, value, delta=note, delta_color="off", delta_arrow="off", help=help_text, border=True, width=150
            )


def what_t_does(snapshot: Snapshot, t: float) -> str:
    """One sentence, plain text."""
    if not snapshot.matched:
        return "No enabled entry matches a pair of this pool, so nothing is curated at any t."
    tail = max(0, snapshot.matched_entries - snapshot.head_entries)
    share = snapshot.curated / snapshot.matched
    if not snapshot.head_entries:
        return f"At t = {t_text(t)} no entry is a head entry: every matched pair is kept."
    return (
        f"At t = {t_text(t)}, every pair of the {tail:,} tail entries (fewer than t matches) is kept, each of the "
        f"{snapshot.head_entries:,} head entries says yes to about t of its pairs, and {snapshot.curated:,} of "
        f"{snapshot.matched:,} matched pairs ({share_text(share)}) are curated."
    )
