"""Queries to results: a run with its embeddings, their index and, once it is needed, the model."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from metaclip_core.balancing import Balance, check_t
from metaclip_core.embedding.encoder import Encoder, check_query, load_encoder
from metaclip_core.embedding.models import ModelSpec
from metaclip_core.embedding.pictures import decode_query
from metaclip_core.embedding.store import Embeddings, open_embeddings
from metaclip_core.errors import EmbeddingError, SettingsError
from metaclip_core.progress import OnProgress
from metaclip_core.run import Run
from metaclip_core.search.filters import Filters
from metaclip_core.search.index import Index, open_index

__all__ = ["MAX_K", "RESULT_SCHEMA", "Searcher", "list_pairs"]

MAX_K = 10_000

_PAIR_COLUMNS = ("key", "text", "url", "image_path", "image_offset", "image_size")

RESULT_SCHEMA = {
    "row": pl.Int64,
    "score": pl.Float32,
    "status": pl.String,
    "keep_t": pl.Float64,
    "entry": pl.String,
    "key": pl.String,
    "text": pl.String,
    "url": pl.String,
    "image_path": pl.String,
    "image_offset": pl.Int64,
    "image_size": pl.Int64,
}


class Searcher:
    """Search of one run by one model. Opening loads no torch; the model comes with the first text or picture."""

    def __init__(self, embeddings: Embeddings, index: Index) -> None:
        self.run, self.embeddings, self.index = embeddings.run, embeddings, index
        self._loading = threading.Lock()

    @classmethod
    def open(cls, run: Run, spec: ModelSpec | None = None, *, on_progress: OnProgress | None = None) -> Searcher:
        """The run's embeddings by this model (None: its newest) and their index. Raises EmbeddingError."""
        embeddings = open_embeddings(run, spec)
        return cls(embeddings, open_index(embeddings, on_progress))

    @property
    def encoder(self) -> Encoder:
        """The model. Raises ModelError; EmbeddingError when it isn't known, or isn't the one that made the embeddings."""
        with self._loading:
            return self._encoder

    @cached_property
    def _encoder(self) -> Encoder:
        spec = self.embeddings.model
        if spec is None:
            raise EmbeddingError(
                f"{self.embeddings.path}: nobody said which model made these embeddings, so nothing can be compared with "
                "them; import them again with --model and --pretrained"
            )
        if spec.fingerprint != self.embeddings.fingerprint:
            raise EmbeddingError(f"{spec.label}: its files are not those that made {self.embeddings.path}; embed again")
        encoder = load_encoder(spec)
        if encoder.dim != self.embeddings.dim:
            raise EmbeddingError(
                f"{self.embeddings.path}: vectors of {self.embeddings.dim} dimensions, {spec.label} makes {encoder.dim}: "
                "they are of another model"
            )
        return encoder

    def text_vector(self, text: str) -> np.ndarray:
        """A text as float32 (dim,). Raises SettingsError when it is empty or endless."""
        check_query(text)  # before the model is loaded for nothing
        return self.encoder.encode_query(text)

    def picture_vector(self, data: bytes) -> np.ndarray:
        """An encoded picture (an upload) as float32 (dim,). Raises PictureError."""
        picture = decode_query(data)
        return self.encoder.encode_pictures([picture])[0]

    def row_vector(self, row: int) -> np.ndarray:
        """The picture of the run's pair in that row, as float32 (dim,). Raises SettingsError."""
        if not 0 <= row < self.run.n_pairs:
            raise SettingsError(f"there is no pair {row:,}; the run has {self.run.n_pairs:,}, counted from 0")
        if not self.embeddings.present[row]:
            raise SettingsError(f"the picture of pair {row:,} could not be embedded, so nothing can be like it")
        return self.embeddings.vectors(np.array([row]))[0]

    def search(
        self,
        vector: np.ndarray,
        *,
        balance: Balance,
        t: float,
        k: int = 20,
        filters: Filters | None = None,
        without: int | None = None,
    ) -> pl.DataFrame:
        """The k pairs nearest to a vector that pass the filters, the nearest first: RESULT_SCHEMA.

        `balance`: the run's, which with `t` decides what is kept; `entry` in the result is the one that decided
        (null where no enabled entry matches, keep_t is then infinite). `without`: a row to leave out.
        """
        _check_k(k)
        t = check_t(t)
        allowed = (filters or Filters()).mask(self.run, balance, t)
        if without is not None:
            allowed = np.ones(self.run.n_pairs, np.bool_) if allowed is None else allowed.copy()
            allowed[without] = False
        rows, scores = self.index.search(vector, k, allowed)
        return _results(self.run, balance, t, rows, scores)

    def like(self, row: int, **options: Any) -> pl.DataFrame:
        """More like this pair's picture, without itself; options as in `search`."""
        return self.search(self.row_vector(row), without=row, **options)


def list_pairs(run: Run, *, balance: Balance, t: float, filters: Filters, k: int = 20, start: int = 0) -> pl.DataFrame:
    """Pairs that pass the filters, without a query and without embeddings: k from the `start`-th on, in the run's order.

    RESULT_SCHEMA, the score null: what an entry costs, for instance, is in `Filters(entry=...)`, kept and dropped.
    """
    _check_k(k)
    t = check_t(t)
    allowed = filters.mask(run, balance, t)
    rows = np.arange(run.n_pairs) if allowed is None else np.flatnonzero(allowed)
    rows = rows[max(0, start) : max(0, start) + k]
    return _results(run, balance, t, rows, None)


def _check_k(k: int) -> None:
    if not 1 <= k <= MAX_K:
        raise SettingsError(f"k must be from 1 to {MAX_K:,}, got {k}")


def _results(run: Run, balance: Balance, t: float, rows: np.ndarray, scores: np.ndarray | None) -> pl.DataFrame:
    keep_t, deciding = balance.keep_t[rows], balance.deciding_entry[rows]
    entries = run.entries["entry"].gather(np.maximum(deciding, 0)) if len(run.entries) else [None] * len(rows)
    frame = run.rows(rows, _PAIR_COLUMNS).with_columns(
        pl.Series("row", rows),
        pl.Series("score", [None] * len(rows) if scores is None else scores, dtype=pl.Float32),
        pl.Series("status", np.where(keep_t < t, "kept", "dropped"), dtype=pl.String),
        pl.Series("keep_t", keep_t),
        pl.Series("entry", entries, dtype=pl.String).set(pl.Series(deciding < 0, dtype=pl.Boolean), None),
    )
    return frame.select(*RESULT_SCHEMA).cast(RESULT_SCHEMA)  # type: ignore[arg-type]
