"""WARC files, as CommonCrawl publishes them: of each HTML page, every `img` with a text; plain or gzip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pyarrow as pa

from metaclip_core.pools.pairs import Pair, Place, batched
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.warcfile import Record, ranges, records
from metaclip_core.pools.webpage import decode_page, picture_pairs

EXTENSIONS = (".warc", ".warc.gz")

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_LOOKS_LIKE_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_IMG = re.compile(rb"<img\b", re.IGNORECASE)
_SNIFF_BYTES = 1024
_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
"""HTTP's, which warcio undoes. A crawler may have undone another one and left the header."""


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """Ranges of the file's bytes."""
    return ranges(shard)


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record))


def _wanted(record: Any) -> bool:
    return record.rec_type in ("response", "resource")


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    from selectolax.lexbor import LexborHTMLParser

    for record in records(shard, _wanted, bad_record):
        html, content_type = record.payload, _content_type(record)
        if not _is_html(html, content_type):
            bad_record(Place(shard.path, f"byte {record.place}").passed_over("not_html", "the record is no HTML page"))
            continue
        if _encoding(record) not in _ENCODINGS and b"<" not in html[:_SNIFF_BYTES]:
            at = Place(shard.path, f"byte {record.place}")
            bad_record(at.passed_over("unknown_encoding", f"the page is packed as {_encoding(record)}"))
            continue
        text = decode_page(html, content_type)
        if not (_IMG.search(html) or "<img" in text.lower()):  # the latter: of wide characters
            continue
        page = LexborHTMLParser(text)
        base = (record.headers.get_header("WARC-Target-URI") or "").strip("<>")
        for node in page.css("base[href]")[:1]:
            base = _joined(base, node.attributes.get("href") or "")
        pictures = (node.attributes for node in page.css("img"))
        yield from picture_pairs(shard, record.place, base, pictures, bad_record)


def _content_type(record: Record) -> str:
    """What the HTTP header says, or for a record without one the record's own."""
    headers = record.headers if record.http_headers is None else record.http_headers
    return headers.get_header("Content-Type") or ""


def _encoding(record: Record) -> str:
    value = record.http_headers.get_header("Content-Encoding") if record.http_headers is not None else None
    return (value or "").strip().lower()


def _is_html(html: bytes, content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in _HTML_TYPES or (not kind and _LOOKS_LIKE_HTML.match(html[:_SNIFF_BYTES]) is not None)


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address.strip())
    except ValueError:
        return base
