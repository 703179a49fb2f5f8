"""Sceneries outdoors: beach, meadow, night sky, under water, snow, desert, forest, mountains.

Each painter gets a generator, the canvas's side and a look of `settings.PLACES`, and gives the finished scenery.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from data_samples.colours import Rgb
from data_samples.scenery import (
    add_clouds,
    add_glow,
    add_grain,
    blend,
    fill_below,
    gradient,
    hill_line,
    ridge_line,
    shaded,
)

__all__ = ["NATURE_PAINTERS", "open_sky"]

_SKIES: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((84, 166, 232), (204, 232, 250)),
    "spring": ((112, 190, 240), (226, 244, 252)),
    "sunset": ((104, 92, 160), (255, 178, 110)),
    "overcast": ((150, 168, 184), (214, 222, 226)),
    "rain": ((112, 124, 140), (182, 190, 198)),
    "pale": ((190, 206, 214), (246, 232, 208)),
    "night": ((14, 20, 50), (52, 66, 120)),
    "fog": ((184, 196, 204), (226, 230, 232)),
}


def open_sky(rng: random.Random, side: int, look: str, horizon: float) -> Image.Image:
    """A sky with what belongs into it at that hour."""
    top, low = _SKIES[look]
    image = gradient(side, ((0.0, top), (horizon, low), (1.0, low)))
    if look == "sunset":
        x = rng.uniform(0.2, 0.8)
        add_glow(image, (x, horizon - 0.04), 0.6, (255, 214, 130), 0.75)
        add_glow(image, (x, horizon - 0.06), 0.11, (255, 250, 220), 1.0)
        add_clouds(rng, image, 3, horizon * 0.6, (232, 142, 132), 130)
    elif look == "night":
        add_stars(rng, image, 60, horizon)
    elif look in ("day", "spring", "pale"):
        add_glow(image, (rng.uniform(0.1, 0.9), 0.05), 0.5, (255, 252, 230), 0.6)
        add_clouds(rng, image, rng.randint(2, 4), horizon * 0.75, (255, 255, 255))
    else:
        add_clouds(rng, image, 6, horizon * 0.8, shaded(low, 0.25), 170)
    return image


def add_stars(rng: random.Random, image: Image.Image, n: int, lowest: float) -> None:
    """Stars of three sizes, the larger ones with a halo."""
    side = image.width
    draw = ImageDraw.Draw(image)
    for _ in range(n):
        x, y, r = rng.random(), rng.uniform(0, lowest), rng.choice((0.0022, 0.0022, 0.0035, 0.0055))
        if r > 0.005:
            add_glow(image, (x, y), 0.025, (220, 230, 255), 0.7)
        colour = rng.choice(((255, 255, 255), (255, 244, 214), (206, 222, 255)))
        draw.ellipse(((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side), fill=colour)


def paint_beach(rng: random.Random, side: int, look: str) -> Image.Image:
    horizon = rng.uniform(0.36, 0.44)
    image = open_sky(rng, side, look, horizon)
    far, near = {
        "day": ((24, 110, 178), (88, 206, 212)),
        "sunset": ((92, 84, 146), (236, 160, 128)),
        "overcast": ((84, 116, 134), (140, 172, 178)),
        "night": ((22, 34, 78), (48, 74, 126)),
    }[look]
    fill_below(image, [(0.0, horizon), (1.0, horizon)], far, blend(near, far, -0.2))
    draw = ImageDraw.Draw(image)
    for _ in range(26):
        y = rng.uniform(horizon + 0.015, 0.6)
        x, length = rng.uniform(-0.1, 1.0), rng.uniform(0.04, 0.16)
        tone = blend(shaded(far, 0.35), shaded(near, 0.5), (y - horizon) / 0.25)
        draw.line((x * side, y * side, (x + length) * side, y * side), fill=tone, width=max(1, side // 170))
    if look == "night":
        _add_moon(rng, image, horizon, 0.6)
    shore = hill_line(rng, rng.uniform(0.56, 0.6), 0.018, 0.9)
    foam: Rgb = (168, 184, 220) if look == "night" else (250, 252, 252)
    for offset, tone in ((-0.022, shaded(near, 0.45)), (-0.008, foam)):
        fill_below(image, [(x, y + offset) for x, y in shore], tone, tone)
    sand: Rgb = {
        "day": (246, 220, 164),
        "sunset": (224, 168, 130),
        "overcast": (214, 200, 170),
        "night": (124, 114, 120),
    }[look]
    fill_below(image, shore, shaded(sand, -0.18), sand)
    fill_below(image, [(x, y + 0.03) for x, y in shore], sand, shaded(sand, -0.1))
    add_grain(rng, image, 0.6, 9)
    return image


def _add_moon(rng: random.Random, image: Image.Image, horizon: float, shore: float) -> None:
    """A full moon, and its light on the sea between the horizon and the shore."""
    side = image.width
    x, y, r = rng.uniform(0.15, 0.85), horizon * rng.uniform(0.25, 0.5), rng.uniform(0.04, 0.055)
    add_glow(image, (x, y), 0.3, (170, 190, 240), 0.55)
    draw = ImageDraw.Draw(image)
    draw.ellipse(((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side), fill=(250, 246, 226))
    for _ in range(48):
        below = rng.uniform(0.0, 1.0)
        middle = x + rng.gauss(0.0, 0.018 + 0.04 * below)
        half = rng.uniform(0.008, 0.02) * (1 + 1.5 * below)
        level = (horizon + 0.006 + below * (shore - horizon)) * side
        tone = blend((255, 246, 214), (120, 146, 206), rng.uniform(0.0, 0.7))
        draw.line(((middle - half) * side, level, (middle + half) * side, level), fill=tone, width=max(1, side // 150))


def paint_meadow(rng: random.Random, side: int, look: str) -> Image.Image:
    horizon = rng.uniform(0.42, 0.5)
    image = open_sky(rng, side, look, horizon)
    green: Rgb = {"day": (96, 178, 62), "spring": (126, 200, 82), "sunset": (126, 140, 66)}[look]
    for level, tone in ((horizon - 0.05, 0.35), (horizon + 0.01, 0.15), (horizon + 0.1, 0.0)):
        far = blend(shaded(green, -0.25), _SKIES[look][1], tone)
        fill_below(image, hill_line(rng, level, 0.03), shaded(far, 0.15), shaded(far, -0.12))
    draw = ImageDraw.Draw(image)
    for _ in range(190):
        x, y = rng.random(), rng.uniform(horizon + 0.1, 1.02)
        height = 0.014 + 0.05 * (y - horizon)
        blade = shaded(green, rng.uniform(-0.35, 0.25))
        tip = (x + rng.uniform(-0.4, 0.4) * height) * side
        draw.line((x * side, y * side, tip, (y - height) * side), fill=blade, width=max(1, side // 150))
    n_flowers = {"day": 12, "spring": 46, "sunset": 8}[look]
    for _ in range(n_flowers):
        x, y = rng.random(), rng.uniform(horizon + 0.12, 0.99)
        r = 0.004 + 0.009 * (y - horizon)
        petal = rng.choice(((255, 255, 255), (255, 226, 90), (244, 150, 190), (190, 150, 240)))
        draw.ellipse(((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side), fill=petal)
    return image


def paint_night_sky(rng: random.Random, side: int, look: str) -> Image.Image:
    top, low = {
        "blue": ((6, 10, 36), (40, 68, 132)),
        "violet": ((16, 8, 42), (108, 62, 136)),
        "green": ((4, 14, 30), (28, 92, 104)),
    }[look]
    image = gradient(side, ((0.0, top), (0.85, low), (1.0, low)))
    x, slope = rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.7)
    for step in range(9):
        centre = (x + slope * step / 9 + rng.uniform(-0.05, 0.05), step / 10)
        add_glow(image, centre, rng.uniform(0.18, 0.3), shaded(low, 0.35), 0.32)
    if look == "green":
        for _ in range(4):
            add_glow(image, (rng.random(), rng.uniform(0.25, 0.5)), 0.32, (92, 232, 160), 0.35)
    add_stars(rng, image, 130, 0.9)
    fill_below(image, hill_line(rng, 0.84, 0.03), shaded(low, -0.62), shaded(top, -0.2))
    fill_below(image, hill_line(rng, 0.92, 0.02), shaded(low, -0.75), (6, 8, 16))
    return image


def paint_under_water(rng: random.Random, side: int, look: str) -> Image.Image:
    top, low = {
        "turquoise": ((146, 236, 226), (8, 124, 156)),
        "blue": ((104, 196, 242), (10, 72, 150)),
        "dark": ((46, 122, 176), (6, 32, 78)),
    }[look]
    image = gradient(side, ((0.0, top), (0.8, low), (1.0, shaded(low, -0.2))))
    rays = Image.new("L", image.size)
    draw = ImageDraw.Draw(rays)
    for _ in range(6):
        x, width, lean = rng.uniform(0, 1), rng.uniform(0.03, 0.1), rng.uniform(-0.15, 0.15)
        corners = ((x, -0.02), (x + width, -0.02), (x + width * 2.6 + lean, 0.9), (x + lean - width, 0.9))
        draw.polygon([(a * side, b * side) for a, b in corners], fill=34)
    fade = gradient(side, ((0.0, (255,) * 3), (0.9, (0,) * 3), (1.0, (0,) * 3))).convert("L")
    blank = Image.new("L", image.size)
    rays = Image.composite(rays.filter(ImageFilter.GaussianBlur(side * 0.015)), blank, fade)
    image.paste(Image.new("RGB", image.size, (255, 255, 255)), (0, 0), rays)
    sand = blend((226, 210, 160), low, 0.5)
    fill_below(image, hill_line(rng, 0.87, 0.02), shaded(sand, 0.1), shaded(sand, -0.25))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(4, 7)):
        _draw_seaweed(rng, draw, side, blend((30, 120, 70), low, 0.35))
    for _ in range(rng.randint(9, 16)):
        x, y, r = rng.random(), rng.uniform(0.03, 0.85), rng.uniform(0.006, 0.018)
        box = ((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side)
        draw.ellipse(box, outline=shaded(top, 0.45), width=max(1, side // 160))
        draw.ellipse((box[0] + r * side * 0.4, box[1] + r * side * 0.4, x * side, y * side), fill=shaded(top, 0.7))
    return image


def _draw_seaweed(rng: random.Random, draw: ImageDraw.ImageDraw, side: int, colour: Rgb) -> None:
    x = rng.choice((rng.uniform(0.0, 0.2), rng.uniform(0.8, 1.0)))
    height, phase = rng.uniform(0.12, 0.3), rng.uniform(0, 6)
    points = [((x + 0.015 * math.sin(phase + k * 0.9)) * side, (0.94 - height * k / 8) * side) for k in range(9)]
    draw.line(points, fill=shaded(colour, rng.uniform(-0.2, 0.2)), width=max(2, side // 50), joint="curve")


def _draw_fir(
    draw: ImageDraw.ImageDraw, side: int, x: float, foot: float, height: float, colour: Rgb, snow: bool
) -> None:
    width = height * 0.26
    trunk = (x - width * 0.09, foot - height * 0.12, x + width * 0.09, foot)
    draw.rectangle([value * side for value in trunk], fill=(86, 62, 48))
    for tier in range(3):
        low = foot - height * (0.1 + 0.26 * tier)
        half, tip = width * (1 - 0.25 * tier), low - height * 0.42
        corners = ((x - half, low), (x + half, low), (x, tip))
        draw.polygon([(a * side, b * side) for a, b in corners], fill=shaded(colour, 0.07 * tier))
        if snow:
            cap = ((x - half * 0.62, low - height * 0.16), (x + half * 0.5, low - height * 0.2), (x, tip))
            draw.polygon([(a * side, b * side) for a, b in cap], fill=(240, 246, 252))


def paint_snow(rng: random.Random, side: int, look: str) -> Image.Image:
    horizon = rng.uniform(0.42, 0.5)
    image = open_sky(rng, side, look, horizon)
    snow: Rgb = {"day": (244, 248, 253), "sunset": (240, 214, 214), "night": (150, 168, 212)}[look]
    fill_below(image, ridge_line(rng, horizon - 0.04, 0.09), blend(snow, _SKIES[look][0], 0.45), snow)
    fill_below(image, hill_line(rng, horizon + 0.02, 0.025), shaded(snow, -0.06), snow)
    draw = ImageDraw.Draw(image)
    fir: Rgb = {"day": (52, 104, 88), "sunset": (70, 76, 92), "night": (26, 46, 74)}[look]
    for _ in range(rng.randint(5, 9)):
        x = rng.uniform(0.0, 1.0)
        _draw_fir(draw, side, x, horizon + rng.uniform(0.04, 0.1), rng.uniform(0.12, 0.24), fir, True)
    fill_below(image, hill_line(rng, horizon + 0.15, 0.025), shaded(snow, 0.3), blend(snow, (176, 202, 236), 0.4))
    draw = ImageDraw.Draw(image)
    for _ in range(70):
        x, y, r = rng.random(), rng.random(), rng.uniform(0.003, 0.0075)
        draw.ellipse(((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side), fill=(255, 255, 255))
    return image


def paint_desert(rng: random.Random, side: int, look: str) -> Image.Image:
    horizon = rng.uniform(0.44, 0.52)
    image = open_sky(rng, side, look, horizon)
    sand: Rgb = {"day": (236, 172, 94), "sunset": (216, 116, 72), "pale": (230, 200, 150)}[look]
    if rng.random() < 0.5:
        mesa = blend(shaded(sand, -0.25), _SKIES[look][1], 0.45)
        x, width, top = rng.uniform(0.0, 0.6), rng.uniform(0.2, 0.4), horizon - rng.uniform(0.06, 0.13)
        line = [(0.0, horizon), (x, horizon), (x + 0.05, top), (x + width, top), (x + width + 0.06, horizon)]
        fill_below(image, [*line, (1.0, horizon)], mesa, mesa)
    for level, tone in ((horizon, 0.2), (horizon + 0.08, 0.05), (horizon + 0.2, -0.02)):
        crest = hill_line(rng, level, 0.045, 0.8)
        light = shaded(sand, tone)
        fill_below(image, crest, shaded(light, 0.2), shaded(light, -0.16))
        shade = [(x, y + 0.012 + 0.09 * max(0.0, math.sin(6.28 * x + level * 20))) for x, y in crest]
        fill_below(image, shade, shaded(light, -0.09), shaded(light, -0.02))
    add_grain(rng, image, horizon + 0.05, 6)
    return image


def paint_forest(rng: random.Random, side: int, look: str) -> Image.Image:
    far, leaf, ground = {
        "summer": ((206, 230, 170), (52, 118, 56), (92, 128, 58)),
        "autumn": ((250, 226, 164), (206, 110, 36), (158, 104, 56)),
        "fog": ((220, 228, 228), (92, 118, 112), (116, 126, 108)),
    }[look]
    image = gradient(side, ((0.0, shaded(far, -0.1)), (0.55, shaded(far, 0.25)), (1.0, far)))
    draw = ImageDraw.Draw(image)
    for layer, depth in enumerate((0.75, 0.5, 0.22)):
        trunk = blend((84, 62, 46), far, depth)
        foot = 0.56 + 0.05 * layer
        for _ in range(8 - 2 * layer):
            x, width = rng.random(), rng.uniform(0.018, 0.03) * (1 + layer * 0.8)
            box = ((x - width / 2) * side, 0, (x + width / 2) * side, (foot + 0.02) * side)
            draw.rectangle(box, fill=trunk)
            draw.rectangle((box[0], 0, box[0] + width * 0.3 * side, box[3]), fill=shaded(trunk, 0.14))
        for _ in range(26):
            x, y, r = rng.random(), rng.uniform(-0.05, 0.2 - 0.04 * layer), rng.uniform(0.05, 0.11)
            tone = shaded(blend(leaf, far, depth), rng.uniform(-0.15, 0.18))
            draw.ellipse(((x - r) * side, (y - r * 0.7) * side, (x + r) * side, (y + r * 0.7) * side), fill=tone)
        fill_below(image, hill_line(rng, foot, 0.015), blend(shaded(ground, 0.1), far, depth), ground)
    fill_below(image, hill_line(rng, 0.7, 0.015), shaded(ground, 0.12), shaded(ground, -0.28))
    draw = ImageDraw.Draw(image)
    for _ in range(70):
        x, y = rng.random(), rng.uniform(0.7, 1.0)
        r = 0.006 + 0.012 * (y - 0.6)
        tone = shaded(rng.choice((leaf, ground, ground)), rng.uniform(-0.2, 0.3))
        draw.ellipse(((x - r) * side, (y - r / 2) * side, (x + r) * side, (y + r / 2) * side), fill=tone)
    return image


def paint_mountains(rng: random.Random, side: int, look: str) -> Image.Image:
    horizon = 0.6
    image = open_sky(rng, side, look, horizon)
    haze = _SKIES[look][1]
    rock: Rgb = {"day": (96, 112, 138), "sunset": (118, 92, 124), "fog": (128, 140, 148)}[look]
    for level, height, depth in ((0.36, 0.2, 0.55), (0.45, 0.17, 0.25)):
        ridge = ridge_line(rng, level, height)
        tone = blend(rock, haze, depth)
        fill_below(image, ridge, shaded(tone, -0.05), blend(tone, haze, 0.5))
        snow = [(x, y) for x, y in ridge]
        mask = Image.new("L", image.size)
        lower = [(x, min(max(y + 0.05 + rng.uniform(-0.03, 0.03), y), max(y, level + 0.0))) for x, y in ridge]
        outline = [*snow, *reversed(lower)]
        ImageDraw.Draw(mask).polygon([(x * side, y * side) for x, y in outline], fill=235)
        image.paste(Image.new("RGB", image.size, blend((250, 252, 255), haze, depth * 0.5)), (0, 0), mask)
    green: Rgb = {"day": (92, 158, 80), "sunset": (112, 112, 72), "fog": (128, 148, 122)}[look]
    fill_below(image, hill_line(rng, horizon - 0.03, 0.02), blend(shaded(green, -0.3), haze, 0.3), green)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(8, 14)):
        fir = blend(shaded(green, -0.5), haze, 0.15)
        _draw_fir(draw, side, rng.random(), horizon + rng.uniform(0.0, 0.05), rng.uniform(0.07, 0.12), fir, False)
    fill_below(image, hill_line(rng, horizon + 0.06, 0.02), shaded(green, 0.12), shaded(green, -0.22))
    add_grain(rng, image, horizon + 0.04, 7)
    return image


NATURE_PAINTERS: dict[str, Callable[[random.Random, int, str], Image.Image]] = {
    "beach": paint_beach,
    "desert": paint_desert,
    "forest": paint_forest,
    "meadow": paint_meadow,
    "mountains": paint_mountains,
    "night sky": paint_night_sky,
    "snow": paint_snow,
    "under water": paint_under_water,
}
