"""How well each picture and its caption agree: the cosine of their two vectors, known as the pair's CLIP score."""

from __future__ import annotations

import numpy as np

from metaclip_core.embedding.store import IMAGE, TEXT, Embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.storage import write_atomically

__all__ = ["agreement"]


def agreement(embeddings: Embeddings) -> np.ndarray:
    """float32 (n_pairs,), -1 to 1; NaN where the picture has no vector. Kept beside the embeddings.

    Raises EmbeddingError when the captions were not embedded.
    """
    if not embeddings.has_texts:
        raise EmbeddingError(
            f"{embeddings.path}: the captions were not embedded, so they can't be compared with the pictures; "
            f"`metaclip embed {embeddings.run.place}` with the same model adds them"
        )
    path = embeddings.path / f"agreement-{embeddings.content}.npy"
    if path.exists():
        scores = np.load(path, allow_pickle=False)
        if scores.shape == (embeddings.run.n_pairs,):
            return scores
    scores = np.full(embeddings.run.n_pairs, np.nan, np.float32)
    for (start, images), (_, texts) in zip(embeddings.blocks(IMAGE), embeddings.blocks(TEXT), strict=True):
        scores[start : start + len(images)] = np.einsum("ij,ij->i", images, texts)
    scores[~embeddings.present] = np.nan
    with write_atomically(path) as file:
        np.save(file, scores)
    return scores
