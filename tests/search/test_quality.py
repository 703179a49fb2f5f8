"""What the model that ships finds in the sample, which training never saw (docs/search.md has the figures)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_samples.clip_training.facts import Fact
from data_samples.evaluate_clip import (
    EXAMPLES,
    Gallery,
    chance,
    concept_queries,
    counted_queries,
    held_out_queries,
    load_gallery,
    precision,
    recall,
    setting_queries,
)
from data_samples.pairs import N_PAIRS, generate_pairs
from metaclip_core.embedding.encoder import Encoder, load_encoder
from metaclip_core.embedding.models import model_named

EMBEDDINGS = Path(__file__).parents[2] / "data_samples" / "clip" / "embeddings"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(model_named())


@pytest.fixture(scope="module")
def gallery(encoder: Encoder) -> Gallery:
    """The test split."""
    return load_gallery(encoder, only_test=True)


@pytest.fixture(scope="module")
def sample() -> Gallery:
    """All of the sample, by the vectors that ship."""
    keys = pl.read_parquet(EMBEDDINGS / "sample.parquet")["key"].to_list()
    with np.load(EMBEDDINGS / "sample.npz") as archive:
        vectors = archive["metaclip_sample_img"].astype(np.float32)
    pairs = list(generate_pairs(n=N_PAIRS))
    assert keys == [f"{i // 900:05}{i % 900:04}" for i in range(N_PAIRS)]
    return Gallery(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        keys,
        [pair.scene for pair in pairs],
        [pair.caption for pair in pairs],
        np.array([pair.noise is not None for pair in pairs]),
        np.array([pair.split == "test" for pair in pairs]),
    )


def by_model(gallery: Gallery, encoder: Encoder):
    return lambda text: gallery.by_model(encoder, text)


def test_single_concepts(gallery: Gallery, encoder: Encoder) -> None:
    queries = concept_queries(gallery)
    assert len(queries) >= 20
    assert np.mean(precision(gallery, by_model(gallery, encoder), queries)) >= 0.75
    assert np.mean(chance(gallery, queries)) < 0.1


def test_places_and_backgrounds(gallery: Gallery, encoder: Encoder) -> None:
    for queries in setting_queries():
        assert len(queries) == 12
        assert np.mean(precision(gallery, by_model(gallery, encoder), queries)) >= 0.9


def test_combinations_never_seen(gallery: Gallery, encoder: Encoder) -> None:
    queries = held_out_queries()
    assert len(queries) == 9
    assert np.mean(precision(gallery, by_model(gallery, encoder), queries)) >= 0.6
    assert np.mean(chance(gallery, queries)) < 0.1


def test_numbers_of_any_concept(sample: Gallery, encoder: Encoder) -> None:
    queries = counted_queries(sample)
    assert len(queries) >= 40
    assert len({fact.concept for _, fact in queries}) >= 20
    assert np.mean(precision(sample, by_model(sample, encoder), queries)) >= 0.7
    assert np.mean(chance(sample, queries)) < 0.01


@pytest.mark.parametrize(
    ("text", "fact", "least"),
    [
        ("a red apple", EXAMPLES["a red apple"], 0.8),
        ("two dogs", EXAMPLES["two dogs"], 0.7),
        ("a boat at night", EXAMPLES["a boat at night"], 0.8),
        ("three dogs", Fact(concept="dog", count=3), 0.7),
        ("a dog at night", Fact(concept="dog", mood="night"), 0.6),
    ],
)
def test_examples_bring_what_they_say(sample: Gallery, encoder: Encoder, text: str, fact: Fact, least: float) -> None:
    (share,) = precision(sample, by_model(sample, encoder), [(text, fact)])
    assert share >= least


def test_numbers_matter(gallery: Gallery, encoder: Encoder) -> None:
    """Of pictures of dogs alone, more dogs are asked for, more are found."""
    rank = by_model(gallery, encoder)
    dogs = np.array(
        [sum(t.count for t in s.things) if {t.concept for t in s.things} == {"dog"} else 0 for s in gallery.scenes]
    )
    one, many = (dogs[np.argsort(-np.where(dogs > 0, rank(text), -2))[:10]].mean() for text in ("one dog", "five dogs"))
    assert one + 1 < many


def test_a_caption_told_anew_finds_its_picture(gallery: Gallery, encoder: Encoder) -> None:
    quarter = gallery.only(np.arange(len(gallery.scenes)) % 4 == 0)
    assert recall(quarter, by_model(quarter, encoder))[10] >= 0.8


def test_an_unknown_word_does_not_break_it(gallery: Gallery, encoder: Encoder) -> None:
    (share,) = precision(gallery, by_model(gallery, encoder), [("a zzyzxian dog", Fact(concept="dog"))])
    assert share >= 0.7
    assert np.isfinite(gallery.by_model(encoder, "日本 ☃ qwxzk")).all()


def test_the_vectors_that_ship_are_those_of_the_model_that_ships(gallery: Gallery, sample: Gallery) -> None:
    assert sample.vectors.shape == (9_000, 128)
    shipped = sample.only(sample.is_test)
    assert shipped.keys == gallery.keys
    assert (shipped.vectors * gallery.vectors).sum(axis=1).min() > 0.998
