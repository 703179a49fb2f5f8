"""The matching rule in its plainest form: slow, obvious, and independent of `metaclip_core`.

It serves the figures of the README and the tests. The rule: `docs/algorithm.md`, boundary mode `space`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["PlainMatcher", "spacing"]

_SPACED = re.compile(r"([,.;:?!`])")
_BLANKS = str.maketrans("\t\n\r", "   ")


def spacing(text: str) -> str:
    """The text as the rule reads it, with a space at both ends."""
    return " " + _SPACED.sub(r" \1 ", text).translate(_BLANKS) + " "


class PlainMatcher:
    """Every run of words of a text, looked up in a set of entries."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = frozenset(entries)
        self.longest = max((entry.count(" ") + 1 for entry in self.entries), default=0)

    def matches(self, text: str) -> set[str]:
        """The entries that the text matches."""
        words = spacing(text)[1:-1].split(" ")
        found: set[str] = set()
        for first in range(len(words)):
            for last in range(first + 1, min(first + self.longest, len(words)) + 1):
                run = " ".join(words[first:last])
                if run in self.entries:
                    found.add(run)
        return found
