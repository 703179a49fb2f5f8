"""Prints the README's table of figures, counted on the committed shards and metadata.

The command: `python -m data_samples.describe`
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from data_samples import METADATA, SHARDS
from data_samples.plain_match import PlainMatcher

__all__ = ["describe", "main", "read_records"]


def read_records(folder: Path = SHARDS) -> Iterator[dict[str, Any]]:
    """The json members of all shards, in order."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".json") else None
                if file is not None:
                    yield json.load(file)


def _source_rows(metadata: pl.DataFrame) -> list[tuple[str, str]]:
    counts = dict(metadata.explode("sources").group_by("sources").len().iter_rows())
    first = Counter(metadata["sources"].list.first())
    return [(f"entries of `{name}`, new with it", f"{counts[name]:,}, {first[name]:,}") for name in first]


def describe(folder: Path = SHARDS, metadata_path: Path = METADATA) -> list[tuple[str, str]]:
    """Figures by name, ready to print."""
    records = list(read_records(folder))
    metadata = pl.read_parquet(metadata_path)
    matcher = PlainMatcher(metadata["entry"])
    sizes = [path.stat().st_size for path in sorted(folder.glob("*.tar"))]
    matches = [matcher.matches(record["caption"]) for record in records]
    shown = Counter(concept for record in records for concept in record["scene"]["concepts"])
    entries = Counter(entry for found in matches for entry in found)
    n = len(records)

    def share(count: int) -> str:
        return f"{count:,} ({count / n:.1%})"

    is_noise = [record["noise"] is not None for record in records]
    return [
        ("pairs, shards", f"{n:,}, {len(sizes)}"),
        ("size of all shards, of the largest", f"{sum(sizes) / 1e6:.1f} MB, {max(sizes) / 1e6:.2f} MB"),
        ("captions that are noise", share(sum(is_noise))),
        ("pairs that match nothing", share(sum(not found for found in matches))),
        (
            "noise that matches nothing",
            share(sum(odd and not found for odd, found in zip(is_noise, matches, strict=True))),
        ),
        (
            "noise that matches all the same",
            share(sum(odd and bool(found) for odd, found in zip(is_noise, matches, strict=True))),
        ),
        ("test split", share(sum(record["split"] == "test" for record in records))),
        ("concepts shown", f"{len(shown):,}"),
        ("concepts in over 1,000 pictures", ", ".join(f"{c} {k:,}" for c, k in shown.most_common() if k > 1000)),
        ("concepts in under 5 pictures", f"{sum(k < 5 for k in shown.values()):,}"),
        ("metadata entries", f"{metadata.height:,}"),
        *_source_rows(metadata),
        ("entries matched at all", f"{len(entries):,}"),
        ("matches, a pair on average", f"{entries.total():,}, {entries.total() / n:.2f}"),
        ("entries with most matches", ", ".join(f"`{entry}` {k:,}" for entry, k in entries.most_common(8))),
    ]


def main() -> int:
    """The command: a Markdown table."""
    print("| figure | value |\n| --- | --- |")
    for name, value in describe():
        print(f"| {name} | {value} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
