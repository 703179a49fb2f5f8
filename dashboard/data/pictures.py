"""Pictures of pairs, read from the pool and made small."""

from __future__ import annotations

import io

import streamlit as st
from PIL import Image, ImageOps

from metaclip_core.errors import PoolError
from metaclip_core.pools.pictures import read_picture

__all__ = ["picture", "thumbnail"]

MAX_PIXELS = 64_000_000  # a picture of more is not decoded


def thumbnail(fingerprint: str, path: str, offset: int | None, size: int | None, edge: int = 360) -> bytes:
    """A square JPEG of the picture. Raises PoolError when it can't be read, or is none."""
    return _made_small(fingerprint, path, offset, size, edge, True)


def picture(fingerprint: str, path: str, offset: int | None, size: int | None, edge: int = 1024) -> bytes:
    """The whole picture as a JPEG, no side longer than `edge`. Raises PoolError as `thumbnail` does."""
    return _made_small(fingerprint, path, offset, size, edge, False)


@st.cache_data(max_entries=512, show_spinner=False)
def _made_small(fingerprint: str, path: str, offset: int | None, size: int | None, edge: int, square: bool) -> bytes:
    data = read_picture(path, offset, size)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PoolError(f"{path}: a picture of {image.width} x {image.height} pixels is not shown")
            image.draft("RGB", (edge, edge))
            upright = ImageOps.exif_transpose(image).convert("RGB")
            small = ImageOps.fit(upright, (edge, edge)) if square else ImageOps.contain(upright, (edge, edge))
    except PoolError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever the bytes provoke
        raise PoolError(f"{path}: not a picture that can be shown ({type(error).__name__})") from error
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()
