"""The metadata's fourth source: titles of Wikipedia articles by views, from Wikimedia's hourly pageview files.

A file has a line for each page of each wiki that was viewed in the hour: `en Homarus_gammarus 57 0`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from metaclip_core.errors import MetadataError
from metaclip_core.inputs import input_errors, open_unpacked
from metaclip_core.metadata.entries import by_count, usable, write_entries

__all__ = ["MIN_HOURLY_VIEWS", "MIN_VIEWS", "read_pageviews", "title_entries"]

MIN_HOURLY_VIEWS = 50
"""The authors': an hour in which a page has fewer views doesn't count."""

MIN_VIEWS = 70
"""The paper's: a title with this sum of counted views is an entry."""

_LARGEST_LINE_BYTES = 1 << 16
_LINE = re.compile(rb"\S+ (\S+) ([0-9]{1,18}) \S+\s*")


def read_pageviews(
    paths: Sequence[str | Path],
    *,
    min_hourly_views: int = MIN_HOURLY_VIEWS,
    project: str = "en",
    on_bytes: Callable[[int], Any] | None = None,
) -> Counter[str]:
    """The views of each title, summed over the files' hours with at least `min_hourly_views` of it.

    `project`: the wiki as the files name it (`en`; `en.m` is its mobile site). Underscores become spaces; titles with a
    colon, pages of another namespace, are left out, and so are lines that are not of four fields. Raises MetadataError
    on a file that is cut off, or none of whose lines is one of a pageview file.
    """
    views: Counter[str] = Counter()
    prefix = project.encode() + b" "
    for path in paths:
        n_lines = n_good = 0
        with input_errors(path, MetadataError), open_unpacked(path, on_bytes) as stream:
            while line := stream.readline(_LARGEST_LINE_BYTES):
                n_lines += 1
                if not line.startswith(prefix):
                    n_good += not n_good and _LINE.fullmatch(line) is not None
                elif fields := _LINE.fullmatch(line):
                    n_good += 1
                    title, count = fields.groups()
                    if int(count) >= min_hourly_views and b":" not in title:
                        views[title.decode("utf-8", "replace").replace("_", " ").strip()] += int(count)
        if not n_good:
            raise MetadataError(
                f"{path}: not a pageview file; none of its {n_lines:,} lines is like `{project} Main_Page 42 0`"
            )
    return views


def title_entries(views: Counter[str], out: str | Path, *, min_views: int = MIN_VIEWS) -> int:
    """Write the titles with at least this many views as the source `wiki_title`; returns how many they are."""
    found = [(title, count) for title, count in views.items() if count >= min_views]
    frame = pl.DataFrame(found, schema={"entry": pl.String, "count": pl.Int64}, orient="row")
    entries = by_count(usable(frame))
    write_entries(out, entries, "wiki_title")
    return entries.height
