"""A sample: the files of one key, `KEY.jpg KEY.txt KEY.json`, wherever they lie, and the pairs that it gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from metaclip_core.pools.columns import ID_NAME, TEXT_NAMES, URL_NAMES
from metaclip_core.pools.pairs import (
    MAX_TEXT_BYTES,
    Pair,
    Place,
    check_unicode,
    id_of,
    parse_object,
    texts_of,
    with_texts,
)
from metaclip_core.pools.record import Shard

__all__ = ["IMAGE_EXTENSIONS", "NAME", "Files", "Sample", "grouped", "kind_of", "sample_pairs"]

IMAGE_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})

NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
"""WebDataset's rule: the key is the path up to the first dot of the base name, the rest the extension."""

_IMAGE_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM|II[*+]\x00|MM\x00[*+]", re.DOTALL
)
_SIGNATURE_BYTES = 12


class Member(Protocol):
    """A file of a sample."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...


class Files(Protocol):
    """Where samples lie."""

    def read(self, member: Any, n_bytes: int, at: Place) -> bytes:
        """The first bytes of a file, as many at most."""
        ...

    def picture(self, member: Any) -> tuple[str, int | None, int | None]:
        """A picture's place: image_path, image_offset, image_size."""
        ...


@dataclass
class Sample:
    """The files that share a key; of each kind (image, txt, json) the one that counts, by (member, extension)."""

    key: str
    members: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def takes(self, key: str, extension: str) -> bool:
        """Whether the file is of this sample: an extension that it has already begins another of the same key."""
        taken = self.members.get(kind_of(extension))
        return key == self.key and (taken is None or taken[1] != extension)

    def add(self, member: Any, extension: str) -> None:
        """The first file of a kind counts, but `jpg` before `mask.jpg` wherever they stand."""
        kind = kind_of(extension)
        taken = self.members.get(kind)
        if kind and (taken is None or ("." in taken[1] and "." not in extension)):
            self.members[kind] = (member, extension)

    def get(self, kind: str) -> Any:
        return self.members[kind][0] if kind in self.members else None


def grouped(files: Iterable[tuple[str, str, Any]]) -> Iterator[Sample]:
    """The samples of (key, extension, member) in order: a sample's files stand together."""
    sample: Sample | None = None
    for key, extension, member in files:
        if sample is None or not sample.takes(key, extension):
            if sample is not None:
                yield sample
            sample = Sample(key)
        sample.add(member, extension)
    if sample is not None:
        yield sample


def kind_of(extension: str) -> str:
    """`image`, `txt` or `json`; empty for another."""
    last = extension.rpartition(".")[2]
    if last in IMAGE_EXTENSIONS:
        return "image"
    return last if last in ("txt", "json") else ""


def sample_pairs(sample: Sample, files: Files, shard: Shard) -> list[Pair]:
    """The pairs of a sample: one, or one a text. Raises RecordError."""
    at = Place(shard.path, f"key {sample.key}")
    options = shard.options
    json_member, txt_member = sample.get("json"), sample.get("txt")
    fields = None if json_member is None else parse_object(_read(json_member, files, at), at)
    if options.text_column is None and txt_member is not None:
        texts = [("", _decode(_read(txt_member, files, at), at))]
    else:
        texts = _texts_of_json(fields, options.text_column, at)
    fields = fields or {}
    id_name = options.id_column or ID_NAME
    id_ = id_of(fields.get(id_name), id_name, at) if options.id_column or id_name in fields else None
    url = next((fields[name] for name in URL_NAMES if isinstance(fields.get(name), str)), None)
    image = sample.get("image")
    if image is not None:
        _check_image(image, files, at)
    image_path, image_offset, image_size = (None, None, None) if image is None else files.picture(image)
    pair = Pair(
        identity=f"{shard.name}#{sample.key}" if id_ is None else id_,
        key=sample.key,
        text="",
        url=url,
        image_path=image_path,
        image_offset=image_offset,
        image_size=image_size,
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


def _read(member: Member, files: Files, at: Place) -> bytes:
    if member.size > MAX_TEXT_BYTES:
        detail = f"{member.name} has {member.size:,} bytes; at most {MAX_TEXT_BYTES:,} are read as text"
        raise at.error("text_too_long", detail)
    return files.read(member, MAX_TEXT_BYTES, at)


def _decode(data: bytes, at: Place) -> str:
    """The text exactly as it is, its line breaks too: img2dataset writes the bare caption, so nothing is to be cut."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise at.error("invalid_utf8", f"the text is not valid UTF-8 at its byte {error.start}") from error


def _check_image(image: Member, files: Files, at: Place) -> None:
    start = files.read(image, _SIGNATURE_BYTES, at)
    if _IMAGE_SIGNATURE.match(start) is None:
        raise at.error(
            "not_an_image", f"{image.name} ({image.size:,} bytes) is not a picture: it begins with {start!r}"
        )
