"""A run of 1,500 pairs in three parts with vectors by chance, imported as people import theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from metaclip_core.curation import curate
from metaclip_core.embedding import Embeddings, import_embeddings
from metaclip_core.run import Run

N, DIM = 1_500, 24
WORDS = ["dog", "cat", "boat", "red", "blue", "Tree", "a.b", "日本"]
ENTRIES = {"dog": ["wordnet"], "cat": ["wordnet", "wiki_title"], "boat": ["wiki_title"], "red": ["wiki_unigram"]}


@dataclass(frozen=True)
class World:
    """The run, its embeddings, and what they were made from."""

    run: Run
    embeddings: Embeddings
    vectors: np.ndarray
    texts: list[str]
    present: np.ndarray


def make_world(folder: Path) -> World:
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(N)]
    for start in range(0, N, N // 3):
        rows = range(start, start + N // 3)
        pl.DataFrame({"text": [texts[i] for i in rows], "uid": [f"u{i}" for i in rows]}).write_parquet(
            folder / "pool" / f"{start:05}.parquet", mkdir=True
        )
    metadata = pl.DataFrame({"entry": list(ENTRIES), "sources": list(ENTRIES.values())})
    metadata.write_parquet(folder / "metadata.parquet")
    run = curate(folder / "pool", folder / "metadata.parquet", folder / "run")
    centres = rng.normal(size=(20, DIM))
    images = (centres[rng.integers(0, 20, N)] + rng.normal(size=(N, DIM))).astype(np.float16)
    captions = (images + rng.normal(size=(N, DIM)) + 1.5).astype(np.float16)
    present = rng.random(N) < 0.95
    (folder / "npz").mkdir()
    np.savez(folder / "npz" / "x.npz", x_img=images[present], x_txt=captions[present])
    pl.DataFrame({"uid": [f"u{i}" for i in np.flatnonzero(present)]}).write_parquet(folder / "npz" / "x.parquet")
    embeddings = import_embeddings(run, folder / "npz").embeddings
    return World(run, embeddings, embeddings.vectors(np.arange(N)), texts, present)
