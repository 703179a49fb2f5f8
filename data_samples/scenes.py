"""What is in a picture: scenes drawn by chance, with concepts that follow a Zipf law.

Nothing here needs the font. Popularity follows Mandelbrot's form of the law, `1 / (rank + shift) ** exponent`, mixed
with a little of the uniform law, so that most of the rarest concepts occur at all.
"""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TypeVar

from data_samples.colours import BACKGROUNDS, TINT_HUES, Rgb, colour_distance
from data_samples.concepts import Concept, load_concepts
from data_samples.settings import HABITATS, HELD_OUT_BACKGROUNDS, HELD_OUT_COLOURS, HELD_OUT_PLACES, PLACES

__all__ = ["Scene", "Thing", "draw_scene", "is_held_out"]

_EXPONENT = 1.74
_SHIFT = 2.6
_UNIFORM_SHARE = 0.07

T = TypeVar("T")

# Number of kinds of things in a scene, and of one kind when it is alone.
_KINDS = ((1, 41), (2, 44), (3, 12), (0, 3))
_COUNTS = ((1, 58), (2, 15), (3, 12), (4, 8), (5, 4), (6, 3))
_SIZES = ((None, 70), ("small", 14), ("large", 16))
_SETTINGS = (("place", 52), ("plain", 35), ("gradient", 13))
_AT_HOME_SHARE = 0.6
_RECOLOURED_SHARE = 0.55

# Below this distance between a background and the rim of a thing, one of them is hard to see.
_MIN_CONTRAST = 165.0


@dataclass(frozen=True)
class Thing:
    """One kind of thing in a scene. `colour` is the colour it is shown in, None where it has no name of one."""

    concept: str
    glyph: str
    count: int
    colour: str | None


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Either `place` (with its `look`: the hour or the weather) or `background` (one or two colour names) is set.
    `layout` is "empty", "single", "row", "grid", "side_by_side" (first thing on the left) or "stacked" (first on top).
    `size` is "small" or "large" where a lone thing is shown noticeably so.
    """

    things: tuple[Thing, ...]
    layout: str
    place: str | None
    look: str | None
    background: tuple[str, ...]
    size: str | None


def _pick(rng: random.Random, weighted: tuple[tuple[T, int], ...]) -> T:
    return rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


@cache
def _cumulated_popularity() -> tuple[float, ...]:
    n = len(load_concepts())
    law = [1 / (rank + _SHIFT) ** _EXPONENT for rank in range(1, n + 1)]
    total = sum(law)
    return tuple(accumulate((1 - _UNIFORM_SHARE) * weight / total + _UNIFORM_SHARE / n for weight in law))


def _draw_concept(rng: random.Random, flat: bool) -> Concept:
    concepts = load_concepts()
    if flat:
        return rng.choice(concepts)
    cumulated = _cumulated_popularity()
    return concepts[min(bisect(cumulated, rng.random() * cumulated[-1]), len(concepts) - 1)]


def _draw_thing(rng: random.Random, concept: Concept, count: int) -> tuple[Thing, Rgb | None]:
    """The thing, and the colour of its rim; None where it is recoloured and the rim isn't known."""
    glyph = rng.choice(concept.glyphs)
    if len(concept.glyphs) > 1 and concept.glyphs[0].colour and rng.random() < 0.4:
        glyph = concept.glyphs[0]  # most hearts are red
    count = 1 if concept.is_proper else count
    if concept.natural is None:
        return Thing(concept.name, glyph.char, count, glyph.colour), glyph.rim
    if rng.random() >= _RECOLOURED_SHARE:
        return Thing(concept.name, glyph.char, count, concept.natural), glyph.rim
    colour = rng.choice(sorted(TINT_HUES))
    return Thing(concept.name, glyph.char, count, colour), BACKGROUNDS[colour]


def _draw_background(rng: random.Random, rims: list[Rgb], n_colours: int) -> tuple[str, ...]:
    """Colours that all the rims stand out from, white more often than others, as on the web."""

    def contrast(colour: str) -> float:
        return min((colour_distance(BACKGROUNDS[colour], rim) for rim in rims), default=765.0)

    fit = [colour for colour in BACKGROUNDS if contrast(colour) >= _MIN_CONTRAST]
    if len(fit) < n_colours:
        fit = sorted(BACKGROUNDS, key=contrast, reverse=True)[:n_colours]
    if n_colours == 1:
        return (rng.choices(fit, [3 if colour == "white" else 1 for colour in fit])[0],)
    first = rng.choice(fit)
    far = sorted(fit, key=lambda other: colour_distance(BACKGROUNDS[first], BACKGROUNDS[other]))
    # Neighbouring colours make the smoothest gradients; the nearest is the colour itself.
    return first, rng.choice(far[1:6])


def _draw_place(rng: random.Random, category: str | None) -> str:
    at_home = HABITATS.get(category or "", ())
    if at_home and rng.random() < _AT_HOME_SHARE:
        return rng.choice(at_home)
    return rng.choice(sorted(PLACES))


def _draw_layout(rng: random.Random, things: list[Thing], setting: str) -> str:
    if not things:
        return "empty"
    if len(things) == 2:
        return "stacked" if setting != "place" and rng.random() < 0.22 else "side_by_side"
    if len(things) == 3:
        return "row"
    count = things[0].count
    if count == 1:
        return "single"
    return "row" if count == 2 or (count == 3 and rng.random() < 0.6) else "grid"


def draw_scene(rng: random.Random, *, flat: bool = False) -> Scene:
    """A scene by chance; `flat` gives all concepts the same chance instead of the Zipf law's."""
    n_kinds = _pick(rng, _KINDS)
    concepts: list[Concept] = []
    while len(concepts) < n_kinds:
        concept = _draw_concept(rng, flat)
        if concept not in concepts:
            concepts.append(concept)
    counts = [_pick(rng, _COUNTS)] if n_kinds == 1 else [2 if rng.random() < 0.12 else 1 for _ in concepts]
    if n_kinds == 3:
        counts = [1, 1, 1]
    drawn = [_draw_thing(rng, concept, count) for concept, count in zip(concepts, counts, strict=True)]
    things = [thing for thing, _ in drawn]
    setting = _pick(rng, _SETTINGS) if things else "place"
    place = look = None
    background: tuple[str, ...] = ()
    if setting == "place":
        place = _draw_place(rng, concepts[0].category if concepts else None)
        look = rng.choice(PLACES[place].looks)
    else:
        rims = [rim for _, rim in drawn if rim is not None]
        background = _draw_background(rng, rims, 2 if setting == "gradient" else 1)
    layout = _draw_layout(rng, things, setting)
    size = _pick(rng, _SIZES) if layout == "single" else None
    return Scene(tuple(things), layout, place, look, background, size)


def is_held_out(scene: Scene) -> bool:
    """Whether the scene has a combination that the train split never shows."""
    return any(
        (thing.concept, thing.colour) in HELD_OUT_COLOURS
        or (thing.concept, scene.place) in HELD_OUT_PLACES
        or any((thing.concept, colour) in HELD_OUT_BACKGROUNDS for colour in scene.background)
        for thing in scene.things
    )
