"""The embeddings in two dimensions: principal components, then t-SNE, by scikit-learn."""

from __future__ import annotations

import numpy as np
import polars as pl

from metaclip_core.embedding.store import Embeddings
from metaclip_core.storage import write_atomically

__all__ = ["N_POINTS", "map_points"]

N_POINTS = 4_000
"""Points of a map: more can't be told apart on a screen, and t-SNE's time grows faster than their number."""

_N_COMPONENTS = 32
_MIN_POINTS = 5


def map_points(embeddings: Embeddings, n: int = N_POINTS, *, seed: int = 0) -> pl.DataFrame:
    """Up to n pairs by chance, near each other where their pictures are alike: `row` int64 ascending, `x`, `y` float32.

    Kept beside the embeddings: only the first call takes long (tens of seconds).
    """
    path = embeddings.path / f"map-{n}-{seed}-{embeddings.content}.parquet"
    if path.exists():
        return pl.read_parquet(path)
    there = np.flatnonzero(embeddings.present)
    rows = np.sort(np.random.default_rng(seed).choice(there, min(n, len(there)), replace=False))
    points = _projected(embeddings.vectors(rows), seed)
    frame = pl.DataFrame({"row": rows, "x": points[:, 0], "y": points[:, 1]}).cast({"row": pl.Int64})
    with write_atomically(path) as file:
        frame.write_parquet(file)
    return frame


def _projected(vectors: np.ndarray, seed: int) -> np.ndarray:
    """float32 (n, 2)."""
    if len(vectors) < _MIN_POINTS:  # too few for neighbourhoods
        return np.column_stack([np.arange(len(vectors)), np.zeros(len(vectors))]).astype(np.float32)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    reduced = PCA(min(_N_COMPONENTS, *vectors.shape), random_state=seed).fit_transform(vectors)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced).astype(np.float32)
