"""Search under the current settings: embeddings and index opened once, queries encoded once; nothing here loads torch
before there is a query to encode, or `warm_up` is called.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import streamlit as st

from dashboard.data.balances import Settings, balance_of
from metaclip_core.embedding.encoder import preload
from metaclip_core.embedding.job import check_pictures
from metaclip_core.embedding.store import Embeddings, list_embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.run import Run
from metaclip_core.search import Filters, Searcher, agreement, list_pairs, map_density, map_places, map_points
from metaclip_core.search.index import open_index

__all__ = [
    "Query",
    "agreement_shares",
    "answer",
    "command",
    "density",
    "embeddings_of",
    "on_map",
    "positions",
    "warm_up",
]


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked for: by a picture's bytes, else like a pair, else by text; else the pairs that pass the filters."""

    text: str = ""
    like: int | None = None
    picture: bytes | None = field(default=None, repr=False)
    k: int = 24
    filters: Filters = field(default_factory=Filters)

    @property
    def scored(self) -> bool:
        """Whether there is something to be near to."""
        return self.picture is not None or self.like is not None or bool(self.text.strip())

    @property
    def empty(self) -> bool:
        """Whether nothing at all is asked for."""
        return not self.scored and self.filters == Filters()


def embeddings_of(run: Run) -> list[Embeddings]:
    """The run's embeddings, the newest first. Raises EmbeddingError when some are damaged."""
    return list_embeddings(run)


def no_pictures(run: Run) -> str | None:
    """Why the run can't be embedded; None when it can."""
    return _no_pictures(run, run.fingerprint)


@st.cache_data(max_entries=16, show_spinner="Looking for pictures")
def _no_pictures(_run: Run, fingerprint: str) -> str | None:
    try:
        check_pictures(_run)
    except EmbeddingError as error:
        return str(error)
    return None


@st.cache_resource
def warm_up() -> None:
    """Import torch and open_clip in a thread of its own, once: they are there when the first query comes."""
    threading.Thread(target=preload, name="preload", daemon=True).start()


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


def answer(run: Run, embeddings: Embeddings, settings: Settings, query: Query) -> pl.DataFrame:
    """`search.RESULT_SCHEMA`, as `metaclip search` has it. Raises SettingsError, PictureError, ModelError, EmbeddingError."""
    balance, searcher = balance_of(run, settings), _searcher(embeddings)
    if not query.scored:
        return list_pairs(run, balance=balance, t=settings.t, k=query.k, filters=query.filters)
    without = None
    if query.picture is not None:
        digest = hashlib.blake2b(query.picture).hexdigest()
        vector = _picture_vector(embeddings, embeddings.content, digest, query.picture)
    elif query.like is not None:
        vector, without = searcher.row_vector(query.like), query.like
    else:
        vector = _text_vector(embeddings, embeddings.content, query.text)
    return searcher.search(
        vector, balance=balance, t=settings.t, k=query.k, filters=query.filters, without=without
    )  # fmt: skip


def command(run: Run, embeddings: Embeddings, settings: Settings, query: Query) -> list[str]:
    """The command line that gives the same results; an uploaded picture is `picture.jpg` there."""
    options = ["-k", str(query.k), "-t", repr(settings.t), "--seed", str(settings.seed)]
    if settings.sources is not None:
        options += ["--sources", ",".join(settings.sources)]
    if query.filters.status != "all":
        options += ["--status", query.filters.status]
    for name in ("entry", "source", "words"):
        if value := getattr(query.filters, name):
            options += [f"--{name}={value}"]
    if model := embeddings.model:
        options += ["--model", model.name] + (["--pretrained", model.pretrained] if model.pretrained else [])
    if query.picture is not None:
        options += ["--picture", "picture.jpg"]
    elif query.like is not None:
        options += ["--like", str(query.like)]
    text = ["--", query.text] if query.scored and query.picture is None and query.like is None else []
    return ["metaclip", "search", str(run.path), *options, "--json", *text]


def positions(embeddings: Embeddings) -> pl.DataFrame:
    """`search.map_points`: a sample of pairs in two dimensions."""
    return _positions(embeddings, embeddings.content)


@st.cache_resource(max_entries=2, show_spinner="Laying out the map: a minute at first, kept afterwards")
def _positions(_embeddings: Embeddings, content: str) -> pl.DataFrame:
    return map_points(_embeddings)


def density(embeddings: Embeddings) -> pl.DataFrame:
    """`search.map_density` of that map."""
    return _density(embeddings, embeddings.content)


@st.cache_resource(max_entries=2, show_spinner="Laying out the map: a minute at first, kept afterwards")
def _density(_embeddings: Embeddings, content: str) -> pl.DataFrame:
    return map_density(_embeddings, positions(_embeddings))


def on_map(embeddings: Embeddings, results: pl.DataFrame) -> pl.DataFrame:
    """Where the results of `answer` are on that map: `row`, `text`, `x`, `y`; those without a picture are nowhere."""
    shown = results.filter(pl.Series(embeddings.present[results["row"].to_numpy()], dtype=pl.Boolean))
    places = map_places(embeddings, positions(embeddings), shown["row"].to_numpy())
    return shown.select("row", "text").with_columns(x=pl.Series(places[:, 0]), y=pl.Series(places[:, 1]))


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
