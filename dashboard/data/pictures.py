"""Pictures of pairs, read from the pool and made small."""

from __future__ import annotations

import io

import streamlit as st
from PIL import ImageOps
from PIL.Image import Image

from metaclip_core.embedding.pictures import decode_picture
from metaclip_core.errors import PictureError, PoolError
from metaclip_core.pools.pictures import read_picture

__all__ = ["picture", "small_jpeg", "thumbnail"]


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
        image = decode_picture(data, path, edge=edge)
    except PictureError as error:
        raise PoolError(str(error)) from error
    return small_jpeg(image, edge, square=square)


def small_jpeg(image: Image, edge: int, *, square: bool) -> bytes:
    """An RGB picture as a JPEG, no side longer than `edge`, never enlarged."""
    if square:
        side = min(edge, *image.size)
        image = ImageOps.fit(image, (side, side))
    elif max(image.size) > edge:
        image = ImageOps.contain(image, (edge, edge))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()
