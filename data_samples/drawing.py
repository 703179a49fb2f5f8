"""A scene drawn: glyphs with shadows, set into a scenery or onto a colour.

Drawn at twice the size and reduced, which smooths every edge. Needs the font (`glyphs.find_font`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data_samples.concepts import concept_named
from data_samples.glyphs import glyph_picture
from data_samples.places_built import BUILT_PAINTERS, paint_paper
from data_samples.places_nature import NATURE_PAINTERS
from data_samples.scenes import Scene, Thing

__all__ = ["PICTURE_SIDE", "draw_picture"]

PICTURE_SIDE = 160

_SUPERSAMPLING = 2
_FLOATING_PLACES = frozenset({"night sky", "under water"})
# On a ground or paper a halo looks like a mistake unless a thing would be lost without it.
_LOST_BELOW = 62.0


@dataclass(frozen=True)
class _Slot:
    """Room for one glyph: centre, lower edge and the largest side, as shares of the canvas."""

    x: float
    foot: float
    extent: float


def _rows(per_row: tuple[int, ...], feet: tuple[float, ...], extents: tuple[float, ...]) -> list[_Slot]:
    slots = []
    for n, foot, extent in zip(per_row, feet, extents, strict=True):
        pitch = min(0.96 / n, extent * 1.16)
        slots += [_Slot(0.5 + (k - (n - 1) / 2) * pitch, foot, extent) for k in range(n)]
    return slots


def _lone_slots(n: int, layout: str, size: str | None, grounded: bool) -> list[_Slot]:
    """Room for n things of one kind."""
    if n == 1:
        extent = {None: 0.56, "small": 0.29, "large": 0.8}[size]
        return [_Slot(0.5, (0.91 if size == "large" else 0.87) if grounded else 0.5 + extent / 2, extent)]
    if layout == "row":
        extent = 0.43 if n == 2 else 0.31
        return _rows((n,), (0.86 if grounded else 0.5 + extent / 2,), (extent,))
    per_row = {3: (1, 2), 4: (2, 2), 5: (2, 3), 6: (3, 3)}[n]
    if grounded:  # the back row is farther away: higher and smaller
        front = 0.37 if n < 5 else 0.3
        return _rows(per_row, (0.62 if n < 5 else 0.65, 0.94), (front * 0.86, front))
    extent = 0.38 if n < 5 else 0.31
    return _rows(per_row, (0.48, 0.92) if n < 5 else (0.46, 0.84), (extent, extent))


def _slots(scene: Scene, grounded: bool) -> list[tuple[Thing, _Slot]]:
    things = [thing for thing in scene.things for _ in range(thing.count)]
    if not things:
        return []
    if scene.layout in ("side_by_side", "stacked"):
        placed = []
        for thing, lies_first in zip(scene.things, (True, False), strict=True):
            if scene.layout == "stacked":
                half = _rows((thing.count,), (0.47 if lies_first else 0.94,), (0.41,))
            else:
                half = _side(thing.count, lies_first, grounded)
            placed += [(thing, slot) for slot in half]
        return placed
    return list(zip(things, _lone_slots(len(things), scene.layout, scene.size, grounded), strict=True))


def _side(n: int, left: bool, grounded: bool) -> list[_Slot]:
    """Room for one or two things in the left or the right half."""
    x = 0.26 if left else 0.74
    if n == 1:
        return [_Slot(x, 0.86 if grounded else 0.71, 0.42)]
    if grounded:
        return [_Slot(x - 0.06, 0.66, 0.27), _Slot(x + 0.03, 0.92, 0.32)]
    return [_Slot(x, 0.47, 0.35), _Slot(x, 0.87, 0.35)]


def _sprite(rng: random.Random, thing: Thing, extent: float, side: int, tilt: float) -> Image.Image:
    natural = concept_named(thing.concept).natural
    source = glyph_picture(thing.glyph, thing.colour if natural else None, natural)
    scale = extent * side * rng.uniform(0.94, 1.03) / max(source.size)
    size = (max(1, round(source.width * scale)), max(1, round(source.height * scale)))
    sprite = source.resize(size, Image.Resampling.LANCZOS)
    sprite = sprite.rotate(rng.uniform(-tilt, tilt), Image.Resampling.BICUBIC, expand=True)
    box = sprite.getchannel("A").point(lambda a: 255 if a > 24 else 0).getbbox()
    return sprite.crop(box) if box else sprite


def _blurred_alpha(sprite: Image.Image, spread: int, strength: float) -> Image.Image:
    padded = Image.new("L", (sprite.width + 6 * spread, sprite.height + 6 * spread))
    padded.paste(sprite.getchannel("A"), (3 * spread, 3 * spread))
    soft = padded.filter(ImageFilter.GaussianBlur(spread))
    return soft.point(lambda a: min(255, round(a * strength)))


def _stand_out(image: Image.Image, sprite: Image.Image, corner: tuple[int, int]) -> None:
    """A soft light or dark halo where the thing's rim is close to what lies behind it."""
    box = (corner[0], corner[1], corner[0] + sprite.width, corner[1] + sprite.height)
    behind = np.asarray(image.crop(box)).astype(np.float32)
    alpha = sprite.getchannel("A").point(lambda a: 255 if a > 128 else 0)
    rim = (np.asarray(alpha) > 0) & (np.asarray(alpha.filter(ImageFilter.MinFilter(7))) == 0)
    if not rim.any():
        return
    front = np.asarray(sprite)[..., :3].astype(np.float32)
    distance = np.sqrt(((front[rim] - behind[rim]) ** 2).sum(axis=1))
    lost_share = float((distance < _LOST_BELOW).mean())
    if lost_share < 0.2:
        return
    colour = (0, 0, 0) if float(front[rim].mean()) > 170 else (255, 255, 255)
    spread = max(2, image.width // 70)
    mask = _blurred_alpha(sprite, spread, 0.9 if colour[0] else 0.6)
    image.paste(Image.new("RGB", mask.size, colour), (corner[0] - 3 * spread, corner[1] - 3 * spread), mask)


def _cast_shadow(image: Image.Image, sprite: Image.Image, corner: tuple[int, int], grounded: bool) -> None:
    side = image.width
    spread = max(2, side // 60)
    if not grounded:  # on paper: the thing's own outline, a little lower
        mask = _blurred_alpha(sprite, spread, 0.38)
        offset = (corner[0] - 3 * spread + side // 100, corner[1] - 3 * spread + side // 45)
    else:
        width, height = round(sprite.width * 0.9), max(4, round(sprite.width * 0.17))
        mask = Image.new("L", (width + 4 * spread, height + 4 * spread))
        ImageDraw.Draw(mask).ellipse((2 * spread, 2 * spread, width + 2 * spread, height + 2 * spread), fill=125)
        mask = mask.filter(ImageFilter.GaussianBlur(spread * 0.8))
        middle = (corner[0] + sprite.width // 2, corner[1] + sprite.height)
        offset = (middle[0] - mask.width // 2, middle[1] - round(mask.height * 0.58))
    image.paste(Image.new("RGB", mask.size, (12, 14, 24)), offset, mask)


def _backdrop(rng: random.Random, scene: Scene, side: int) -> Image.Image:
    if scene.place is None or scene.look is None:
        return paint_paper(rng, side, scene.background)
    return {**NATURE_PAINTERS, **BUILT_PAINTERS}[scene.place](rng, side, scene.look)


def draw_picture(scene: Scene, *, seed: int, side: int = PICTURE_SIDE) -> Image.Image:
    """The scene as an RGB picture; the seed varies what the scene leaves open."""
    rng = random.Random(seed)
    canvas = side * _SUPERSAMPLING
    image = _backdrop(rng, scene, canvas)
    in_place = scene.place is not None
    grounded = in_place and scene.place not in _FLOATING_PLACES
    tilt = 5.0 if grounded else 11.0
    for thing, slot in _slots(scene, grounded):
        sprite = _sprite(rng, thing, slot.extent, canvas, tilt)
        x = round((slot.x + rng.uniform(-0.012, 0.012)) * canvas - sprite.width / 2)
        middle = (slot.foot - slot.extent / 2) * canvas - sprite.height / 2
        y = round(slot.foot * canvas - sprite.height if grounded else middle + rng.uniform(-0.015, 0.015) * canvas)
        x = min(max(x, canvas // 50), canvas - canvas // 50 - sprite.width)
        if grounded or not in_place:
            _cast_shadow(image, sprite, (x, y), grounded)
        _stand_out(image, sprite, (x, y))
        image.paste(sprite, (x, y), sprite)
    return image.resize((side, side), Image.Resampling.LANCZOS)
