"""A small run for the pages: a tar of 280 pairs with pictures, a metadata of three sources."""

from __future__ import annotations

import io
import tarfile

import polars as pl
import pytest
from PIL import Image

from metaclip_core.curation import curate
from metaclip_core.run import Run

HOSTILE = "a dog ![x](https://example.com/x.png) <img src=x onerror=alert(1)> $x^2$ **cat**"
CAPTIONS = [HOSTILE, "a dog", "a cat on a mat", "a small dog in a boat", "a cat", "a red boat", "nothing"] * 40
ENTRIES = {
    "a": ["wordnet"],
    "dog": ["wordnet"],
    "cat": ["wordnet", "wiki_unigram"],
    "boat": ["wiki_unigram"],
    "small dog": ["wiki_bigram"],
    "never seen": ["wiki_bigram"],
}


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """240 of 280 pairs match: `a` matches 240, `dog` 120, `cat` 80, `boat` 80, `small dog` 40 (560 matches)."""
    folder = tmp_path_factory.mktemp("pages")
    with tarfile.open(folder / "pool.tar", "w") as tar:
        for i, caption in enumerate(CAPTIONS):
            picture = io.BytesIO()
            Image.new("RGB", (48, 32), (i * 7 % 256, 120, 200)).save(picture, "PNG")
            for extension, content in (("png", picture.getvalue()), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{i:05}.{extension}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    metadata = folder / "metadata.parquet"
    pl.DataFrame({"entry": list(ENTRIES), "sources": list(ENTRIES.values())}).write_parquet(metadata)
    return curate(folder / "pool.tar", metadata, folder / "run")
