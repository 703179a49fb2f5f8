"""The command line in this process, a pool of many small shards, and a small run of several parts."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metaclip_core import Run, curate
from metaclip_core.cli import main

from .commands import Done, contents, curate_arguments

Command = Callable[..., Done]


@pytest.fixture
def metaclip(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `metaclip` with these arguments in this process."""

    def run(*arguments: Any) -> Done:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def many_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `pool/`, 24 parquet files of 300 captions each, and `metadata.parquet`, 3,000 entries."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "pool").mkdir()
    rng = random.Random(7)
    words = [f"word{i}" for i in range(2000)]
    for shard in range(24):
        texts = [" ".join(rng.choices(words, weights=range(2000, 0, -1), k=6)) for _ in range(300)]
        pl.DataFrame({"text": texts}).write_parquet(folder / f"pool/{shard:02}.parquet")
    entries = [*words, *(f"{a} {b}" for a, b in zip(words, words[500:], strict=False))][:3000]
    pl.DataFrame({"entry": entries}).write_parquet(folder / "metadata.parquet")
    return folder


@pytest.fixture(scope="session")
def undisturbed(many_shards: Path) -> dict[str, bytes]:
    """What a run of `many_shards` holds that nothing came in the way of."""
    out = many_shards / "undisturbed"
    assert main([str(argument) for argument in curate_arguments(many_shards, out)]) == 0
    return contents(out)


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
