"""Search under the current settings: embeddings and index opened once, queries encoded once; nothing here loads torch
before there is a query to encode.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import streamlit as st

from dashboard.data.balances import Settings, balance_of
from metaclip_core.embedding.store import Embeddings, list_embeddings
from metaclip_core.run import Run
from metaclip_core.search import Filters, Searcher, agreement, map_points
from metaclip_core.search.index import open_index

__all__ = ["agreement_shares", "embeddings_of", "found", "found_like", "found_picture", "positions"]


def embeddings_of(run: Run) -> list[Embeddings]:
    """The run's embeddings, the newest first. Raises EmbeddingError when some are damaged."""
    return list_embeddings(run)


def _searcher(embeddings: Embeddings) -> Searcher:
    return _opened(embeddings, embeddings.content)


@st.cache_resource(max_entries=2, show_spinner="Opening the index")
def _opened(_embeddings: Embeddings, content: str) -> Searcher:
    return Searcher(_embeddings, open_index(_embeddings))


@st.cache_data(max_entries=256, show_spinner="Encoding the query")
def _text_vector(_embeddings: Embeddings, content: str, text: str) -> np.ndarray:
    return _searcher(_embeddings).text_vector(text)


@st.cache_data(max_entries=32, show_spinner="Encoding the picture")
def _picture_vector(_embeddings: Embeddings, content: str, digest: str, _data: bytes) -> np.ndarray:
    return _searcher(_embeddings).picture_vector(_data)


def found(run: Run, embeddings: Embeddings, settings: Settings, text: str, k: int, filters: Filters) -> pl.DataFrame:
    """The k pairs nearest to a text: `data.pairs.pair_table`'s columns, `url` and `score`, the nearest first."""
    vector = _text_vector(embeddings, embeddings.content, text)
    return _search(run, embeddings, settings, vector, k, filters, None)


def found_picture(
    run: Run, embeddings: Embeddings, settings: Settings, data: bytes, k: int, filters: Filters
) -> pl.DataFrame:
    """The same, nearest to an encoded picture. Raises PictureError."""
    vector = _picture_vector(embeddings, embeddings.content, hashlib.blake2b(data).hexdigest(), data)
    return _search(run, embeddings, settings, vector, k, filters, None)


def found_like(
    run: Run, embeddings: Embeddings, settings: Settings, pair: int, k: int, filters: Filters
) -> pl.DataFrame:
    """The same, nearest to the picture of a pair, itself left out. Raises SettingsError."""
    return _search(run, embeddings, settings, _searcher(embeddings).row_vector(pair), k, filters, pair)


def _search(
    run: Run,
    embeddings: Embeddings,
    settings: Settings,
    vector: np.ndarray,
    k: int,
    filters: Filters,
    without: int | None,
) -> pl.DataFrame:
    balance = balance_of(run, settings)
    results = _searcher(embeddings).search(vector, balance=balance, t=settings.t, k=k, filters=filters, without=without)
    unmatched = pl.col("keep_t").is_infinite()
    return results.rename({"row": "pair", "entry": "decided_by"}).with_columns(
        pl.when(unmatched).then(pl.lit("unmatched")).otherwise(pl.col("status")).alias("status")
    )


def positions(embeddings: Embeddings) -> pl.DataFrame:
    """`search.map_points`: a sample of pairs in two dimensions."""
    return _positions(embeddings, embeddings.content)


@st.cache_resource(max_entries=2, show_spinner="Laying out the map: a minute at first, kept afterwards")
def _positions(_embeddings: Embeddings, content: str) -> pl.DataFrame:
    return map_points(_embeddings)


def agreement_shares(run: Run, embeddings: Embeddings, settings: Settings, bins: int = 60) -> pl.DataFrame:
    """The CLIP scores of kept and of dropped pairs: `from`, `to` float64, `kept`, `dropped` int64, a row a bin.

    Pairs that match nothing are in neither. Raises EmbeddingError when the captions were not embedded.
    """
    scores = _agreement(embeddings, embeddings.content)
    keep_t = balance_of(run, settings).keep_t
    there = np.isfinite(scores) & np.isfinite(keep_t)
    low, high = (float(scores[there].min()), float(scores[there].max())) if there.any() else (0.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
    kept = keep_t < settings.t
    return pl.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "kept": np.histogram(scores[there & kept], edges)[0],
            "dropped": np.histogram(scores[there & ~kept], edges)[0],
        }
    )


@st.cache_resource(max_entries=2, show_spinner="Comparing pictures with their captions")
def _agreement(_embeddings: Embeddings, content: str) -> np.ndarray:
    return agreement(_embeddings)
