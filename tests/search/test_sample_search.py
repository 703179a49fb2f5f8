"""The embedded sample can be searched as soon as it is curated, and nothing heavy is loaded for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from metaclip_core.embedding import open_embeddings
from metaclip_core.run import open_run
from metaclip_core.search import map_points, points

REPOSITORY = Path(__file__).parents[2]


def test_a_newcomer_searches_the_sample(sample_cache: Path) -> None:
    run = open_run(sample_cache / "metaclip-dashboard" / "sample")
    made = open_embeddings(run)
    assert (made.n_images, made.label, made.has_texts) == (9_000, "metaclip-sample", False)
    code = (
        f"from metaclip_core.cli import main; main(['search', {str(run.path)!r}, 'a red apple', '-k', '10', '--json'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=sample_cache, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert len(found) == 10
    assert sum("apple" in pair["text"].lower() for pair in found) >= 4  # a caption may be silent about it


def test_a_newcomers_map_is_at_hand(sample_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came with the sample, and is of these vectors: pairs lie near each other whose pictures are alike."""
    made = open_embeddings(open_run(sample_cache / "metaclip-dashboard" / "sample"))
    monkeypatch.setattr(points, "_projected", None)  # nothing is laid out anew
    drawn = map_points(made)
    assert drawn.schema == {"row": pl.Int64, "x": pl.Float32, "y": pl.Float32}
    assert drawn["row"].n_unique() == len(drawn) == points.N_POINTS
    places, vectors = drawn.select("x", "y").to_numpy(), made.vectors(drawn["row"].to_numpy())
    asked = range(0, len(drawn), 40)
    near = [int(((places - places[i]) ** 2).sum(axis=1).argsort()[1]) for i in asked]
    likeness = sum(float(vectors[i] @ vectors[j]) for i, j in zip(asked, near, strict=True)) / len(near)
    chance = float((vectors.mean(axis=0) ** 2).sum())
    assert likeness > chance + 0.3
