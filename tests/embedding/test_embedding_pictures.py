"""Bytes that are no picture, or one that nobody should decode."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from metaclip_core.embedding.pictures import MAX_QUERY_BYTES, decode_picture, decode_query
from metaclip_core.errors import PictureError


def picture(kind: str, size: tuple[int, int] = (20, 10), mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind, **options)
    return out.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_usual_formats_become_rgb(kind: str) -> None:
    decoded = decode_picture(picture(kind), "x")
    assert (decoded.mode, decoded.size) == ("RGB", (20, 10))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_other_modes_become_rgb(mode: str) -> None:
    assert decode_picture(picture("PNG", mode=mode), "x").mode == "RGB"


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    assert decode_picture(picture("JPEG", exif=exif), "x").size == (10, 20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        picture("PNG")[:40],
        picture("JPEG")[:200],
        picture("PPM"),
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    ],
    ids=["empty", "text", "svg", "postscript", "cut png", "cut jpeg", "a format not allowed", "webp header"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError, match="shard, 0017: not a picture that can be read"):
        decode_picture(data, "shard, 0017")


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (10_000, 9_000), (8_001, 8_000)])
def test_a_picture_of_too_many_pixels_is_not_decoded(width: int, height: int) -> None:
    with pytest.raises(PictureError, match=r"too large to decode \([a-z0-9, ]+ pixels\); at most 64,000,000 pixels"):
        decode_query(png_that_claims(width, height))


def test_an_upload_of_50_mb_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(PictureError, match=r"the picture has 52,428,800 bytes; at most 20,971,520"):
        decode_query(bytes(50 * 2**20))
    assert MAX_QUERY_BYTES == 20_971_520
