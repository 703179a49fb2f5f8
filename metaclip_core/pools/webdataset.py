"""WebDataset tars, as img2dataset writes them: `KEY.jpg`, `KEY.txt`, `KEY.json`, one sample after the other.

Pictures are not read, but for the first bytes of each: a pair says where in the tar its picture is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa

from metaclip_core.errors import RecordError
from metaclip_core.pools.columns import ID_NAME, TEXT_NAMES, URL_NAMES
from metaclip_core.pools.pairs import (
    MAX_TEXT_BYTES,
    Pair,
    Place,
    batched,
    check_unicode,
    id_of,
    parse_object,
    texts_of,
    with_texts,
)
from metaclip_core.pools.record import BadRecord, Shard
from metaclip_core.pools.tar import Member, members, open_tar

EXTENSIONS = (".tar",)

# Recognised to be refused with a reason: passed over in silence, a pool would lose its pairs.
COMPRESSED_EXTENSIONS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

IMAGE_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})

IMAGE_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM|II[*+]\x00|MM\x00[*+]", re.DOTALL
)
SIGNATURE_BYTES = 12

NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
"""WebDataset's rule: the key is the path up to the first dot of the base name, the rest the extension."""


def recognises(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS + COMPRESSED_EXTENSIONS)


def split(shard: Shard) -> list[Shard]:
    """The tar as one shard; whether it is whole is seen when it is read."""
    try:
        with open(shard.path, "rb") as file:
            empty = next(members(open_tar(file, shard.path), file, shard.path), None) is None
    except OSError as error:
        raise _unreadable(shard, error) from error
    return [] if empty else [shard]


def read(shard: Shard, bad_record: BadRecord) -> Iterator[pa.RecordBatch]:
    return batched(_pairs(shard, bad_record), shard.options.extra_columns)


def _pairs(shard: Shard, bad_record: BadRecord) -> Iterator[Pair]:
    image_path = os.path.abspath(shard.path)
    try:
        with open(shard.path, "rb") as file:
            for sample in _samples(file, shard, bad_record):
                try:
                    pairs = _pairs_of(sample, file, shard, image_path)
                except RecordError as error:
                    bad_record(error)
                    continue
                yield from pairs
    except OSError as error:
        bad_record(_unreadable(shard, error))


def _unreadable(shard: Shard, error: OSError) -> RecordError:
    return Place(shard.path).error("unreadable_file", f"the file can't be read: {error.strerror or error}")


@dataclass
class _Sample:
    """Consecutive members that share a key; of each kind (image, txt, json) the one that counts, by (member, extension)."""

    key: str
    members: dict[str, tuple[Member, str]] = field(default_factory=dict)

    def takes(self, key: str, extension: str) -> bool:
        """Whether the member is of this sample: an extension that it has already begins another of the same key."""
        taken = self.members.get(_kind(extension))
        return key == self.key and (taken is None or taken[1] != extension)

    def add(self, member: Member, extension: str) -> None:
        """The first member of a kind counts, but `jpg` before `mask.jpg` wherever they stand."""
        kind = _kind(extension)
        taken = self.members.get(kind)
        if kind and (taken is None or ("." in taken[1] and "." not in extension)):
            self.members[kind] = (member, extension)

    def get(self, kind: str) -> Member | None:
        return self.members[kind][0] if kind in self.members else None


def _kind(extension: str) -> str:
    last = extension.rpartition(".")[2]
    if last in IMAGE_EXTENSIONS:
        return "image"
    return last if last in ("txt", "json") else ""


def _samples(file: BinaryIO, shard: Shard, bad_record: BadRecord) -> Iterator[_Sample]:
    """The whole samples in order.

    The one at which a damaged tar breaks off is not given, even if it could be all there: what is missing may be its
    id. It is the record that the error stands for.
    """
    sample: _Sample | None = None
    last_key = ""
    ended: RecordError | None = None
    try:
        for member in members(open_tar(file, shard.path), file, shard.path):
            match = NAME.fullmatch(member.name)
            if match is None:  # no extension, or a hidden file such as macOS's ._KEY.jpg
                continue
            key, extension = match[1], match[2].lower()
            if sample is None or not sample.takes(key, extension):
                if sample is not None:
                    yield sample
                    last_key = sample.key
                sample = _Sample(key)
            sample.add(member, extension)
    except RecordError as error:
        ended = error
    if sample is not None and (ended is None or ended.reason == "data_after_end"):
        yield sample
        last_key = sample.key
    if ended is not None:
        place = f"after key {last_key}" if last_key else ended.place
        bad_record(Place(shard.path, place).error(ended.reason, ended.detail))


def _pairs_of(sample: _Sample, file: BinaryIO, shard: Shard, image_path: str) -> list[Pair]:
    at = Place(shard.path, f"key {sample.key}")
    options = shard.options
    json_member, txt_member = sample.get("json"), sample.get("txt")
    fields = None if json_member is None else parse_object(_read(json_member, file, at), at)
    if options.text_column is None and txt_member is not None:
        texts = [("", _decode(_read(txt_member, file, at), at))]
    else:
        texts = _texts_of_json(fields, options.text_column, at)
    fields = fields or {}
    id_name = options.id_column or ID_NAME
    id_ = id_of(fields.get(id_name), id_name, at) if options.id_column or id_name in fields else None
    url = next((fields[name] for name in URL_NAMES if isinstance(fields.get(name), str)), None)
    image = sample.get("image")
    if image is not None:
        _check_image(image, file, at)
    pair = Pair(
        identity=f"{shard.name}#{sample.key}" if id_ is None else id_,
        key=sample.key,
        text="",
        url=url,
        image_path=None if image is None else image_path,
        image_offset=None if image is None else image.offset,
        image_size=None if image is None else image.size,
        extras=tuple(fields.get(name) for name in options.extra_columns),
    )
    pairs = list(with_texts(pair, texts))
    for each in pairs:
        check_unicode(at, text=each.text, id=each.identity, url=each.url)
    return pairs


def _texts_of_json(fields: dict[str, object] | None, text_column: str | None, at: Place) -> list[tuple[str, str]]:
    if fields is None:
        raise at.error("no_text", f"it has no text: the sample has no .{'txt and no .' * (text_column is None)}json")
    column = text_column or next((name for name in TEXT_NAMES if fields.get(name) is not None), None)
    if column is None:
        names = ", ".join(sorted(fields)) or "none"
        detail = (
            f"it has no text: no .txt, and no usual field in the .json, whose fields are: {names}; see --text-column"
        )
        raise at.error("no_text", detail.encode("utf-8", "backslashreplace").decode())
    return texts_of(fields.get(column), column, at)


def _read(member: Member, file: BinaryIO, at: Place) -> bytes:
    if member.size > MAX_TEXT_BYTES:
        detail = f"{member.name} has {member.size:,} bytes; at most {MAX_TEXT_BYTES:,} are read as text"
        raise at.error("text_too_long", detail)
    file.seek(member.offset)
    return file.read(member.size)


def _decode(data: bytes, at: Place) -> str:
    """The text exactly as it is, its line breaks too: img2dataset writes the bare caption, so nothing is to be cut."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise at.error("invalid_utf8", f"the text is not valid UTF-8 at its byte {error.start}") from error


def _check_image(image: Member, file: BinaryIO, at: Place) -> None:
    file.seek(image.offset)
    start = file.read(min(image.size, SIGNATURE_BYTES))
    if IMAGE_SIGNATURE.match(start) is None:
        raise at.error(
            "not_an_image", f"{image.name} ({image.size:,} bytes) is not a picture: it begins with {start!r}"
        )
