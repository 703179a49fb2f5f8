"""How a scene is told: captions with the habits of web alt-text, true to the picture though seldom complete."""

from __future__ import annotations

import random

from data_samples.concepts import NUMBER_WORDS, concept_named, with_article
from data_samples.scenes import Scene, Thing
from data_samples.settings import CATEGORY_WORDS, LOOK_PHRASES, PLACES

__all__ = ["tell_scene"]

_TEMPLATES: tuple[tuple[str, int], ...] = (
    ("{}", 30),
    ("a photo of {}", 12),
    ("photo of {}", 6),
    ("picture of {}", 6),
    ("a picture of {}", 5),
    ("an image of {}", 5),
    ("image of {}", 3),
    ("illustration of {}", 4),
    ("an illustration of {}", 2),
    ("a drawing of {}", 3),
    ("cartoon of {}", 2),
    ("free clipart of {}", 2),
    ("my favourite picture of {}", 1),
    ("we made this picture of {} for you", 1),
    ("{} stock photo", 4),
    ("{} - stock image", 3),
    ("{} stock illustration", 2),
    ("{} clipart", 3),
    ("{} clip art", 1),
    ("{} vector illustration", 3),
    ("{} wallpaper", 2),
    ("{} | free download", 1),
    ("{}, royalty free image", 1),
    ("{} poster", 1),
    ("{} greeting card", 1),
)

_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "animal": ("cute", "funny", "adorable"),
    "bird": ("cute", "funny", "pretty"),
    "insect": ("tiny", "colorful"),
    "sea": ("cute", "funny"),
    "plant": ("beautiful", "pretty", "fresh"),
    "food": ("delicious", "tasty", "fresh"),
    "drink": ("refreshing",),
    "building": ("beautiful", "famous"),
    "clothing": ("fashionable", "new", "stylish"),
    "vehicle": ("new", "shiny"),
    "face": ("funny",),
    "toy": ("cheerful", "new"),
    "fantasy": ("funny", "strange"),
    "heart": ("romantic", "glossy"),
}

_SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}


def _noun_phrase(rng: random.Random, thing: Thing, size: str | None, *, bare: bool = False) -> str:
    """A thing with its number, size, colour and perhaps an adjective: "three cute dogs", "a large red car"."""
    concept = concept_named(thing.concept)
    if concept.plural is None:
        return concept.name
    words: list[str] = []
    if size and rng.random() < 0.7:
        words.append(rng.choice(_SIZE_WORDS[size]))
    if concept.category in _ADJECTIVES and rng.random() < 0.12:
        words.append(rng.choice(_ADJECTIVES[concept.category]))
    if thing.colour and rng.random() < 0.8:
        words.append(thing.colour)
    if thing.count == 1:
        phrase = " ".join([*words, concept.name])
        return phrase if bare else with_article(phrase)
    phrase = " ".join([*words, concept.plural])
    return phrase if bare and rng.random() < 0.4 else f"{_number(rng, thing.count)} {phrase}"


def _number(rng: random.Random, count: int) -> str:
    draw = rng.random()
    if draw < 0.68:
        return NUMBER_WORDS[count]
    if draw < 0.86:
        return str(count)
    return rng.choice(("some", "several", "a group of") if count > 2 else ("two", "a couple of"))


def _join(rng: random.Random, scene: Scene, phrases: list[str]) -> str:
    """The things put into words in relation to each other."""
    if len(phrases) == 1:
        return phrases[0]
    if len(phrases) == 3:
        return f"{phrases[0]}, {phrases[1]} and {phrases[2]}"
    first, second = phrases
    told = rng.random()
    if told < 0.42:
        return rng.choice((f"{first} and {second}", f"{second} and {first}", f"{first} with {second}"))
    if scene.layout == "stacked":
        return rng.choice((f"{first} above {second}", f"{second} below {first}", f"{second} under {first}"))
    if told < 0.55:
        return rng.choice((f"{first} next to {second}", f"{second} beside {first}"))
    return rng.choice(
        (
            f"{first} to the left of {second}",
            f"{second} to the right of {first}",
            f"{first} on the left and {second} on the right",
        )
    )


def _setting_phrase(rng: random.Random, scene: Scene) -> str:
    """Where the things are, or on what; empty where the caption is silent about it."""
    if scene.place is not None and scene.look is not None:
        if rng.random() >= 0.72:
            return ""
        phrase = rng.choice(PLACES[scene.place].phrases)
        mood = LOOK_PHRASES.get((scene.place, scene.look), "")
        return f"{phrase} {mood}" if mood and rng.random() < 0.4 else phrase
    if rng.random() >= 0.6:
        return ""
    if len(scene.background) == 2:
        pair = " and ".join(rng.sample(scene.background, 2))
        return rng.choice((f"on {with_article(pair)} background", f"on {with_article(pair)} gradient"))
    colour = scene.background[0]
    if colour == "white" and rng.random() < 0.5:
        return rng.choice(("isolated on white", "isolated on a white background", "on white background"))
    return rng.choice(
        (
            f"on {with_article(colour)} background",
            f"against {with_article(colour)} background",
            f"on {colour}",
            f"with {with_article(colour)} background",
        )
    )


def _view(rng: random.Random, scene: Scene) -> str:
    """A scenery without things; an empty scene always has a place."""
    place, look = scene.place or "", scene.look or ""
    view = rng.choice(PLACES[place].views)
    mood = LOOK_PHRASES.get((place, look), "")
    if mood and rng.random() < 0.6:
        return f"{view} {mood}"
    return rng.choice((view, f"beautiful {view}", f"{view} background", f"{view} wallpaper"))


def _tags(rng: random.Random, scene: Scene) -> str:
    """Comma-separated key words, as stock sites write them."""
    words: list[str] = []
    for thing in scene.things:
        concept = concept_named(thing.concept)
        words.append(concept.name if thing.count == 1 or concept.plural is None else concept.plural)
        words.append(CATEGORY_WORDS[concept.category])
        if thing.colour:
            words.append(thing.colour)
    words.extend([PLACES[scene.place].tag] if scene.place else scene.background)
    unique = list(dict.fromkeys(words))
    rng.shuffle(unique)
    return ", ".join(unique)


def _sentence(rng: random.Random, scene: Scene) -> str:
    bare = len(scene.things) == 1 and rng.random() < 0.14
    phrases = [_noun_phrase(rng, thing, scene.size, bare=bare) for thing in scene.things]
    body = " ".join(filter(None, (_join(rng, scene, phrases), _setting_phrase(rng, scene))))
    template = rng.choices([text for text, _ in _TEMPLATES], [weight for _, weight in _TEMPLATES])[0]
    return template.format(body)


def _cased(rng: random.Random, text: str) -> str:
    """Most captions in lower case, some as sentences or titles, a few shouted."""
    draw = rng.random()
    if draw < 0.86:
        return text
    if draw < 0.94:
        return text[0].upper() + text[1:] + rng.choice((".", "", "!"))
    if draw < 0.98:
        return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
    return text.upper()


def tell_scene(rng: random.Random, scene: Scene) -> str:
    """A caption that describes the scene."""
    if not scene.things:
        return _cased(rng, _view(rng, scene))
    text = _tags(rng, scene) if rng.random() < 0.07 else _sentence(rng, scene)
    return _cased(rng, text)
