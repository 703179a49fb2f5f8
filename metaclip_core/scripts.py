"""Boundary mode `script`: where an entry needs no space beside it (MetaCLIP 2, arXiv 2507.22062).

Scripts that are written without spaces between words give their words no boundary to match at. An entry whose first (last)
character belongs to such a script needs no space before (behind) it; on every other side it does, as in mode `space`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_core.kernels.tokens import BLANKS, MARKS
from metaclip_core.metadata.table import Metadata

__all__ = ["SCRIPT_RANGES", "ScriptMatcher", "spacing"]

SCRIPT_RANGES: tuple[tuple[int, int, str], ...] = (
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x0F00, 0x0FFF, "Tibetan"),
    (0x1000, 0x109F, "Myanmar"),
    (0x1780, 0x17FF, "Khmer"),
    (0x1950, 0x197F, "Tai Le"),
    (0x1980, 0x19DF, "New Tai Lue"),
    (0x19E0, 0x19FF, "Khmer symbols"),
    (0x1A20, 0x1AAF, "Tai Tham"),
    (0x2E80, 0x2FDF, "Han: radicals"),
    (0x2FF0, 0x2FFF, "Han: description characters"),
    (0x3005, 0x3007, "Han: iteration mark, closing mark, zero"),
    (0x3021, 0x3029, "Han: numerals"),
    (0x3031, 0x3035, "kana repeat marks"),
    (0x3038, 0x303B, "Han: numerals, iteration mark"),
    (0x3041, 0x309F, "Hiragana"),
    (0x30A1, 0x30FA, "Katakana"),
    (0x30FC, 0x30FF, "Katakana: long vowel, repeat marks"),
    (0x3105, 0x312F, "Bopomofo"),
    (0x31A0, 0x31BF, "Bopomofo extended"),
    (0x31F0, 0x31FF, "Katakana extensions"),
    (0x3400, 0x4DBF, "Han: extension A"),
    (0x4E00, 0x9FFF, "Han"),
    (0xA9E0, 0xA9FF, "Myanmar extended B"),
    (0xAA60, 0xAA7F, "Myanmar extended A"),
    (0xAA80, 0xAADF, "Tai Viet"),
    (0xF900, 0xFAFF, "Han: compatibility"),
    (0xFF66, 0xFF9F, "Katakana, half width"),
    (0x1AFF0, 0x1B16F, "kana: extensions and supplement"),
    (0x20000, 0x3FFFF, "Han: extensions B and on"),
)
"""First and last code point of each stretch of a script that is written without spaces; docs/algorithm.md."""

_CLASS = "[" + "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last, _ in SCRIPT_RANGES) + "]"
_SPACING = str.maketrans({**{mark: f" {mark} " for mark in MARKS}, **dict.fromkeys(BLANKS, " ")})


def spacing(text: str) -> str:
    """The text with spaces around it and its marks, its blanks made spaces: what entries are looked for in."""
    return f" {text.translate(_SPACING)} "


class ScriptMatcher:
    """The entries that need no space on a side, in an automaton; `entries` says which they are: bool (n_entries,)."""

    def __init__(self, metadata: Metadata) -> None:
        import ahocorasick

        begins, ends = (
            pc.match_substring_regex(metadata.entry_array, pattern).to_numpy(zero_copy_only=False)
            for pattern in (rf"\A{_CLASS}", rf"{_CLASS}\z")
        )
        self.entries: np.ndarray = begins | ends
        self._automaton = ahocorasick.Automaton()
        for entry_id in np.flatnonzero(self.entries).tolist():
            before, behind = "" if begins[entry_id] else " ", "" if ends[entry_id] else " "
            self._automaton.add_word(f"{before}{metadata.entry_array[entry_id].as_py()}{behind}", entry_id)
        self._automaton.make_automaton()

    def match(self, texts: pa.LargeStringArray) -> Iterator[tuple[int, list[int]]]:
        """(text, its entries ascending) of each text that has any, in order; one without such a script is passed over."""
        if not self.entries.any():
            return
        candidates = pc.match_substring_regex(texts, _CLASS).to_numpy(zero_copy_only=False)
        for text in np.flatnonzero(candidates).tolist():
            found = {entry_id for _, entry_id in self._automaton.iter(spacing(texts[text].as_py()))}
            if found:
                yield text, sorted(found)
