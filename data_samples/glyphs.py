"""Glyphs of Noto Color Emoji as pictures: loaded, recoloured, measured.

The font (Debian: `fonts-noto-color-emoji`, SIL Open Font License 1.1) is needed only to draw.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from data_samples.colours import TINT_HUES, Rgb

__all__ = ["FontMissingError", "find_font", "glyph_picture", "rim_colour"]

# The font holds bitmaps of one size only; any other is refused by FreeType.
_BITMAP_SIZE = 109

# Saturation and brightness of a recoloured part, relative to the original: at the same values a green glares, and a
# yellow looks olive.
_TINT_TONES = {
    TINT_HUES["pink"]: (0.55, 1.15),
    TINT_HUES["yellow"]: (1.0, 1.28),
    TINT_HUES["orange"]: (1.0, 1.2),
    TINT_HUES["green"]: (0.72, 0.82),
    TINT_HUES["purple"]: (0.72, 0.9),
    TINT_HUES["blue"]: (0.85, 1.0),
}

_FONT_PLACES = (
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",
)


class FontMissingError(RuntimeError):
    """Noto Color Emoji is not installed where we look for it."""


def find_font() -> Path | None:
    """The font's file: `NOTO_COLOR_EMOJI` if set, else the usual places of Linux distributions."""
    for place in (os.environ.get("NOTO_COLOR_EMOJI", ""), *_FONT_PLACES):
        if place and Path(place).is_file():
            return Path(place)
    return None


@cache
def _font() -> ImageFont.FreeTypeFont:
    path = find_font()
    if path is None:
        raise FontMissingError(
            "Noto Color Emoji was not found; install Debian's fonts-noto-color-emoji, "
            "or set NOTO_COLOR_EMOJI to the path of NotoColorEmoji.ttf"
        )
    return ImageFont.truetype(str(path), _BITMAP_SIZE)


@cache
def glyph_picture(char: str, tint: str | None = None, natural: str | None = None) -> Image.Image:
    """The glyph cut to its ink, RGBA; with `tint`, parts of the `natural` colour take that colour instead."""
    canvas = Image.new("RGBA", (180, 170))
    ImageDraw.Draw(canvas).text((16, 16), char, font=_font(), embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise FontMissingError(f"the installed Noto Color Emoji has no glyph for U+{ord(char):04X}; use a newer one")
    picture = canvas.crop(box)
    if tint is not None and natural is not None and tint != natural:
        picture = _recoloured(picture, TINT_HUES[natural], TINT_HUES[tint])
    return picture


def _recoloured(picture: Image.Image, from_hue: float, to_hue: float) -> Image.Image:
    hsv = np.asarray(picture.convert("RGB").convert("HSV")).astype(np.int16)
    offset = (hsv[..., 0] * (360 / 256) - from_hue + 180) % 360 - 180
    chosen = (np.abs(offset) < 32) & (hsv[..., 1] > 70)
    # A part of the offset stays, so that shading which shifts the hue a little survives.
    hue = (to_hue + offset * 0.3) % 360 * (256 / 360)
    hsv[..., 0] = np.where(chosen, hue.astype(np.int16) % 256, hsv[..., 0])
    saturation, brightness = _TINT_TONES.get(to_hue, (1.0, 1.0))
    for channel, factor in ((1, saturation), (2, brightness)):
        hsv[..., channel] = np.where(chosen, np.minimum(255, hsv[..., channel] * factor), hsv[..., channel])
    recoloured = Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB")
    recoloured.putalpha(picture.getchannel("A"))
    return recoloured


def rim_colour(char: str) -> Rgb:
    """Mean colour of the glyph's outermost pixels: what a background has to differ from."""
    picture = glyph_picture(char)
    padded = Image.new("RGBA", (picture.width + 20, picture.height + 20))
    padded.paste(picture, (10, 10))
    solid = padded.getchannel("A").point(lambda a: 255 if a > 160 else 0)
    inner = np.asarray(solid.filter(ImageFilter.MinFilter(9))) > 0
    rim = (np.asarray(solid) > 0) & ~inner
    red, green, blue = np.asarray(padded)[..., :3][rim].mean(axis=0)
    return round(float(red)), round(float(green)), round(float(blue))
