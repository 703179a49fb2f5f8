"""Bytes to a picture. They come from pools and uploads, so they may be anything."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from metaclip_core.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_PIXELS", "MAX_QUERY_BYTES", "check_query_size", "decode_picture", "decode_query"]

MAX_PIXELS = 64_000_000
"""Decoded, a picture of more would take over 190 MB; the largest cameras stay below."""

MAX_QUERY_BYTES = 20 * 2**20
"""A picture to search by needs no more: a model sees a few hundred pixels of it."""

# What photographs and web pictures come in. Pillow knows forty more, some of which start other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def decode_picture(data: bytes, name: str, *, edge: int | None = None) -> Image:
    """The picture as RGB, upright; of an animation the first frame. `name` says in messages which one it is.

    `edge`: a JPEG may be decoded smaller, but no side below this many pixels. Raises PictureError.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(name, *image.size)
            if edge is not None:
                image.draft("RGB", (edge, edge))
            return ImageOps.exif_transpose(image).convert("RGB")
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{name}: {_too_large(f'more than {Image.MAX_IMAGE_PIXELS:,} pixels')}") from error
    except Exception as error:  # Pillow's decoders raise whatever the bytes provoke
        raise PictureError(f"{name}: not a picture that can be read ({type(error).__name__})") from error


def decode_query(data: bytes) -> Image:
    """A picture to search by. Raises PictureError, also for one of over MAX_QUERY_BYTES."""
    check_query_size(len(data))
    return decode_picture(data, "the picture")


def check_query_size(n_bytes: int) -> None:
    """Raises PictureError where a picture to search by is larger than MAX_QUERY_BYTES."""
    if n_bytes > MAX_QUERY_BYTES:
        raise PictureError(
            f"the picture has {n_bytes:,} bytes; at most {MAX_QUERY_BYTES:,} are taken to search by: reduce it first"
        )


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PictureError(f"{name}: {_too_large(f'{width:,} x {height:,} pixels')}")


def _too_large(what: str) -> str:
    return f"too large to decode ({what}); at most {MAX_PIXELS:,} pixels are read"
