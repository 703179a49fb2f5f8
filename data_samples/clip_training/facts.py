"""Facts: short statements that are true of many pictures ("a dog", "red apples", "at night"), and of which.

A caption tells of one picture, a query of many. So beside the captions the model learns from statements whose truth is
known for every picture of a batch, each with near misses ("two dogs" beside "three dogs").
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_samples.colours import BACKGROUNDS
from data_samples.concepts import NUMBER_WORDS, concept_named, load_concepts, with_article
from data_samples.scenes import Scene, Thing
from data_samples.settings import HELD_OUT_BACKGROUNDS, HELD_OUT_COLOURS, HELD_OUT_PLACES, LOOK_PHRASES, PLACES

__all__ = ["KINDS", "Fact", "Truths", "draw_facts", "is_held_out_fact", "mood_of", "tell_fact"]

_TEMPLATES = ("{}", "{}", "{}", "a photo of {}", "photo of {}", "a picture of {}", "an image of {}", "{} clipart")

_N_CHANCE_CONCEPTS = 100  # more to be told apart from than a batch shows

# What people ask for by a wider word than any concept's name. (Words such as "bird" name a concept too.)
_KIND_CATEGORIES = {
    "animal": ("animal", "bird", "insect", "sea"),
    "food": ("food",),
    "drink": ("drink",),
    "plant": ("plant",),
    "building": ("building",),
}
_BOATS = ("sailboat", "ship", "speedboat", "ferry", "motorboat", "cruise ship", "canoe")
KINDS: dict[str, frozenset[str]] = {
    kind: frozenset(concept.name for concept in load_concepts() if concept.category in categories)
    for kind, categories in _KIND_CATEGORIES.items()
} | {"boat": frozenset(_BOATS)}
_KIND_PHRASES = {kind: (with_article(kind), kind, f"{kind}s") for kind in KINDS} | {
    "food": ("food", "something to eat")
}

# A mood is what LOOK_PHRASES calls a look, whatever the place.
_MOODS = {
    "at night": "night",
    "at sunset": "sunset",
    "in the evening": "sunset",
    "in the rain": "rain",
    "in the fog": "fog",
    "in spring": "spring",
    "in autumn": "autumn",
}
_MOOD_PHRASES = {
    "night": ("at night", "by night"),
    "sunset": ("at sunset", "in the evening"),
    "rain": ("in the rain",),
    "fog": ("in the fog",),
    "spring": ("in spring",),
    "autumn": ("in autumn",),
}


@dataclass(frozen=True)
class Fact:
    """What must hold: a thing (by concept or kind) with a colour and a number, and where. None leaves it open."""

    concept: str | None = None
    kind: str | None = None
    colour: str | None = None
    count: int | None = None
    place: str | None = None
    background: str | None = None
    mood: str | None = None


def mood_of(scene: Scene) -> str | None:
    """`night`, `sunset`, `rain`, `fog`, `spring`, `autumn`, or None."""
    if scene.place == "night sky":
        return "night"
    return _MOODS.get(LOOK_PHRASES.get((scene.place or "", scene.look or ""), ""))


def is_held_out_fact(fact: Fact) -> bool:
    """Whether it names a combination that training must not know of."""
    return (
        (fact.concept, fact.colour) in HELD_OUT_COLOURS
        or (fact.concept, fact.place) in HELD_OUT_PLACES
        or (fact.concept, fact.background) in HELD_OUT_BACKGROUNDS
    )


def _fact_of(rng: random.Random, scene: Scene) -> Fact:
    """A fact that is true of the scene."""
    thing = rng.choice(scene.things) if scene.things else None
    setting = Fact(place=scene.place, background=rng.choice(scene.background) if scene.background else None)
    mood = mood_of(scene)
    draw = rng.random()
    if thing is None or draw < 0.12:
        return Fact(mood=mood) if mood and rng.random() < 0.3 else setting
    about = Fact(concept=thing.concept)
    kinds = [kind for kind, names in KINDS.items() if thing.concept in names]
    if kinds and rng.random() < (0.5 if "boat" in kinds else 0.12):  # boats are few
        about = Fact(kind=rng.choice(kinds))
    if draw < 0.45:
        return about
    if draw < 0.6 and thing.colour and about.concept:
        return replace(about, colour=thing.colour)
    if (
        draw < 0.86
        and about.concept
        and not concept_named(thing.concept).is_proper
        and (thing.count > 1 or rng.random() < 0.3)
    ):
        return replace(about, count=thing.count)
    if mood and rng.random() < 0.35:
        return replace(about, mood=mood)
    return replace(about, place=setting.place, background=setting.background)


def _near_misses(rng: random.Random, fact: Fact) -> Iterator[Fact]:
    """The same with one part of it another; a number, with two other numbers too."""
    parts = [name for name, value in vars(fact).items() if value is not None]
    if len(parts) > 1:
        yield _with_another(rng, fact, rng.choice(parts))
    if fact.count is not None:
        others = [n for n in range(1, len(NUMBER_WORDS)) if n != fact.count]
        yield from (replace(fact, count=n) for n in rng.sample(others, 2))


def _with_another(rng: random.Random, fact: Fact, part: str) -> Fact:
    if part == "concept":
        return replace(fact, concept=rng.choice(load_concepts()).name)
    if part == "kind":
        return replace(fact, kind=rng.choice(sorted(KINDS)))
    if part == "count":
        return replace(fact, count=rng.randint(1, 6))
    choices: dict[str, list[str]] = {"place": sorted(PLACES), "mood": sorted(_MOOD_PHRASES)}
    return replace(fact, **{part: rng.choice(choices.get(part, sorted(BACKGROUNDS)))})  # type: ignore[arg-type]


def _mixed_up(rng: random.Random, scene: Scene) -> Iterator[Fact]:
    """Of several kinds of things one, in the number of another or of all together."""
    if len(scene.things) > 1:
        thing, other = rng.sample(scene.things, 2)
        n = rng.choice((other.count, sum(each.count for each in scene.things)))
        if n != thing.count and not concept_named(thing.concept).is_proper:
            yield Fact(concept=thing.concept, count=n)


def draw_facts(rng: random.Random, scenes: Sequence[Scene]) -> list[Fact]:
    """A fact of each scene, and what is nearly true of it; all kinds in all moods, concepts by chance.

    Each once, none held out.
    """
    facts = dict.fromkeys(
        Fact(kind=kind, mood=mood) for kind in (None, *KINDS) for mood in (None, *_MOOD_PHRASES) if kind or mood
    )
    for concept in rng.sample(load_concepts(), _N_CHANCE_CONCEPTS):
        facts[Fact(concept=concept.name)] = None
    for scene in scenes:
        fact = _fact_of(rng, scene)
        facts |= dict.fromkeys([fact, *_near_misses(rng, fact), *_mixed_up(rng, scene)])
    return [fact for fact in facts if not is_held_out_fact(fact)]


def tell_fact(rng: random.Random, fact: Fact) -> str:
    """The fact in words."""
    words: list[str] = []
    if fact.concept:
        words.append(_noun(rng, fact))
    if fact.kind:
        words.append(rng.choice(_KIND_PHRASES[fact.kind]))
    if fact.place:
        place = PLACES[fact.place]
        words.append(rng.choice(place.phrases if words else (*place.phrases, *place.views, place.tag)))
    if fact.background:
        colour = fact.background
        phrases = (
            f"on {with_article(colour)} background",
            f"on {colour}",
            f"against {with_article(colour)} background",
        )
        words.append(rng.choice(phrases if words else (*phrases, f"{colour} background")))
    if fact.mood:
        words.append(rng.choice(_MOOD_PHRASES[fact.mood] if words else (*_MOOD_PHRASES[fact.mood], fact.mood)))
    text = " ".join(words)
    return rng.choice(_TEMPLATES).format(text) if fact.concept or fact.kind else text


def _noun(rng: random.Random, fact: Fact) -> str:
    concept = concept_named(fact.concept or "")
    if concept.plural is None:
        return concept.name
    colour = f"{fact.colour} " if fact.colour else ""
    if fact.count is not None and fact.count > 1:
        return f"{NUMBER_WORDS[fact.count] if rng.random() < 0.8 else fact.count} {colour}{concept.plural}"
    if fact.count == 1:
        return f"one {colour}{concept.name}"
    draw = rng.random()
    if draw < 0.5:
        return with_article(colour + concept.name)
    return colour + (concept.name if draw < 0.8 else concept.plural)


class Truths:
    """What `scenes` show, as arrays, to tell for many facts at once of which pictures they are true."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._ids: dict[str | None, int] = {None: -1}
        n = len(scenes)
        self._things = np.full((n, 3, 3), -2, np.int32)  # concept, colour, count of up to three things
        self._kinds = {kind: np.zeros(n, np.bool_) for kind in KINDS}
        self._where = np.full((n, 2), -2, np.int32)  # place, mood
        self._backgrounds = np.full((n, 2), -2, np.int32)
        for row, scene in enumerate(scenes):
            for kind, names in KINDS.items():
                self._kinds[kind][row] = any(thing.concept in names for thing in scene.things)
            for k, thing in enumerate(scene.things):
                self._things[row, k] = self._id(thing.concept), self._shown_colour(thing), thing.count
            self._where[row] = self._id(scene.place or "-"), self._id(mood_of(scene) or "-")
            for k, colour in enumerate(scene.background):
                self._backgrounds[row, k] = self._id(colour)

    def _id(self, name: str | None) -> int:
        return self._ids.setdefault(name, len(self._ids))

    def _shown_colour(self, thing: Thing) -> int:
        return self._id(thing.colour or "-")

    def of(self, facts: Sequence[Fact], rows: np.ndarray) -> np.ndarray:
        """Whether each fact is true of each of these scenes: bool (n_facts, n_rows)."""
        asked = np.array(
            [[self._id(f.concept), self._id(f.colour), -1 if f.count is None else f.count] for f in facts], np.int32
        )
        where = np.array([[self._id(f.place), self._id(f.mood)] for f in facts], np.int32)
        background = np.array([self._id(f.background) for f in facts], np.int32)
        things = self._things[rows]
        fits = (asked[:, None, None, :] == -1) | (asked[:, None, None, :] == things[None])
        truth = fits.all(-1).any(-1)
        truth |= (asked == -1).all(-1)[:, None]
        for row, fact in enumerate(facts):
            if fact.kind is not None:
                truth[row] &= self._kinds[fact.kind][rows]
        truth &= ((where[:, None] == -1) | (where[:, None] == self._where[rows][None])).all(-1)
        truth &= (background[:, None] == -1) | (background[:, None, None] == self._backgrounds[rows][None]).any(-1)
        return truth
