"""Sceneries made by people: city, street, living room, table; and plain or shaded colours as a photographer's paper."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from data_samples.colours import BACKGROUNDS, Rgb
from data_samples.places_nature import open_sky
from data_samples.scenery import add_glow, add_grain, blend, fill_below, gradient, shaded

__all__ = ["BUILT_PAINTERS", "paint_paper"]


def _rectangle(draw: ImageDraw.ImageDraw, side: int, box: tuple[float, float, float, float], fill: Rgb) -> None:
    draw.rectangle([value * side for value in box], fill=fill)


def paint_city(rng: random.Random, side: int, look: str) -> Image.Image:
    image = open_sky(rng, side, look, 0.66)
    draw = ImageDraw.Draw(image)
    haze: Rgb = {"day": (196, 220, 238), "sunset": (250, 178, 124), "night": (48, 60, 112)}[look]
    wall: Rgb = {"day": (92, 112, 140), "sunset": (98, 70, 98), "night": (24, 28, 54)}[look]
    for depth, lowest, tallest in ((0.62, 0.42, 0.2), (0.3, 0.5, 0.28), (0.0, 0.58, 0.36)):
        x = -rng.uniform(0.0, 0.08)
        while x < 1.0:
            width, top = rng.uniform(0.08, 0.16), rng.uniform(tallest, lowest)
            tone = shaded(blend(wall, haze, depth), rng.uniform(-0.08, 0.08))
            _rectangle(draw, side, (x, top, x + width, 0.72), tone)
            _rectangle(draw, side, (x, top, x + width * 0.22, 0.72), shaded(tone, 0.1))
            if rng.random() < 0.3:
                _rectangle(draw, side, (x + width * 0.46, top - 0.05, x + width * 0.54, top), tone)
            if depth < 0.5:
                _draw_windows(rng, draw, side, (x, top, x + width, 0.7), tone, look)
            x += width + rng.uniform(0.0, 0.02)
    plaza: Rgb = {"day": (168, 172, 178), "sunset": (136, 108, 114), "night": (58, 62, 88)}[look]
    fill_below(image, [(0.0, 0.7), (1.0, 0.7)], shaded(plaza, 0.1), shaded(plaza, -0.2))
    draw = ImageDraw.Draw(image)
    for k in range(-6, 7):
        ends = ((0.5 + k * 0.07) * side, 0.7 * side, (0.5 + k * 0.26) * side, side)
        draw.line(ends, fill=shaded(plaza, -0.1), width=max(1, side // 160))
    for y in (0.74, 0.8, 0.89):
        draw.line((0, y * side, side, y * side), fill=shaded(plaza, -0.1), width=max(1, side // 160))
    return image


def _draw_windows(
    rng: random.Random,
    draw: ImageDraw.ImageDraw,
    side: int,
    box: tuple[float, float, float, float],
    wall: Rgb,
    look: str,
) -> None:
    lit_share = {"day": 0.12, "sunset": 0.45, "night": 0.55}[look]
    y = box[1] + 0.025
    while y < box[3] - 0.02:
        x = box[0] + 0.014
        while x < box[2] - 0.018:
            lit = rng.random() < lit_share
            _rectangle(draw, side, (x, y, x + 0.012, y + 0.018), (255, 222, 132) if lit else shaded(wall, 0.22))
            x += 0.026
        y += 0.036


_FACADES: tuple[Rgb, ...] = (
    (232, 154, 120),
    (238, 200, 122),
    (150, 184, 176),
    (206, 126, 118),
    (170, 186, 212),
    (226, 216, 196),
    (184, 160, 196),
)


def paint_street(rng: random.Random, side: int, look: str) -> Image.Image:
    image = open_sky(rng, side, look, 0.5)
    draw = ImageDraw.Draw(image)
    veil: Rgb = {"day": (255, 255, 255), "sunset": (120, 60, 80), "rain": (90, 100, 116)}[look]
    amount = {"day": 0.0, "sunset": 0.25, "rain": 0.42}[look]
    x = -rng.uniform(0.0, 0.1)
    while x < 1.0:
        width = rng.uniform(0.19, 0.27)
        _draw_house(rng, draw, side, x, width, (veil, amount))
        x += width
    pavement = blend((204, 200, 194), veil, amount)
    fill_below(image, [(0.0, 0.64), (1.0, 0.64)], shaded(pavement, -0.08), pavement)
    road = blend((98, 100, 108), veil, amount * 0.6)
    fill_below(image, [(0.0, 0.72), (1.0, 0.72)], shaded(road, 0.08), shaded(road, -0.16))
    draw = ImageDraw.Draw(image)
    _rectangle(draw, side, (0.0, 0.705, 1.0, 0.722), shaded(pavement, -0.2))
    for k in range(6):
        left = k * 0.22 - 0.1 + rng.random() * 0.01
        corners = ((left, 0.955), (left + 0.11, 0.955), (left + 0.1, 0.975), (left - 0.015, 0.975))
        draw.polygon([(a * side, b * side) for a, b in corners], fill=(238, 234, 220))
    if look == "rain":
        for _ in range(110):
            a, b, length = rng.random(), rng.random(), rng.uniform(0.03, 0.06)
            line = (a * side, b * side, (a - length * 0.25) * side, (b + length) * side)
            draw.line(line, fill=(206, 216, 228), width=max(1, side // 210))
    add_grain(rng, image, 0.66, 5)
    return image


def _draw_house(
    rng: random.Random, draw: ImageDraw.ImageDraw, side: int, x: float, width: float, veil: tuple[Rgb, float]
) -> None:
    tone, top = blend(rng.choice(_FACADES), *veil), rng.uniform(0.14, 0.26)
    roof, glass = blend((132, 74, 62), *veil), blend((120, 152, 178), *veil)
    frame = blend((250, 246, 238), *veil)
    _rectangle(draw, side, (x, top, x + width, 0.66), tone)
    corners = ((x - 0.006, top), (x + width / 2, top - rng.uniform(0.07, 0.12)), (x + width + 0.006, top))
    draw.polygon([(a * side, b * side) for a, b in corners], fill=roof)
    _rectangle(draw, side, (x, top, x + width, top + 0.012), shaded(tone, -0.2))
    for row in range(2):
        for column in range(2):
            left, upper = x + width * (0.17 + 0.4 * column), top + 0.05 + 0.15 * row
            _rectangle(draw, side, (left - 0.006, upper - 0.006, left + width * 0.26, upper + 0.096), frame)
            _rectangle(draw, side, (left, upper, left + width * 0.26 - 0.006, upper + 0.09), glass)
    door = blend(rng.choice(((112, 70, 52), (60, 92, 110), (88, 110, 74))), *veil)
    _rectangle(draw, side, (x + width * 0.38, 0.53, x + width * 0.62, 0.66), door)
    draw.line((x * side, top * side, x * side, 0.66 * side), fill=shaded(tone, -0.3), width=max(1, side // 120))


def paint_living_room(rng: random.Random, side: int, look: str) -> Image.Image:
    wall: Rgb = {"warm": (240, 220, 192), "green": (178, 204, 178), "blue": (176, 200, 222)}[look]
    image = gradient(side, ((0.0, shaded(wall, -0.06)), (0.62, shaded(wall, 0.12)), (1.0, wall)))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        for k in range(0, 17):
            _rectangle(draw, side, (k / 16, 0.0, k / 16 + 0.022, 0.6), shaded(wall, -0.035))
    left = rng.choice((0.07, 0.58))
    _draw_window(draw, side, left, shaded(wall, -0.45))
    other = 0.62 if left < 0.3 else 0.1
    for k in range(rng.randint(1, 2)):
        x, y = other + k * 0.17, 0.13 + rng.uniform(0, 0.05)
        _rectangle(draw, side, (x, y, x + 0.13, y + 0.16), (122, 88, 62))
        _rectangle(draw, side, (x + 0.012, y + 0.012, x + 0.118, y + 0.148), (250, 246, 238))
        art: Rgb = rng.choice(((226, 140, 110), (120, 160, 190), (190, 176, 110)))
        _rectangle(draw, side, (x + 0.03, y + 0.03, x + 0.1, y + 0.13), art)
    floor: Rgb = rng.choice(((176, 122, 78), (196, 150, 102), (150, 106, 76)))
    fill_below(image, [(0.0, 0.62), (1.0, 0.62)], shaded(floor, -0.1), shaded(floor, 0.14))
    draw = ImageDraw.Draw(image)
    for k in range(-9, 10):
        ends = ((0.5 + k * 0.09) * side, 0.62 * side, (0.5 + k * 0.2) * side, side)
        draw.line(ends, fill=shaded(floor, -0.2), width=max(1, side // 200))
    _rectangle(draw, side, (0.0, 0.6, 1.0, 0.628), (250, 248, 242))
    rug: Rgb = rng.choice(((186, 84, 80), (88, 120, 158), (214, 196, 160), (108, 140, 112)))
    draw.ellipse((0.06 * side, 0.72 * side, 0.94 * side, 1.0 * side), fill=rug)
    draw.ellipse((0.1 * side, 0.735 * side, 0.9 * side, 0.985 * side), fill=shaded(rug, 0.18))
    return image


def _draw_window(draw: ImageDraw.ImageDraw, side: int, left: float, curtain: Rgb) -> None:
    _rectangle(draw, side, (left, 0.1, left + 0.34, 0.46), (252, 250, 246))
    _rectangle(draw, side, (left + 0.018, 0.118, left + 0.322, 0.442), (168, 212, 240))
    _rectangle(draw, side, (left + 0.018, 0.34, left + 0.322, 0.442), (150, 196, 128))
    _rectangle(draw, side, (left + 0.162, 0.11, left + 0.178, 0.45), (252, 250, 246))
    for a, b in ((left - 0.03, left + 0.045), (left + 0.295, left + 0.37)):
        _rectangle(draw, side, (a, 0.08, b, 0.5), shaded(curtain, 0.25))
        for fold in (0.25, 0.6):
            x = a + (b - a) * fold
            _rectangle(draw, side, (x, 0.08, x + 0.01, 0.5), shaded(curtain, 0.1))


def paint_table(rng: random.Random, side: int, look: str) -> Image.Image:
    far: Rgb = {"light": (226, 222, 206), "dark": (70, 60, 62), "bokeh": (86, 108, 88)}[look]
    image = gradient(side, ((0.0, shaded(far, -0.15)), (0.5, shaded(far, 0.12)), (1.0, far)))
    lights: tuple[Rgb, ...] = ((255, 236, 190), (255, 214, 150), (240, 250, 240))
    dots = image.copy()
    draw = ImageDraw.Draw(dots)
    for _ in range({"light": 6, "dark": 9, "bokeh": 24}[look]):
        x, y, r = rng.random(), rng.uniform(0.0, 0.5), rng.uniform(0.03, 0.09)
        tone = blend(far, rng.choice(lights), rng.uniform(0.2, 0.55))
        draw.ellipse(((x - r) * side, (y - r) * side, (x + r) * side, (y + r) * side), fill=tone)
    image.paste(dots.filter(ImageFilter.GaussianBlur(side * 0.012)))
    wood: Rgb = rng.choice(((188, 132, 84), (164, 108, 66), (208, 164, 116), (132, 90, 62)))
    edge = rng.uniform(0.52, 0.58)
    fill_below(image, [(0.0, edge), (1.0, edge)], shaded(wood, 0.18), shaded(wood, -0.12))
    draw = ImageDraw.Draw(image)
    for k in range(-5, 6):
        ends = ((0.5 + k * 0.13) * side, edge * side, (0.5 + k * 0.26) * side, side)
        draw.line(ends, fill=shaded(wood, -0.28), width=max(1, side // 130))
    for _ in range(46):
        x, y = rng.uniform(-0.1, 1.0), rng.uniform(edge + 0.02, 1.0)
        lean = (x - 0.5) * 0.16
        line = (x * side, y * side, (x + lean) * side, (y + 0.06) * side)
        draw.line(line, fill=shaded(wood, rng.uniform(-0.16, 0.08)), width=max(1, side // 200))
    _rectangle(draw, side, (0.0, edge, 1.0, edge + 0.008), shaded(wood, 0.4))
    add_grain(rng, image, edge + 0.01, 4)
    return image


def paint_paper(rng: random.Random, side: int, background: tuple[str, ...]) -> Image.Image:
    """One colour lit from above, or a gradient of two, lit softly so that the colours keep their names."""
    first = BACKGROUNDS[background[0]]
    if len(background) == 2:
        stops = ((0.08, first), (0.92, BACKGROUNDS[background[1]]))
        return gradient(side, stops, rng.choice((0.0, 35.0, 90.0, -40.0)))
    image = gradient(side, ((0.0, shaded(first, 0.05)), (0.7, first), (1.0, shaded(first, -0.1))))
    light = (rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.45))
    add_glow(image, light, 0.75, shaded(first, 0.5), 0.26 if background[0] != "white" else 0.5)
    return image


BUILT_PAINTERS: dict[str, Callable[[random.Random, int, str], Image.Image]] = {
    "city": paint_city,
    "living room": paint_living_room,
    "street": paint_street,
    "table": paint_table,
}
