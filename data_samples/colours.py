"""The colours that captions name, and when two of them are easy to tell apart."""

from __future__ import annotations

__all__ = ["BACKGROUNDS", "TINT_HUES", "Rgb", "colour_distance", "parse_hex"]

Rgb = tuple[int, int, int]

# Chosen to be told apart by eye: a person shown the picture should say the same word.
BACKGROUNDS: dict[str, Rgb] = {
    "white": (248, 248, 246),
    "black": (26, 27, 31),
    "gray": (142, 146, 152),
    "red": (206, 44, 48),
    "orange": (244, 138, 40),
    "yellow": (250, 214, 66),
    "green": (62, 158, 82),
    "turquoise": (52, 184, 178),
    "blue": (48, 104, 204),
    "purple": (126, 70, 176),
    "pink": (248, 166, 196),
    "brown": (128, 86, 58),
}

# Hue in degrees that a recoloured glyph gets. Only hues that keep their name at any lightness: a dark yellow is an
# olive, a dark orange a brown, so glyphs with dark parts take them badly but still readably.
TINT_HUES: dict[str, float] = {
    "red": 2.0,
    "orange": 28.0,
    "yellow": 48.0,
    "green": 128.0,
    "blue": 214.0,
    "purple": 276.0,
    "pink": 330.0,
}


def parse_hex(text: str) -> Rgb:
    """Six hex digits, without a hash mark."""
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def colour_distance(a: Rgb, b: Rgb) -> float:
    """A perceptual distance between 0 and 765 ("redmean", close to CIE Luv and free of conversions)."""
    red_mean = (a[0] + b[0]) / 2
    dr, dg, db = a[0] - b[0], a[1] - b[1], a[2] - b[2]
    weighted = (2 + red_mean / 256) * dr * dr + 4 * dg * dg + (2 + (255 - red_mean) / 256) * db * db
    return float(weighted**0.5)
