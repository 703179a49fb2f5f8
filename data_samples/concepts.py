"""The things a picture can show: names, glyphs and the grammar that captions need.

`concepts.tsv` holds one a line, most popular first; the order is the rank of the Zipf law in `scenes`. Names are ours,
not Unicode's. The plural is empty for names that stand alone ("Tokyo Tower"). A glyph is written
`character:colour:rim`, the colour only where the glyph is one of several colours of its concept, the rim measured once
by `glyphs.rim_colour`, so that scenes can be drawn up without the font.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data_samples.colours import Rgb, parse_hex

__all__ = ["NUMBER_WORDS", "Concept", "Glyph", "concept_named", "load_concepts", "with_article"]

NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six")

# Written with a vowel, spoken with a consonant.
_SPOKEN_CONSONANT = ("uni", "eu", "one")
# The other way round, and letters spoken by name.
_SPOKEN_VOWEL = ("hour", "x-ray", "hd ", "svg")


@dataclass(frozen=True)
class Glyph:
    """One character of the font; `colour` is set where it tells the glyphs of one concept apart."""

    char: str
    colour: str | None
    rim: Rgb


@dataclass(frozen=True)
class Concept:
    """A thing that can be shown, counted and named.

    `plural` is None for names that stand alone. `natural` is the colour of a glyph that may be recoloured, else None.
    """

    name: str
    plural: str | None
    category: str
    natural: str | None
    glyphs: tuple[Glyph, ...]

    @property
    def is_proper(self) -> bool:
        """Whether the name takes no article, number or adjective."""
        return self.plural is None


def _parsed(line: str) -> Concept:
    name, plural, category, natural, glyphs = line.split("\t")
    parts = (item.split(":") for item in glyphs.split(" "))
    return Concept(
        name=name,
        plural=plural or None,
        category=category,
        natural=natural or None,
        glyphs=tuple(Glyph(char, colour or None, parse_hex(rim)) for char, colour, rim in parts),
    )


@cache
def load_concepts() -> tuple[Concept, ...]:
    """All concepts, most popular first."""
    lines = (Path(__file__).parent / "concepts.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(_parsed(line) for line in lines[1:])


@cache
def _by_name() -> dict[str, Concept]:
    return {concept.name: concept for concept in load_concepts()}


def concept_named(name: str) -> Concept:
    """The concept of that singular name."""
    return _by_name()[name]


def with_article(phrase: str) -> str:
    """The phrase behind "a" or "an", by how it is spoken."""
    word = phrase.lower()
    vowel = word[0] in "aeiou" and not word.startswith(_SPOKEN_CONSONANT)
    return ("an " if vowel or word.startswith(_SPOKEN_VOWEL) else "a ") + phrase
