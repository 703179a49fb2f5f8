"""The data card: what curation did to the distribution over the metadata, in Markdown.

Entries and names come from elsewhere, so each of their characters is shown as it is and none is Markdown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from string import punctuation
from typing import Any

from metaclip_core import distribution
from metaclip_core.export.curated import CuratedSet

__all__ = ["data_card", "literal"]

_TOP_ENTRIES = 20  # as many as the paper's table has

_LEFT_OUT = {
    "no_picture": "the pool has no picture of them",
    "unreadable_picture": "their picture can't be read, or is none",
}

_OPEN_CLIP_READS = ("jpg", "png", "webp")  # filter_no_caption_or_no_image in open_clip_train/data.py

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's control, format (which turn the direction of a text), private and unassigned characters, line breaks."""


def literal(text: str) -> str:
    """The text for Markdown, one line of it: shown as it is, with `\\uNNNN` for what can't be seen."""
    shown = []
    for character in text:
        if unicodedata.category(character) in _INVISIBLE:
            shown.append("\\" + repr(character)[1:-1] if character < "\x80" else f"\\\\u{ord(character):04x}")
        elif character in punctuation:
            shown.append("\\" + character)
        else:
            shown.append(character)
    return "".join(shown)


def data_card(curated: CuratedSet, format: str, figures: Mapping[str, Any]) -> str:
    """The card of an export. `figures`: those of its recipe."""
    run, balance, t = curated.run, curated.balance, curated.t
    after = balance.counts_after(t)
    funnel = distribution.funnel(run.n_pairs, balance.matched_pairs, balance.curated_size(t))
    sources = distribution.source_totals(run.source_masks, run.source_names, balance, t, after=after)
    top = distribution.top_entries(run.entries, balance, t, _TOP_ENTRIES, after=after)
    n_before, n_after = balance.n_matches, int(after.sum())
    on = run.source_names if balance.sources is None else balance.sources
    lines = [
        f"# {literal(run.name)} at t = {t:,.6g}",
        "",
        f"{figures['pairs']:,} image-text pairs in the format {format}, curated the MetaCLIP way "
        "([arXiv 2309.16671](https://arxiv.org/abs/2309.16671)): a pair is kept when keep_t < t. "
        "The recipe beside this card has the exact settings, fingerprints and the command that repeats it.",
        "",
        f"- threshold t: `{t!r}`",
        f"- metadata sources that are on: {', '.join(literal(name) for name in on) or 'none'}",
        f"- seed: {balance.seed}",
        *([] if curated.counts is None else [f"- balanced by the counts of a larger pool: {literal(curated.counts)}"]),
        f"- run: `{run.fingerprint}`",
        "",
        "## From the pool to this set",
        "",
        *_table(
            ("stage", "pairs", "of the pool"),
            [
                *((row["stage"], f"{row['pairs']:,}", _share(row["share"])) for row in funnel.iter_rows(named=True)),
                ("exported", f"{figures['pairs']:,}", _share(figures["pairs"] / max(run.n_pairs, 1))),
            ],
        ),
        "",
        *_pictures(figures),
        f"Averaged over seeds, {figures['expected_curated_pairs']:,.1f} pairs are kept (the sum of P(keep)).",
        "",
        "## The distribution over the metadata",
        "",
        "*Before* counts the pairs of the pool that carry an entry, *after* the curated ones. *Head* entries (before >= t) "
        "are sampled down; they stay above t where they come with tail entries.",
        "",
        *_table(
            ("figure", "before", "after"),
            [
                ("matches", f"{n_before:,}", f"{n_after:,}"),
                ("entries with a match", f"{figures['matched_entries']:,}", f"{int((after > 0).sum()):,}"),
                ("head entries", f"{figures['head_entries']:,}", ""),
                (
                    "matches of tail entries",
                    _share(figures["tail_share"]),
                    _share(int(after[balance.counts_before < t].sum()) / max(n_after, 1)),
                ),
            ],
        ),
        "",
        "### By source",
        "",
        "An entry of several sources counts for each; *first* counts it only for the first of them, as the paper does.",
        "",
        *_table(
            ("source", "entries", "first", "with a match", "matches before", "after", "share before", "share after"),
            [
                (
                    literal(row["source"]),
                    *(f"{row[name]:,}" for name in ("entries", "first_entries", "matched_entries")),
                    *(f"{row[name]:,}" for name in ("matches_before", "matches_after")),
                    _share(row["matches_before"] / max(n_before, 1)),
                    _share(row["matches_after"] / max(n_after, 1)),
                )
                for row in sources.iter_rows(named=True)
            ],
        ),
        "",
        f"### The {len(top)} entries with most matches",
        "",
        *_table(
            ("entry", "before", "after", "min(1, t / before)"),
            [
                (literal(row["entry"]), f"{row['before']:,}", f"{row['after']:,}", f"{row['yes_probability']:.3g}")
                for row in top.iter_rows(named=True)
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _pictures(figures: Mapping[str, Any]) -> list[str]:
    """What is to be said of pictures, where the format has them."""
    lines = [f"- {n:,} curated pairs are left out: {_LEFT_OUT[reason]}" for reason, n in figures["left_out"].items()]
    lines += [
        f"- {n:,} pairs have a {extension} picture"
        + ("" if extension in _OPEN_CLIP_READS else ", which open_clip skips")
        for extension, n in figures["pictures"].items()
    ]
    return [*lines, ""] if lines else []


def _share(value: float) -> str:
    return f"{value:.1%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table: the first column to the left, the figures to the right."""
    marks = [":--", *("--:" for _ in header[1:])]
    return [f"| {' | '.join(row)} |" for row in (header, marks, *rows)]
