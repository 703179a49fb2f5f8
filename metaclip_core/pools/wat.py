"""WAT files, CommonCrawl's metadata of its pages in JSON: every `IMG@/src` link with a text; plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.pools.pairs import Pair, Place, batched, parse_object
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.warcfile import ranges, records
from metaclip_core.pools.webpage import picture_pairs

EXTENSIONS = (".wat", ".wat.gz")

_PICTURE = "IMG@/src"


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """Ranges of the file's bytes."""
    return ranges(shard)


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record))


def _wanted(record: Any) -> bool:
    return record.rec_type == "metadata"


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    for record in records(shard, _wanted, bad_record):
        at = Place(shard.path, f"byte {record.place}")
        try:
            fields = parse_object(record.payload, at)
        except RecordError as error:
            bad_record(error)
            continue
        described = _level(fields, "Envelope", "WARC-Header-Metadata").get("WARC-Type")
        if described in ("warcinfo", "request", "metadata"):  # which every page has beside it
            continue
        page = _level(fields, "Envelope", "Payload-Metadata", "HTTP-Response-Metadata", "HTML-Metadata")
        if not page:
            bad_record(at.passed_over("not_html", "the record describes no HTML page"))
            continue
        links = page.get("Links")
        pictures = [_attributes(link) for link in links if _is_picture(link)] if isinstance(links, list) else []
        base = (record.headers.get_header("WARC-Target-URI") or "").strip("<>")
        yield from picture_pairs(shard, record.place, _base(base, page), pictures, bad_record)


def _level(value: Any, *names: str) -> dict[str, Any]:
    """The object at the end of the path; empty when a level of it is missing or no object."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _is_picture(link: Any) -> bool:
    return isinstance(link, dict) and isinstance(link.get("path"), str) and link["path"].startswith(_PICTURE)


def _attributes(link: dict[str, Any]) -> dict[str, Any]:
    return {**link, "src": link.get("url")}


def _base(url: str, page: dict[str, Any]) -> str:
    address = _level(page, "Head").get("Base")
    try:
        return urljoin(url, address) if isinstance(address, str) else url
    except ValueError:
        return url
