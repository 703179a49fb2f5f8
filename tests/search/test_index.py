"""The nearest vectors: exact search against brute force, the approximate index against exact search."""

from __future__ import annotations

import json

import numpy as np
import pytest

from metaclip_core.errors import EmbeddingError
from metaclip_core.search import index as index_module
from metaclip_core.search.index import build_index, open_index

from .worlds import DIM, N, World

QUERIES = np.random.default_rng(1).normal(size=(12, DIM)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)


def masks(world: World) -> dict[str, np.ndarray | None]:
    rng = np.random.default_rng(2)
    one = np.zeros(N, np.bool_)
    one[np.flatnonzero(world.present)[3]] = True
    absent = ~world.present
    return {
        "all": None,
        "every": np.ones(N, np.bool_),
        "half": rng.random(N) < 0.5,
        "few": rng.random(N) < 0.01,
        "one": one,
        "none": np.zeros(N, np.bool_),
        "only pairs without a picture": absent,
    }


def brute_force(world: World, query: np.ndarray, k: int, allowed: np.ndarray | None) -> tuple[list[int], list[float]]:
    rows = [i for i in range(N) if world.present[i] and (allowed is None or allowed[i])]
    scored = sorted(((float(world.vectors[i] @ query), i) for i in rows), key=lambda pair: (-pair[0], pair[1]))[:k]
    return [i for _, i in scored], [score for score, _ in scored]


@pytest.mark.parametrize("k", [1, 10, 700, N + 5])
def test_exact_search_is_brute_force(world: World, k: int) -> None:
    index = open_index(world.embeddings)
    assert index.is_exact
    for name, allowed in masks(world).items():
        for query in QUERIES[:4]:
            rows, scores = index.search(query, k, allowed)
            expected_rows, expected_scores = brute_force(world, query, k, allowed)
            np.testing.assert_allclose(scores, expected_scores, atol=1e-5, err_msg=name)
            assert rows.dtype == np.int64
            # Only rows whose scores are equal to rounding may change places.
            swapped = rows != np.array(expected_rows, np.int64)
            np.testing.assert_allclose(world.vectors[rows[swapped]] @ query, scores[swapped], atol=1e-5)
            assert len(set(rows.tolist())) == len(rows)


@pytest.fixture
def approximate(fresh_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(index_module, "EXACT_BYTES", 0)
    monkeypatch.setattr(index_module, "_FEW", 5)
    return fresh_world


@pytest.mark.parametrize("half_precision_share", [1.0, 0.0], ids=["two bytes", "one byte"])
def test_an_approximate_index_knows_its_recall(
    approximate: World, monkeypatch: pytest.MonkeyPatch, half_precision_share: float
) -> None:
    monkeypatch.setattr(index_module, "_HALF_PRECISION_SHARE", half_precision_share)
    index = open_index(approximate.embeddings)
    assert not index.is_exact
    assert index.report["bytes_a_number"] == (2 if half_precision_share else 1)
    assert index.report["recall"] >= 0.95
    assert index.report["recall_queries"] == "captions"
    assert 1 <= index.report["searched_cells"] <= index.report["cells"] == 77
    captions = approximate.embeddings.vectors(np.flatnonzero(approximate.present)[:60], "text")
    found = [index.search(query, 10)[0] for query in captions]
    truth = [brute_force(approximate, query, 10, None)[0] for query in captions]
    recall = np.mean([len(set(f.tolist()) & set(t)) / 10 for f, t in zip(found, truth, strict=True)])
    assert recall >= 0.85


def test_under_filters_an_approximate_index_gives_all_that_exist(approximate: World) -> None:
    index = open_index(approximate.embeddings)
    for name, allowed in masks(approximate).items():
        n_allowed = int((approximate.present & (True if allowed is None else allowed)).sum())
        for query in QUERIES:
            rows, scores = index.search(query, 20, allowed)
            assert len(rows) == len(set(rows.tolist())) == min(20, n_allowed), name
            assert approximate.present[rows].all()
            assert allowed is None or allowed[rows].all()
            # Scores are those of the stored vectors, whatever the index rounds.
            np.testing.assert_allclose(scores, approximate.vectors[rows] @ query, atol=1e-5)
            assert (np.diff(scores) <= 0).all()


def test_few_cells_searched_are_made_up_for(approximate: World) -> None:
    index = open_index(approximate.embeddings)
    index.report["searched_cells"] = 1
    allowed = np.random.default_rng(3).random(N) < 0.1
    for query in QUERIES:
        rows, _ = index.search(query, 50, allowed)
        assert len(rows) == 50
        assert (approximate.present & allowed)[rows].all()


def test_an_index_is_made_once(fresh_world: World) -> None:
    open_index(fresh_world.embeddings)
    path = fresh_world.embeddings.path / "index.faiss"
    before = path.stat().st_mtime_ns
    open_index(fresh_world.embeddings)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("field", ["run", "model", "content", "format_version"])
def test_an_index_of_something_else_is_refused(fresh_world: World, field: str) -> None:
    build_index(fresh_world.embeddings)
    path = fresh_world.embeddings.path / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: "0" * 32}))
    with pytest.raises(EmbeddingError, match="made from other embeddings, another run or model"):
        open_index(fresh_world.embeddings)


def test_a_damaged_index_is_refused(fresh_world: World) -> None:
    build_index(fresh_world.embeddings)
    path = fresh_world.embeddings.path / "index.faiss"
    path.write_bytes(b"nonsense")
    with pytest.raises(EmbeddingError, match=r"index\.faiss: missing or damaged"):
        open_index(fresh_world.embeddings)
    (path.parent / "index.json").write_text("{")
    with pytest.raises(EmbeddingError, match=r"index\.json: damaged"):
        open_index(fresh_world.embeddings)


def test_an_index_of_another_length_is_refused(fresh_world: World) -> None:
    import faiss

    build_index(fresh_world.embeddings)
    other = faiss.IndexFlatIP(DIM)
    other.add(QUERIES)
    faiss.write_index(other, str(fresh_world.embeddings.path / "index.faiss"))
    with pytest.raises(EmbeddingError, match=r"12 vectors of 24 dimensions, the run has 1,500 pairs"):
        open_index(fresh_world.embeddings)
