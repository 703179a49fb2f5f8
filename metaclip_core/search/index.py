"""The nearest vectors by inner product, in FAISS: exact up to a size, approximate above it.

    index.faiss   the vectors, memory-mapped
    index.json    what it was made from, of which kind it is, and how much of the exact answer it finds for texts

An approximate index finds other pairs for a text than for a picture: texts lie apart from pictures in CLIP's space, where
its cells are coarse. So its recall is measured with captions, and so many cells are searched as it takes.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from metaclip_core.embedding.store import TEXT, Embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.progress import OnProgress, Progress
from metaclip_core.storage import storage_errors, write_json

__all__ = ["EXACT_BYTES", "Index", "build_index", "open_index"]

EXACT_BYTES = 2**29
"""Up to this many bytes of float32 vectors all are looked at: 262,144 of 512 dimensions, about 40 ms a query (docs/search.md)."""

FORMAT_VERSION = 1
RECALL_AT = 10
WANTED_RECALL = 0.95

_FEW = 20_000  # allowed pairs up to which they are all looked at, whatever the index
_N_RECALL_QUERIES = 200
_TRAINING_PER_CELL = 64
_RERANKED = 4  # candidates an approximate search looks at again with the exact vectors, per result
_HALF_PRECISION_SHARE = 0.25  # of the memory that vectors of two bytes a number may take; above, one byte


class Index:
    """An opened index. `search` may be called from several threads."""

    def __init__(self, embeddings: Embeddings, faiss_index: Any, report: dict[str, Any]) -> None:
        self._embeddings, self._index = embeddings, faiss_index
        self.report = report
        """`kind` exact or approximate; of an approximate one `cells`, `searched_cells`, `bytes_a_number`, and `recall`
        of the first ten for texts, against exact search, with `recall_queries`."""

    @property
    def is_exact(self) -> bool:
        return self.report["kind"] == "exact"

    def search(self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(rows int64, scores float32) of the k nearest allowed pairs, the nearest first; fewer only if there are fewer.

        `vector`: float32 (dim,), of length 1. `allowed`: bool (n_pairs,), None for all that have a picture.
        """
        present = self._embeddings.present
        allowed = present if allowed is None else allowed & present
        n_allowed = int(np.count_nonzero(allowed))
        k = min(k, n_allowed)
        if not k:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if self.is_exact:
            return self._ask(vector, k, allowed)
        if n_allowed <= max(_FEW, k):
            return self._among(vector, k, np.flatnonzero(allowed))
        # Where fewer are allowed, more cells are looked through, so that as many candidates are met as without a filter.
        n_cells = math.ceil(self.report["searched_cells"] * len(allowed) / n_allowed)
        rows, _ = self._ask(vector, _RERANKED * k, allowed, min(n_cells, self.report["cells"]))
        if len(rows) < k:  # the allowed pairs lie elsewhere
            rows, _ = self._ask(vector, _RERANKED * k, allowed, self.report["cells"])
        return self._among(vector, k, rows)

    def _ask(
        self, vector: np.ndarray, k: int, allowed: np.ndarray, n_cells: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        bits = np.packbits(allowed, bitorder="little")  # FAISS keeps only the address
        options: dict[str, Any] = {"sel": faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(bits))}
        if allowed.all():
            options = {}
        kind: Any = faiss.SearchParameters
        if n_cells is not None:
            kind, options = faiss.SearchParametersIVF, options | {"nprobe": n_cells}
        query = np.ascontiguousarray(vector[None], np.float32)
        scores, rows = self._index.search(query, k, params=kind(**options))
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]

    def _among(self, vector: np.ndarray, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of these rows, by their exact vectors."""
        scores = self._embeddings.vectors(rows) @ vector.astype(np.float32)
        best = np.argsort(-scores, kind="stable")[:k]
        return rows[best], scores[best]


def open_index(embeddings: Embeddings, on_progress: OnProgress | None = None) -> Index:
    """The index of these embeddings, made first where there is none of them yet. Raises EmbeddingError."""
    report = _report(embeddings)
    if report is None:
        build_index(embeddings, on_progress)
        report = _report(embeddings)
    return Index(embeddings, _read(embeddings), report or {})


def _report(embeddings: Embeddings) -> dict[str, Any] | None:
    path = embeddings.path / "index.json"
    if not path.exists():
        return None
    try:
        report = json.loads(path.read_bytes())
        made_for = report["format_version"], report["run"], report["model"], report["content"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmbeddingError(f"{path}: damaged; delete it, and the next search makes the index again") from error
    if made_for != (FORMAT_VERSION, embeddings.run.fingerprint, embeddings.fingerprint, embeddings.content):
        raise EmbeddingError(
            f"{path}: the index was made from other embeddings, another run or model; "
            "delete it, and the next search makes the index again"
        )
    return report


def _read(embeddings: Embeddings) -> Any:
    import faiss

    path = embeddings.path / "index.faiss"
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise EmbeddingError(
            f"{path}: missing or damaged; delete index.json, and the next search makes it again"
        ) from error
    if index.ntotal != embeddings.run.n_pairs or index.d != embeddings.dim:
        raise EmbeddingError(
            f"{path}: {index.ntotal:,} vectors of {index.d} dimensions, the run has {embeddings.run.n_pairs:,} pairs and "
            f"the model {embeddings.dim} dimensions; delete index.json, and the next search makes it again"
        )
    return index


def build_index(embeddings: Embeddings, on_progress: OnProgress | None = None) -> None:
    """Make `index.faiss` and `index.json`; what kind, by size and memory."""
    report = on_progress or (lambda progress: None)
    n = embeddings.run.n_pairs
    exact = n * embeddings.dim * 4 <= EXACT_BYTES
    index, made = _flat(embeddings) if exact else _cells(embeddings)
    for start, block in embeddings.blocks():
        index.add(block)
        report(Progress("index", start + len(block), n, start + len(block)))
    if not exact:
        made |= _measured(embeddings, index)
    path = embeddings.path / "index.faiss"
    _write(index, path)
    made |= {
        "format_version": FORMAT_VERSION, "run": embeddings.run.fingerprint, "model": embeddings.fingerprint,
        "content": embeddings.content, "size_bytes": path.stat().st_size,
    }  # fmt: skip
    write_json(embeddings.path / "index.json", made)


def _write(index: Any, path: Path) -> None:
    import faiss

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            faiss.write_index(index, str(temporary))
            os.replace(temporary, path)
        except RuntimeError as error:  # FAISS's way to say that the disk is full
            raise OSError(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)


def _flat(embeddings: Embeddings) -> tuple[Any, dict[str, Any]]:
    import faiss

    return faiss.IndexFlatIP(embeddings.dim), {"kind": "exact"}


def _cells(embeddings: Embeddings) -> tuple[Any, dict[str, Any]]:
    """An empty index of cells, its centres trained on a sample of the pictures."""
    import faiss

    n, dim = embeddings.run.n_pairs, embeddings.dim
    n_cells = max(1, int(2 * n**0.5))
    half = n * dim * 2 <= _memory_bytes() * _HALF_PRECISION_SHARE
    kind = faiss.ScalarQuantizer.QT_fp16 if half else faiss.ScalarQuantizer.QT_8bit
    # FAISS keeps the centres alive with the index.
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, n_cells, kind, faiss.METRIC_INNER_PRODUCT, False)
    rng = np.random.default_rng(0)
    there = np.flatnonzero(embeddings.present)
    size = min(len(there), n_cells * _TRAINING_PER_CELL)
    index.train(embeddings.vectors(np.sort(rng.choice(there, size, replace=False))))
    return index, {"kind": "approximate", "cells": n_cells, "bytes_a_number": 2 if half else 1}


def _measured(embeddings: Embeddings, index: Any) -> dict[str, Any]:
    """How many cells to search, and the recall of the first ten that this gives, with captions as queries."""
    import faiss

    asked: Any = faiss.SearchParametersIVF
    rng = np.random.default_rng(1)
    there = np.flatnonzero(embeddings.present)
    rows = np.sort(rng.choice(there, min(len(there), _N_RECALL_QUERIES), replace=False))
    kind = TEXT if embeddings.has_texts else "image"
    queries = embeddings.vectors(rows, kind)
    truth = exact_neighbours(embeddings, queries, RECALL_AT)
    n_searched = 1
    while True:
        _, found = index.search(queries, _RERANKED * RECALL_AT, params=asked(nprobe=n_searched))
        recall = float(np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)]))
        if recall >= WANTED_RECALL or n_searched >= index.nlist:
            break
        n_searched = min(2 * n_searched, index.nlist)
    return {
        "searched_cells": n_searched,
        "recall": recall,
        "recall_queries": "captions" if kind == TEXT else "pictures",
    }


def exact_neighbours(embeddings: Embeddings, queries: np.ndarray, k: int) -> np.ndarray:
    """The rows of the k nearest pictures of each query, by looking at all: int64 (n_queries, k)."""
    best_scores = np.full((len(queries), 0), -np.inf, np.float32)
    best_rows = np.zeros((len(queries), 0), np.int64)
    present = embeddings.present
    for start, block in embeddings.blocks():
        scores = queries @ block.T
        scores[:, ~present[start : start + len(block)]] = -np.inf
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate(
            [best_rows, np.broadcast_to(np.arange(start, start + len(block)), scores.shape)], axis=1
        )
        order = np.argsort(-best_scores, axis=1, kind="stable")[:, :k]
        best_scores = np.take_along_axis(best_scores, order, 1)
        best_rows = np.take_along_axis(best_rows, order, 1)
    return best_rows


def _memory_bytes() -> int:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 8 * 2**30
