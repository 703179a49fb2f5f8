"""The embeddings in two dimensions: principal components, then t-SNE, by scikit-learn."""

from __future__ import annotations

import numpy as np
import polars as pl

from metaclip_core.embedding.store import Embeddings
from metaclip_core.storage import write_atomically

__all__ = ["N_POINTS", "map_density", "map_places", "map_points"]

N_POINTS = 4_000
"""Points of a map: more can't be told apart on a screen, and t-SNE's time grows faster than their number."""

_N_COMPONENTS = 32
_MIN_POINTS = 5
_NEIGHBOURS = 5
_DENSITY_PAIRS = 50_000  # a sample this large shows the density of any pool
_DENSITY_CELLS = 96
_DENSITY_BLUR = 1.5  # cells


def map_points(embeddings: Embeddings, n: int = N_POINTS, *, seed: int = 0) -> pl.DataFrame:
    """Up to n pairs by chance, near each other where their pictures are alike: `row` int64 ascending, `x`, `y` float32.

    Kept beside the embeddings: only the first call takes long (tens of seconds).
    """
    path = embeddings.path / f"map-{n}-{seed}-{embeddings.content}.parquet"
    if path.exists():
        return pl.read_parquet(path)
    rows = _drawn(embeddings, n, seed)
    points = _projected(embeddings.vectors(rows), seed)
    frame = pl.DataFrame({"row": rows, "x": points[:, 0], "y": points[:, 1]}).cast({"row": pl.Int64})
    with write_atomically(path) as file:
        frame.write_parquet(file)
    return frame


def map_places(embeddings: Embeddings, points: pl.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Where these pairs, which must have a vector, are on the map `map_points` gave: float32 (n, 2).

    A pair that wasn't drawn for it lies amid those of the map that are nearest to it: the median of five.
    """
    drawn, places = points["row"].to_numpy(), points.select("x", "y").to_numpy()
    vectors = embeddings.vectors(drawn)
    found = np.empty((len(rows), 2), np.float32)
    n_nearest = min(_NEIGHBOURS, len(drawn))
    for start in range(0, len(rows), 4_096):
        block = slice(start, start + 4_096)
        scores = embeddings.vectors(rows[block]) @ vectors.T
        nearest = np.argpartition(-scores, n_nearest - 1, axis=1)[:, :n_nearest]
        found[block] = np.median(places[nearest], axis=1)
    number = np.minimum(np.searchsorted(drawn, rows), len(drawn) - 1)
    itself = drawn[number] == rows
    found[itself] = places[number[itself]]
    return found


def map_density(embeddings: Embeddings, points: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """How many of the run's pictures lie where on the map: `x`, `y` float64, `pictures` float64, a row a cell, x by x.

    Of a pool of over 50,000 that many are placed and count for all; the numbers are smoothed.
    """
    from scipy.ndimage import gaussian_filter

    places = map_places(embeddings, points, _drawn(embeddings, _DENSITY_PAIRS, seed)).astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.05 * (high - low) + 1e-3
    edges = [np.linspace(a, b, _DENSITY_CELLS + 1) for a, b in zip(low - margin, high + margin, strict=True)]
    counts, _, _ = np.histogram2d(places[:, 0], places[:, 1], edges)
    counts = gaussian_filter(counts * (embeddings.n_images / len(places)), _DENSITY_BLUR, mode="constant")
    x, y = ((edge[:-1] + edge[1:]) / 2 for edge in edges)
    return pl.DataFrame({"x": np.repeat(x, len(y)), "y": np.tile(y, len(x)), "pictures": counts.ravel()})


def _drawn(embeddings: Embeddings, n: int, seed: int) -> np.ndarray:
    """Up to n pairs with a vector by chance: int64, ascending."""
    there = np.flatnonzero(embeddings.present)
    return np.sort(np.random.default_rng(seed).choice(there, min(n, len(there)), replace=False))


def _projected(vectors: np.ndarray, seed: int) -> np.ndarray:
    """float32 (n, 2)."""
    if len(vectors) < _MIN_POINTS:  # too few for neighbourhoods
        return np.column_stack([np.arange(len(vectors)), np.zeros(len(vectors))]).astype(np.float32)
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    reduced = PCA(min(_N_COMPONENTS, *vectors.shape), random_state=seed).fit_transform(vectors)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced).astype(np.float32)
