"""The pictures of a web page and their texts: what a WARC's HTML and a WAT's links have in common."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urljoin, urlsplit

from metaclip_core.pools.pairs import Pair, Place
from metaclip_core.pools.record import BadRecord, Shard

__all__ = ["TEXT_FIELDS", "decode_page", "picture_pairs"]

TEXT_FIELDS = ("alt", "title", "data-image-title")
"""The attributes of an `img` that hold a text, as MetaCLIP's authors read them."""

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)")
_HEAD_BYTES = 1024  # of a page, in which HTML wants its charset declared
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LATIN = {"iso8859-1", "ascii"}  # that browsers take for windows-1252
_REPLACED = "\ufffd"


def decode_page(html: bytes, content_type: str) -> str:
    """The page as text: by its byte order mark, the HTTP header's charset, the page's own, else UTF-8, else windows-1252.

    A charset that the bytes contradict gives way to UTF-8; when that doesn't fit either, U+FFFD stands for what is broken.
    """
    for bom, encoding in _BOMS:
        if html.startswith(bom):
            return html[len(bom) :].decode(encoding, "replace")
    header = _CHARSET.search(content_type.lower().encode("ascii", "replace"))
    declared = _codec(header) or _codec(_CHARSET.search(html[:_HEAD_BYTES].lower()))
    for name in (declared, "utf-8"):
        try:
            if name is not None:
                return html.decode(name)
        except UnicodeDecodeError:
            continue
    return html.decode(declared or "cp1252", "replace")


def _codec(label: re.Match[bytes] | None) -> str | None:
    """Python's name of the charset; None without one, or for what is no charset of texts."""
    if label is None:
        return None
    try:
        info = codecs.lookup(label[1].decode("ascii"))
    except (LookupError, ValueError):
        return None
    if not info._is_text_encoding:
        return None
    return "cp1252" if info.name in _LATIN else info.name


def picture_pairs(
    shard: Shard, place: str, base: str, pictures: Iterable[Mapping[str, object]], bad_record: BadRecord
) -> Iterator[Pair]:
    """A pair for each text of each picture, which are given by their attributes (`src` and TEXT_FIELDS).

    The key is `<place>/<number of the picture on the page>/<field>`. A picture without a text or an address on the web, and a
    text that isn't decoded right, is passed over.
    """
    for number, attributes in enumerate(pictures):
        at = Place(shard.path, f"byte {place}, picture {number}")
        texts = [(name, _clean(value)) for name in TEXT_FIELDS if isinstance(value := attributes.get(name), str)]
        texts = [(name, text) for name, text in texts if text]
        if not texts:
            bad_record(at.passed_over("no_text", "the picture has no text"))
            continue
        if (url := _absolute(base, attributes.get("src"))) is None:
            bad_record(at.passed_over("no_url", "the picture has no address on the web"))
            continue
        for name, text in texts:
            if _REPLACED in text or not _is_unicode(text):
                bad_record(at.passed_over("wrong_charset", f"its {name} is not in the page's charset"))
                continue
            key = f"{place}/{number}/{name}"
            yield Pair(identity=f"{shard.name}#{key}", key=key, text=text, url=url)


def _clean(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ").strip()


def _absolute(base: str, address: object) -> str | None:
    """The address made absolute against the base; None when it isn't one of the web."""
    if not isinstance(address, str) or not address.strip():
        return None
    try:
        url = urljoin(base, address.strip())
        return url if urlsplit(url).scheme in ("http", "https") and _is_unicode(url) else None
    except ValueError:  # such as a bracket that isn't closed
        return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
