"""What the small CLIP is trained on: facts, labels, vocabulary; and that a step of training learns."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data_samples.clip_training.batches import _grouped, batches
from data_samples.clip_training.facts import (
    KINDS,
    Fact,
    Truths,
    _mixed_up,
    _near_misses,
    draw_facts,
    is_held_out_fact,
    mood_of,
    tell_fact,
)
from data_samples.clip_training.labels import GROUPS, label_matrix
from data_samples.clip_training.pictures import Recipe
from data_samples.clip_training.vocabulary import learn_merges, write_merges
from data_samples.concepts import load_concepts
from data_samples.pairs import generate_pairs
from data_samples.scenes import Scene, Thing, is_held_out

SCENES = [pair.scene for pair in generate_pairs(seed=9, n=300, noise=False, flat=True)]


def holds(fact: Fact, scene: Scene) -> bool:
    def fits(thing: Thing) -> bool:
        return (
            fact.concept in (None, thing.concept)
            and fact.colour in (None, thing.colour)
            and fact.count in (None, thing.count)
        )

    asks_for_a_thing = fact.concept or fact.colour or fact.count
    return (
        (not asks_for_a_thing or any(fits(thing) for thing in scene.things))
        and (fact.kind is None or any(thing.concept in KINDS[fact.kind] for thing in scene.things))
        and fact.place in (None, scene.place)
        and (fact.background is None or fact.background in scene.background)
        and fact.mood in (None, mood_of(scene))
    )


def test_truths_are_those_of_a_plain_loop() -> None:
    facts = draw_facts(random.Random(1), SCENES)
    facts += [Fact(kind="boat"), Fact(colour="red"), Fact(count=2), Fact(), Fact(concept="no such thing")]
    rows = np.array([5, 0, 299, 17, *range(100, 160)])
    truth = Truths(SCENES).of(facts, rows)
    assert truth.tolist() == [[holds(fact, SCENES[row]) for row in rows] for fact in facts]
    for part in ("concept", "colour", "count", "kind", "place", "background", "mood"):
        assert any(getattr(fact, part) is not None for fact in facts), part


def test_a_number_is_asked_for_beside_other_numbers() -> None:
    asked = [list(_near_misses(random.Random(seed), Fact(concept="dog", count=3))) for seed in range(40)]
    numbers = [{fact.count for fact in facts if fact.concept == "dog"} - {3} for facts in asked]
    assert min(len(others) for others in numbers) == 2
    assert set().union(*numbers) == {1, 2, 4, 5, 6}
    assert list(_near_misses(random.Random(1), Fact(concept="dog"))) == []


@pytest.mark.parametrize(
    ("n_cats", "expected"),
    [(1, {("dog", 2), ("cat", 2)}), (2, {("dog", 2), ("dog", 3), ("cat", 1), ("cat", 3)})],
)
def test_things_of_several_kinds_are_not_taken_together(n_cats: int, expected: set[tuple[str, int]]) -> None:
    """A dog and two cats: neither two dogs nor three, neither one cat nor three."""
    things = (Thing("dog", "🐕", 1, None), Thing("cat", "🐈", n_cats, None))
    scene = Scene(things, "side_by_side", "snow", "day", (), None)
    asked = {fact for seed in range(60) for fact in _mixed_up(random.Random(seed), scene)}
    assert {(fact.concept, fact.count) for fact in asked} == expected
    assert not any(holds(fact, scene) for fact in asked)
    assert asked & set(draw_facts(random.Random(1), [scene] * 20))


def test_every_scene_gets_a_fact_that_is_true_and_none_is_held_out() -> None:
    facts = draw_facts(random.Random(2), SCENES)
    assert len(set(facts)) == len(facts)
    assert not any(is_held_out_fact(fact) for fact in facts)
    truth = Truths(SCENES).of(facts, np.arange(len(SCENES)))
    shown = [scene for scene, true in zip(SCENES, truth.any(axis=0), strict=True) if true]
    assert len(shown) > 0.97 * len(SCENES)  # of some only a held-out combination was drawn


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (Fact(concept="apple", colour="red"), "red apple"),
        (Fact(concept="dog", count=3), "dogs"),
        (Fact(kind="boat", mood="night"), "boat"),
        (Fact(place="snow"), "snow|winter"),
        (Fact(concept="cat", background="orange"), "cat.* orange|on orange"),
    ],
)
def test_facts_are_told_in_words(fact: Fact, words: str) -> None:
    import re

    told = {tell_fact(random.Random(i), fact) for i in range(40)}
    assert len(told) > 3
    assert all(re.search(words, text) for text in told), told


def test_no_kind_is_called_as_a_concept_is() -> None:
    names = {name for concept in load_concepts() for name in (concept.name, concept.plural)}
    assert not names & {*KINDS, *(f"{kind}s" for kind in KINDS)}
    assert all(KINDS.values())
    assert KINDS["boat"] <= names


def test_labels_say_what_a_scene_shows() -> None:
    scene = Scene(
        (Thing("cat", "🐈", 2, None), Thing("car", "🚗", 1, "blue")), "side_by_side", "city", "night", (), None
    )
    labels = label_matrix([scene])[0]
    assert labels.sum() == 2 + 1 + 1 + 2 + 1  # two concepts, a place, a colour, two numbers, a mood
    names = [concept.name for concept in load_concepts()]
    assert {names[i] for i in np.flatnonzero(labels[: len(names)])} == {"cat", "car"}
    assert len(labels) == sum(size for size, _ in GROUPS.values())
    start = sum(size for size, _ in list(GROUPS.values())[: list(GROUPS).index("number")])
    assert np.flatnonzero(labels[start : start + GROUPS["number"][0]]).tolist() == [1, 2]  # of each kind, not 3 of all


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("any", lambda scene: True),
        ("several", lambda scene: max(thing.count for thing in scene.things) > 1),
        ("boat-at-night", lambda scene: holds(Fact(kind="boat", mood="night"), scene)),
    ],
)
def test_a_recipe_draws_its_subject_from_the_train_split(subject: str, shown: Callable[[Scene], bool]) -> None:
    recipe = Recipe(7, 30, flat=True, side=32, subject=subject)
    pairs = list(recipe.pairs())
    assert len(pairs) == 30
    assert all(shown(pair.scene) for pair in pairs)
    assert not any(is_held_out(pair.scene) or pair.noise or pair.split != "train" for pair in pairs)


def test_batches_with_texts_hold_pictures_of_the_same_concept() -> None:
    order = _grouped(random.Random(3), SCENES)
    assert sorted(order) == list(range(len(SCENES)))
    assert order != sorted(order)
    shared = [
        bool({t.concept for t in SCENES[a].things} & {t.concept for t in SCENES[b].things}) for a, b in pairwise(order)
    ]
    by_chance = [bool({t.concept for t in a.things} & {t.concept for t in b.things}) for a, b in pairwise(SCENES)]
    assert sum(shared) > 5 * max(1, sum(by_chance))


def test_a_learned_vocabulary_is_read_by_open_clip(tmp_path: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    texts = ["a banana and a bandana"] * 5 + ["two bananas", "aaa aaaa", "日本 banana"]
    merges = learn_merges(texts, 30)
    assert merges[0] == ("a", "n")
    write_merges(tmp_path / "m.gz", merges)
    tokenizer = SimpleTokenizer(str(tmp_path / "m.gz"), context_length=12)
    assert tokenizer.vocab_size == 512 + len(merges) + 2
    assert [tokenizer.decoder[i] for i in tokenizer.encode("banana a")] == ["banana</w>", "a</w>"]
    for text in [*texts, "unseen words, 19.99 é"]:
        assert tokenizer.decode(tokenizer.encode(text)).split() == SimpleTokenizer().decode(
            SimpleTokenizer().encode(text)
        ).split()  # fmt: skip
    assert learn_merges(["ab"], 30) == [("a", "b</w>")]


def test_the_shipped_vocabulary_fits_the_shipped_model() -> None:
    folder = Path(__file__).parents[2] / "data_samples" / "clip"
    merges = gzip.decompress((folder / "merges.txt.gz").read_bytes()).decode().split("\n")[1:]
    config = json.loads((folder / "open_clip_config.json").read_text())
    assert config["model_cfg"]["text_cfg"]["vocab_size"] == 512 + len(merges) + 2


def test_a_few_steps_lower_every_loss() -> None:
    import torch
    from open_clip.tokenizer import SimpleTokenizer

    from data_samples.train_clip import CLIP_FOLDER, Learner, Stage

    torch.manual_seed(0)
    config = json.loads((CLIP_FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    tokenizer = SimpleTokenizer(str(CLIP_FOLDER / "merges.txt.gz"), context_length=28)
    pictures = np.random.default_rng(0).integers(0, 255, (8, 72, 72, 3), np.uint8)
    stream = batches(pictures, SCENES[:8], tokenizer, seed="1", size=8, side=64)
    learner = Learner(config, "cpu")
    losses = [learner.step(next(stream), 1e-3) for _ in range(12)]
    for name in ("labels", "captions", "facts"):
        assert np.mean([loss[name] for loss in losses[-3:]]) < losses[0][name], name
    learner.lock_pictures(True)
    before = [value.clone() for value in learner.model.visual.state_dict().values()]
    learner.step(next(stream), 1e-2)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.model.visual.state_dict().values(), strict=True))
    state = learner.state()
    learner.step(next(stream), 1e-3)
    again = Learner(config, "cpu")
    again.restore(state)
    assert Stage("x", 100, 8, 1.0).rate_at(100) == pytest.approx(0)
