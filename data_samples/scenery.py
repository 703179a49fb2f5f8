"""Brushes that the places share: gradients, glows, clouds, hills, ridges, grain.

Every length is a share of the canvas's side, so that a scenery looks the same at any size.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data_samples.colours import Rgb

__all__ = [
    "add_clouds",
    "add_glow",
    "add_grain",
    "blend",
    "fill_below",
    "gradient",
    "hill_line",
    "ridge_line",
    "shaded",
]

Line = list[tuple[float, float]]


def blend(a: Rgb, b: Rgb, share: float) -> Rgb:
    """The colour that is `share` of the way from a to b."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def shaded(colour: Rgb, amount: float) -> Rgb:
    """Lighter for a positive amount, darker for a negative one."""
    return blend(colour, (255, 255, 255) if amount > 0 else (0, 0, 0), abs(amount))


def gradient(side: int, stops: Sequence[tuple[float, Rgb]], angle: float = 0.0) -> Image.Image:
    """A square filled with a linear gradient; angle 0 runs from top to bottom, in degrees counter-clockwise."""
    steps = np.linspace(0.0, 1.0, side, dtype=np.float32)
    if angle == 0.0:
        along = np.repeat(steps[:, None], side, axis=1)
    else:
        dx, dy = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        along = steps[None, :] * dx + steps[:, None] * dy
        along = (along - along.min()) / (along.max() - along.min())
    at = [position for position, _ in stops]
    channels = [np.interp(along, at, [colour[k] for _, colour in stops]) for k in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def add_glow(image: Image.Image, centre: tuple[float, float], radius: float, colour: Rgb, strength: float) -> None:
    """Light around a point, fading to nothing at the radius."""
    side = image.width
    n = max(2, round(radius * side))
    steps = np.linspace(-1, 1, 2 * n, dtype=np.float32)
    distance = np.sqrt(steps[:, None] ** 2 + steps[None, :] ** 2)
    alpha = (np.clip(1 - distance, 0, 1) ** 2 * 255 * strength).astype(np.uint8)
    corner = (round(centre[0] * side) - n, round(centre[1] * side) - n)
    image.paste(Image.new("RGB", alpha.shape, colour), corner, Image.fromarray(alpha))


def add_clouds(rng: random.Random, image: Image.Image, n: int, lowest: float, colour: Rgb, alpha: int = 225) -> None:
    """Soft heaps of cloud above `lowest`."""
    side = image.width
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for _ in range(n):
        x, y, width = rng.uniform(0, 1), rng.uniform(0.05, lowest), rng.uniform(0.12, 0.26)
        for part in range(7):
            along = part / 6 - 0.5
            radius = width * (0.24 - 0.5 * along * along) * rng.uniform(0.7, 1.1)
            cx, cy = (x + along * width * 1.3) * side, (y - radius * 0.35) * side
            r = radius * side
            draw.ellipse((cx - r * 1.2, cy - r * 0.75, cx + r * 1.2, cy + r * 0.75), fill=alpha)
    image.paste(Image.new("RGB", image.size, colour), (0, 0), mask.filter(ImageFilter.GaussianBlur(side * 0.008)))


def hill_line(rng: random.Random, level: float, height: float, waves: float = 1.5) -> Line:
    """A smooth line across the canvas, around `level`."""
    terms = [(rng.uniform(0.6, 1.0) * waves * k, rng.uniform(0, 6.3), 1 / k) for k in (1, 2, 3)]
    line: Line = []
    for step in range(41):
        x = step / 40
        wave = sum(share * math.sin(6.283 * turns * x + phase) for turns, phase, share in terms)
        line.append((x, level + height * wave / 1.8))
    return line


def ridge_line(rng: random.Random, level: float, height: float, roughness: float = 0.55) -> Line:
    """A jagged line by midpoint displacement, around `level`."""
    ys = [0.0, 0.0]
    spread = height
    for _ in range(6):
        finer: list[float] = []
        for left, right in pairwise(ys):
            finer += [left, (left + right) / 2 + rng.uniform(-spread, spread)]
        ys = [*finer, ys[-1]]
        spread *= roughness
    return [(k / (len(ys) - 1), level + y) for k, y in enumerate(ys)]


def fill_below(image: Image.Image, line: Line, top: Rgb, bottom: Rgb) -> None:
    """Fills from the line to the lower edge, with a gradient from the line's highest point down."""
    side = image.width
    points = [(x * side, y * side) for x, y in line]
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon([(-1, side + 1), *points, (side + 1, side + 1)], fill=255)
    start = min(max(min(y for _, y in line), 0.0), 0.98)
    image.paste(gradient(side, ((start, top), (1.0, bottom))), (0, 0), mask)


def add_grain(rng: random.Random, image: Image.Image, top: float, strength: float) -> None:
    """Light and dark speckles below `top`: sand, grass, snow."""
    side = image.width
    first = round(top * side)
    pixels = np.asarray(image).astype(np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, strength, (side - first, side, 1))
    # Nearer grains look coarser, so the strength grows downwards.
    growth = np.linspace(0.35, 1.0, side - first)[:, None, None]
    pixels[first:] += (noise * growth).astype(np.float32)
    image.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
