"""The metadata: every entry once, with the sources it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from metaclip_core.errors import SettingsError
from metaclip_core.kernels.tokens import MARKS
from metaclip_core.storage import write_atomically
from metaclip_core.strings import hash_each, string_buffers

__all__ = [
    "KNOWN_SOURCES",
    "MAX_SOURCES",
    "Dropped",
    "Metadata",
    "MetadataFile",
    "enabled_entries",
    "source_masks",
    "sources_in_order",
]

KNOWN_SOURCES = ("wordnet", "wiki_unigram", "wiki_bigram", "wiki_title")
"""The paper's four sources, in the order in which it adds them (Table 1)."""

MAX_SOURCES = 32  # bits of the mask

# What no spaced text can contain between two spaces: a tab or line break, a mark that touches a character, and two marks
# a single space apart (spacing leaves at least two).
_NEVER_MATCHES = rf"[\t\n\r]|[^ ][{MARKS}]|[{MARKS}][^ ]|[{MARKS}] [{MARKS}]"


@dataclass(frozen=True, kw_only=True)
class MetadataFile:
    """A file that entries were read from: its name (without folders) and its number of rows."""

    name: str
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The rows that gave no entry of their own, as int64 arrays, counted like `Metadata.original_ids`."""

    empty: np.ndarray
    blank: np.ndarray
    doubled: np.ndarray

    def __len__(self) -> int:
        return len(self.empty) + len(self.blank) + len(self.doubled)


def _no_rows() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Metadata:
    """Distinct, non-blank entries with the sources of each; an entry's id is its row here.

    `entry_array`: Arrow large_string (n,). `sources`: uint32 (n,), bit i set when the entry belongs to
    `source_names[i]`. `original_ids`: int64 (n,), the row of the entry's first appearance, counted through `files` one
    after the other (`locate` takes it apart). `dropped`: the rows that were empty, blank or doubled.
    """

    entry_array: pa.LargeStringArray
    sources: np.ndarray
    source_names: tuple[str, ...]
    original_ids: np.ndarray
    files: tuple[MetadataFile, ...] = ()
    dropped: Dropped = field(default_factory=lambda: Dropped(empty=_no_rows(), blank=_no_rows(), doubled=_no_rows()))

    def __len__(self) -> int:
        return len(self.entry_array)

    @cached_property
    def entries(self) -> list[str]:
        """The entries as Python strings."""
        return self.entry_array.to_pylist()

    @cached_property
    def entry_hashes(self) -> np.ndarray:
        """XXH64 (seed 0) of each entry's UTF-8: uint64 (n,)."""
        return hash_each(self.entry_array)

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits that stand for the entries, their order and their sources."""
        data, offsets = string_buffers(self.entry_array)
        digest = xxhash.xxh3_128("\n".join(self.source_names).encode())
        digest.update((offsets - offsets[0]).tobytes())
        digest.update(data[offsets[0] : offsets[-1]].tobytes())
        digest.update(self.sources.tobytes())
        return digest.hexdigest()

    @cached_property
    def never_matches(self) -> np.ndarray:
        """The entries that no text can match, such as `u.s.`: bool (n,)."""
        found = pc.match_substring_regex(self.entry_array, _NEVER_MATCHES)
        return found.to_numpy(zero_copy_only=False)

    def enabled(self, sources: Iterable[str] | None = None) -> np.ndarray:
        """Which entries are on when these sources are: bool (n,). None is all, an empty set none.

        Raises SettingsError on a name that is not in `source_names`.
        """
        return enabled_entries(self.sources, self.source_names, sources)

    def locate(self, row: int) -> tuple[str, int]:
        """The file and the row in it (from 0) of a row number of `original_ids` or `dropped`."""
        start = 0
        for file in self.files:
            if row < start + file.n_rows:
                return file.name, row - start
            start += file.n_rows
        raise SettingsError(f"row {row} lies behind the last metadata file")

    def source_lists(self) -> pl.Series:
        """The names of each entry's sources, in the order of `source_names`: list[str] (n,)."""
        masks, which = np.unique(self.sources, return_inverse=True)  # few: one a combination of sources
        lists = [[name for bit, name in enumerate(self.source_names) if int(mask) >> bit & 1] for mask in masks]
        return pl.Series("sources", lists, dtype=pl.List(pl.String)).gather(which)

    def frame(self) -> pl.DataFrame:
        """The table as it is saved: `entry: str`, `sources: list[str]`."""
        return pl.DataFrame({"entry": pl.Series(pl.from_arrow(self.entry_array)), "sources": self.source_lists()})

    def save(self, path: str | Path) -> None:
        """Write `metadata.parquet` with the columns `entry` and `sources`; `load_metadata` reads it back."""
        with write_atomically(Path(path)) as file:
            self.frame().write_parquet(file, compression="zstd")


def sources_in_order(found: Iterable[str]) -> tuple[str, ...]:
    """Each name once: the paper's sources in the order in which it adds them, then the others as they come."""
    names = list(dict.fromkeys(found))
    return (*(name for name in KNOWN_SOURCES if name in names), *(name for name in names if name not in KNOWN_SOURCES))


def source_masks(lists: pl.Series, source_names: tuple[str, ...]) -> np.ndarray:
    """The lists of source names as bit masks, bit i for `source_names[i]`: uint32 (n,)."""
    bits = {name: 1 << bit for bit, name in enumerate(source_names)}
    masks = lists.list.eval(pl.element().replace_strict(bits, return_dtype=pl.UInt32).unique())
    return masks.list.sum().cast(pl.UInt32).to_numpy()


def enabled_entries(masks: np.ndarray, source_names: tuple[str, ...], sources: Iterable[str] | None) -> np.ndarray:
    """Which of the uint32 `masks` have a bit of these sources: bool (n,). See `Metadata.enabled`."""
    if sources is None:
        return np.ones(len(masks), bool)
    if isinstance(sources, str):
        raise SettingsError(f"sources is a list of names, got the string {sources!r}")
    wanted = np.uint32(0)
    for name in sources:
        if name not in source_names:
            raise SettingsError(f"unknown source {name!r}; this metadata has: {', '.join(source_names)}")
        wanted |= np.uint32(1 << source_names.index(name))
    return (masks & wanted) != 0
