"""Which entries a text matches: sub-string matching between spaces (paper, section 3.1; docs/algorithm.md).

An entry matches a text when `" " + entry + " "` is a sub-string of the spaced text. In other words: when the entry's
tokens follow one another among the text's, which a hash table of token n-grams finds without looking at every entry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from metaclip_core.errors import SettingsError
from metaclip_core.kernels.scan import scan_texts
from metaclip_core.kernels.table import fill_table, lay_records
from metaclip_core.kernels.threads import map_ranges
from metaclip_core.metadata.table import Metadata
from metaclip_core.scripts import ScriptMatcher
from metaclip_core.strings import string_buffers, to_arrow_strings

__all__ = ["BOUNDARIES", "Matcher", "Matches", "match_texts"]

BOUNDARIES = ("space", "script")
"""The boundary modes: an entry stands between spaces; or needs none beside a script that is written without spaces."""

_SMALLEST_RANGE = 8192  # texts a thread gets at least: below, starting it costs more than it saves
_MATCHERS_KEPT = 2  # 16 MB each at 500,000 entries


@dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """For each text the set of its entries, in compressed sparse rows.

    `indptr`: int64 (n_texts + 1,). `entry_ids`: int32 (n_matches,), those of text i at indptr[i]:indptr[i + 1],
    ascending.
    """

    indptr: np.ndarray
    entry_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def longest(self) -> int:
        """The most entries of a text; 0 without texts."""
        return int(np.diff(self.indptr).max(initial=0))

    def of(self, text: int) -> np.ndarray:
        """The entry ids of one text."""
        return self.entry_ids[self.indptr[text] : self.indptr[text + 1]]

    def to_arrow(self) -> pa.LargeListArray:
        """The same as an Arrow list column; shares the memory."""
        return pa.LargeListArray.from_arrays(pa.array(self.indptr), pa.array(self.entry_ids))


class Matcher:
    """A metadata's n-grams in a hash table, ready for any number of texts; safe to share between threads."""

    def __init__(self, metadata: Metadata, *, boundaries: str = "space") -> None:
        if boundaries not in BOUNDARIES:
            raise SettingsError(f"unknown boundary mode {boundaries!r}; there are: {', '.join(BOUNDARIES)}")
        data, offsets = string_buffers(metadata.entry_array)
        self._scripts = ScriptMatcher(metadata) if boundaries == "script" else None
        usable = ~metadata.never_matches if self._scripts is None else ~(metadata.never_matches | self._scripts.entries)
        n_spaces = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == ord(" ")))
        n_keys = len(metadata) + n_spaces  # every space of an entry ends at most one more beginning
        self._table = np.zeros(1 << max(10, (2 * n_keys).bit_length()), np.uint64)
        self._records, places = lay_records(data, offsets)
        self._longest = fill_table(self._table, data, offsets, places, usable)

    def match(self, texts: Any, *, n_threads: int | None = None) -> Matches:
        """The entries of each text; see `match_texts`."""
        strings = to_arrow_strings(texts)
        data, offsets = string_buffers(strings)

        def scan(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
            return scan_texts(data, offsets, start, stop, self._table, self._records, self._longest)

        ranges = map_ranges(scan, len(offsets) - 1, n_threads=n_threads, smallest=_SMALLEST_RANGE)
        indptr = np.zeros(len(offsets), np.int64)
        np.cumsum(np.concatenate([counts for counts, _ in ranges]), out=indptr[1:])
        matches = Matches(indptr=indptr, entry_ids=np.concatenate([ids for _, ids in ranges]))
        return matches if self._scripts is None else _with_more(matches, self._scripts.match(strings))


def _with_more(matches: Matches, more: Iterable[tuple[int, list[int]]]) -> Matches:
    """The matches with further (text, its entries ascending), in the order of the texts; none is there already."""
    found = list(more)
    if not found:
        return matches
    more_texts = np.repeat([text for text, _ in found], [len(ids) for _, ids in found])
    texts = np.concatenate([np.repeat(np.arange(len(matches)), np.diff(matches.indptr)), more_texts])
    ids = np.concatenate([matches.entry_ids, [entry_id for _, ids in found for entry_id in ids]])
    ordered = np.sort(texts << 32 | ids, kind="stable")  # which merges what is sorted already
    indptr = np.zeros_like(matches.indptr)
    np.cumsum(np.bincount(texts, minlength=len(matches)), out=indptr[1:])
    return Matches(indptr=indptr, entry_ids=(ordered & 0x7FFFFFFF).astype(np.int32))


_matchers: OrderedDict[tuple[str, str], Matcher] = OrderedDict()
_matchers_lock = Lock()


def match_texts(texts: list[str] | pl.Series | pa.Array, metadata: Metadata, *, boundaries: str = "space") -> Matches:
    """The entries that each text matches.

    `texts`: a list, polars or Arrow strings; null counts as an empty text, which matches nothing. Case-sensitive, no
    Unicode normalisation. The last metadata's tables are kept, so calling it batch by batch costs nothing more.
    Raises SettingsError on texts that are no strings, and on an unknown boundary mode.
    """
    key = (metadata.fingerprint, boundaries)
    with _matchers_lock:
        if key not in _matchers:
            _matchers[key] = Matcher(metadata, boundaries=boundaries)
        _matchers.move_to_end(key)
        while len(_matchers) > _MATCHERS_KEPT:
            _matchers.popitem(last=False)
        matcher = _matchers[key]
    return matcher.match(texts)
