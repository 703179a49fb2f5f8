"""Embeddings: CLIP vectors of a run's pictures and texts, made by an open_clip model or brought along.

models     which models there are, and where their weights are
encoder    a loaded model: pictures and texts to vectors
pictures   bytes to a picture, or a clear refusal
store      the folder `RUN/embeddings/FINGERPRINT`
embed      the job that fills it
imported   the same from embeddings that others made
"""

from __future__ import annotations

from metaclip_core.embedding.imported import import_embeddings
from metaclip_core.embedding.job import embed
from metaclip_core.embedding.models import ModelSpec, known_models, model_named
from metaclip_core.embedding.store import Embeddings, list_embeddings, open_embeddings

__all__ = [
    "Embeddings",
    "ModelSpec",
    "embed",
    "import_embeddings",
    "known_models",
    "list_embeddings",
    "model_named",
    "open_embeddings",
]
