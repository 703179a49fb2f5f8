"""Where things can be shown: the places, what they are called, and the combinations kept out of training."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CATEGORY_WORDS",
    "HABITATS",
    "HELD_OUT_BACKGROUNDS",
    "HELD_OUT_COLOURS",
    "HELD_OUT_PLACES",
    "LOOK_PHRASES",
    "PLACES",
    "Place",
]


@dataclass(frozen=True)
class Place:
    """A drawn scenery: `phrases` follow a thing, `tag` and `views` name the scenery alone, `looks` are its moods."""

    tag: str
    phrases: tuple[str, ...]
    views: tuple[str, ...]
    looks: tuple[str, ...]


PLACES: dict[str, Place] = {
    "beach": Place(
        "beach",
        ("on the beach", "at the beach", "on a sandy beach", "by the sea"),
        ("sandy beach", "beach and sea", "tropical beach"),
        ("day", "sunset", "overcast", "night"),
    ),
    "city": Place(
        "city",
        ("in the city", "in front of a city skyline", "in a big city"),
        ("city skyline", "skyline with skyscrapers", "downtown"),
        ("day", "sunset", "night"),
    ),
    "street": Place(
        "street",
        ("on the street", "in a street", "on the road in front of houses"),
        ("street with colorful houses", "old town street", "row of houses"),
        ("day", "sunset", "rain"),
    ),
    "meadow": Place(
        "meadow",
        ("in a meadow", "on the grass", "on green grass", "in a green field"),
        ("green meadow", "flower meadow", "green hills"),
        ("day", "spring", "sunset"),
    ),
    "night sky": Place(
        "night sky",
        ("under the stars", "under a starry sky", "in front of the night sky"),
        ("starry sky", "night sky full of stars", "milky way"),
        ("blue", "violet", "green"),
    ),
    "under water": Place(
        "underwater",
        ("under water", "in the sea", "at the bottom of the sea", "in the ocean"),
        ("underwater world", "sea floor", "deep blue sea"),
        ("turquoise", "blue", "dark"),
    ),
    "snow": Place(
        "snow",
        ("in the snow", "in a snowy landscape", "on the snow"),
        ("winter landscape", "snowy hills", "winter wonderland"),
        ("day", "sunset", "night"),
    ),
    "desert": Place(
        "desert",
        ("in the desert", "on a sand dune", "in the sand of the desert"),
        ("sand dunes", "desert landscape", "hot desert"),
        ("day", "sunset", "pale"),
    ),
    "forest": Place(
        "forest",
        ("in the forest", "in the woods", "among the trees"),
        ("forest path", "green forest", "tall trees"),
        ("summer", "autumn", "fog"),
    ),
    "mountains": Place(
        "mountains",
        ("in the mountains", "in front of mountains", "in front of snowy mountains"),
        ("mountain landscape", "snowy mountains", "mountain range"),
        ("day", "sunset", "fog"),
    ),
    "living room": Place(
        "living room",
        ("in a living room", "in a room", "on the floor of a living room", "at home"),
        ("living room interior", "empty room", "room with a window"),
        ("warm", "green", "blue"),
    ),
    "table": Place(
        "table",
        ("on a table", "on a wooden table", "on the table"),
        ("empty wooden table", "wooden table top", "table with blurred background"),
        ("light", "dark", "bokeh"),
    ),
}

# Only what everyone would say on seeing the picture.
LOOK_PHRASES: dict[tuple[str, str], str] = {
    ("beach", "sunset"): "at sunset",
    ("beach", "night"): "at night",
    ("city", "sunset"): "at sunset",
    ("city", "night"): "at night",
    ("street", "sunset"): "in the evening",
    ("street", "rain"): "in the rain",
    ("meadow", "spring"): "in spring",
    ("meadow", "sunset"): "at sunset",
    ("snow", "night"): "at night",
    ("snow", "sunset"): "in the evening",
    ("desert", "sunset"): "at sunset",
    ("forest", "autumn"): "in autumn",
    ("forest", "fog"): "in the fog",
    ("mountains", "sunset"): "at sunset",
    ("mountains", "fog"): "in the fog",
}

# Where a category is at home. More than half of the scenes respect it; the others are free, so that place and thing
# can be learned apart.
HABITATS: dict[str, tuple[str, ...]] = {
    "animal": ("meadow", "forest", "desert", "snow", "mountains", "living room"),
    "sea": ("under water", "under water", "beach"),
    "bird": ("meadow", "forest", "beach", "mountains", "snow"),
    "insect": ("meadow", "forest"),
    "plant": ("meadow", "forest", "living room", "table"),
    "food": ("table", "table", "living room", "beach"),
    "drink": ("table", "table", "living room", "beach"),
    "vehicle": ("street", "city", "desert", "mountains", "snow"),
    "boat": ("beach",),
    "aircraft": ("night sky", "city", "mountains", "desert"),
    "building": ("meadow", "mountains", "snow", "city", "beach"),
    "sky": ("night sky", "mountains", "meadow"),
    "clothing": ("living room", "table", "street"),
    "household": ("living room", "table"),
    "tool": ("table", "living room"),
    "music": ("living room", "table", "street"),
    "electronics": ("table", "living room"),
    "office": ("table", "living room"),
    "sport": ("meadow", "beach", "snow", "street"),
    "toy": ("living room", "table", "meadow"),
    "person": ("street", "city", "beach", "meadow", "snow", "living room"),
    "fantasy": ("night sky", "forest", "mountains"),
    "heart": ("beach", "meadow", "night sky"),
    "sign": ("street", "city"),
}

CATEGORY_WORDS: dict[str, str] = {
    "animal": "animals",
    "sea": "sea life",
    "bird": "birds",
    "insect": "insects",
    "plant": "plants",
    "food": "food",
    "drink": "drinks",
    "vehicle": "vehicles",
    "boat": "boats",
    "aircraft": "aircraft",
    "building": "architecture",
    "sky": "weather",
    "clothing": "fashion",
    "household": "household",
    "tool": "tools",
    "music": "music",
    "electronics": "technology",
    "office": "office",
    "sport": "sport",
    "toy": "toys",
    "person": "people",
    "fantasy": "fantasy",
    "face": "smileys",
    "body": "body",
    "heart": "love",
    "shape": "shapes",
    "sign": "signs",
}

HELD_OUT_COLOURS = frozenset({("car", "green"), ("heart", "yellow"), ("rose", "purple")})
HELD_OUT_BACKGROUNDS = frozenset({("dog", "purple"), ("cat", "turquoise"), ("horse", "blue")})
HELD_OUT_PLACES = frozenset({("dog", "desert"), ("cat", "snow"), ("car", "beach")})
