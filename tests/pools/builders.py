"""Pools made by hand, and the one way in which the tests here read them: through the registry, checked."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metaclip_core.errors import RecordError
from metaclip_core.pools import PAIR_SCHEMA, ReadOptions, open_pool, read_shard, record

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)

Row = dict[str, Any]


def read_pool(
    paths: Any, *, options: ReadOptions | None = None, format: str = "auto"
) -> tuple[list[Row], list[RecordError]]:
    """The pairs and the bad records of a pool under the policy that skips."""
    errors: list[RecordError] = []
    rows: list[Row] = []
    for shard in open_pool(paths, format=format, options=options or ReadOptions(), bad_record=errors.append):
        for batch in read_shard(shard, errors.append):
            assert isinstance(batch, pa.RecordBatch)
            assert batch.schema.equals(PAIR_SCHEMA, check_metadata=True)
            assert 0 < batch.num_rows <= record.BATCH_SIZE
            batch.validate(full=True)
            rows += batch.to_pylist()
    return rows, errors


def read_strictly(paths: Any, **settings: Any) -> None:
    """Reads all under the policy that raises."""
    for shard in open_pool(paths, **settings):
        for _ in read_shard(shard):
            pass


def assert_bad(
    path: Path, expected: Sequence[tuple[str, str]], texts: Sequence[str], options: ReadOptions | None = None
) -> None:
    """The file gives these (place, reason) and still these texts; and the first error is raised when it should be."""
    rows, errors = read_pool(path, options=options)
    assert [(error.place, error.reason) for error in errors] == list(expected)
    assert {error.path for error in errors} == {os.path.abspath(path)}
    assert [row["text"] for row in rows] == list(texts)
    assert_raises_first(path, expected[0], options)


def assert_bad_file(folder: Path, name: str, place: str, reason: str, neighbour: Callable[[Path], object]) -> None:
    """The file is one bad record, and its neighbour (written here, with the one text "good") is read."""
    neighbour(folder / f"good{''.join(Path(name).suffixes)}")
    rows, errors = read_pool(folder)
    assert [(error.path, error.place, error.reason) for error in errors] == [(str(folder / name), place, reason)]
    assert [row["text"] for row in rows] == ["good"]
    assert_raises_first(folder / name, (place, reason))


def assert_raises_first(path: Path, expected: tuple[str, str], options: ReadOptions | None = None) -> None:
    place, reason = expected
    where = re.escape(f"{path}, {place}: " if place else f"{path}: ")
    with pytest.raises(RecordError, match=f"^{where}.+--on-error skip") as caught:
        read_strictly(path, options=options or ReadOptions())
    assert caught.value.reason == reason


def write_tar(path: Path, members: Sequence[tuple[str, bytes | tarfile.TarInfo]], **settings: Any) -> Path:
    """A tar of (name, content) in this order; a TarInfo as content is written as it is, without bytes."""
    path.write_bytes(tar_bytes(members, **settings))
    return path


def tar_bytes(members: Sequence[tuple[str, bytes | tarfile.TarInfo]], **settings: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **settings) as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = kind
    info.linkname = target
    return info


def sample(key: str, text: str | None = "good", image: bytes | None = JPEG) -> list[tuple[str, bytes]]:
    members = [(f"{key}.jpg", image)] if image is not None else []
    return members + ([(f"{key}.txt", text.encode())] if text is not None else [])


def pair(identity: str, key: str, text: str, url: str | None = None) -> Row:
    """A row without a picture."""
    image = {"image_path": None, "image_offset": None, "image_size": None}
    return {"identity": identity, "key": key, "text": text, "url": url, **image}
