"""A small run of several parts, for what reads runs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from metaclip_core import Run, curate

TEXTS = ["a dog", "a cat, a dog", "hot dog stand", "nothing here", "a hot dog and a cat", "cat", "a", "dog dog dog"]
ENTRIES = {
    "a": ["wordnet"],
    "dog": ["wordnet", "wiki_unigram"],
    "cat": ["wordnet"],
    "hot dog": ["wiki_bigram"],
    "unseen": ["wiki_title"],
}


@pytest.fixture(scope="session")
def parted_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """240 pairs in three parts of 80: TEXTS ten times over in each, with the number of the pair as its url."""
    folder = tmp_path_factory.mktemp("parted")
    for part in range(3):
        numbers = range(part * 80, part * 80 + 80)
        pl.DataFrame({"text": TEXTS * 10, "url": [f"https://example.com/{i}" for i in numbers]}).write_parquet(
            _made(folder / "pool") / f"{part}.parquet"
        )
    metadata = folder / "metadata.parquet"
    pl.DataFrame({"entry": list(ENTRIES), "sources": list(ENTRIES.values())}).write_parquet(metadata)
    return curate(folder / "pool", metadata, folder / "run")


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
