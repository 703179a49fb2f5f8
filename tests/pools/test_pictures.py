"""Pictures read back by their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metaclip_core.errors import PoolError
from metaclip_core.pools import pictures
from metaclip_core.pools.pictures import read_picture


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "f").write_bytes(b"0123456789")
    return str(tmp_path / "f")


@pytest.mark.parametrize(
    ("offset", "size", "data"),
    [(2, 3, b"234"), (0, 10, b"0123456789"), (10, 0, b""), (None, None, b"0123456789"), (None, 10, b"0123456789")],
)
def test_bytes_by_place(path: str, offset: int | None, size: int | None, data: bytes) -> None:
    assert read_picture(path, offset, size) == data


@pytest.mark.parametrize(
    ("offset", "size", "message"),
    [
        (8, 3, "ends 1 bytes before its picture at byte 8 does"),
        (20, 3, "ends 3 bytes before"),
        (None, 11, "ends 1 bytes before"),
        (0, 10**9, r"a picture of 1,000,000,000 bytes; at most 134,217,728"),
        (-1, 3, "can't have the offset -1"),
        (1, -3, "can't have the offset 1 and the size -3"),
        (1, None, "can't have the offset 1 and the size None"),
        (2**70, 3, "can't be read"),
    ],
)
def test_places_that_are_not_there(path: str, offset: int | None, size: int | None, message: str) -> None:
    with pytest.raises(PoolError, match=f"^{re.escape(path)}: .*{message}"):
        read_picture(path, offset, size)


def test_a_whole_file_has_a_limit_too(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PICTURE_BYTES", 9)
    assert read_picture(path, 1, 9) == b"123456789"
    with pytest.raises(PoolError, match="a picture of 10 bytes; at most 9 are read"):
        read_picture(path)


@pytest.mark.parametrize(
    ("name", "message"), [("gone", "the file is gone"), (".", "not a file"), ("a\0b", "gone|read")]
)
def test_files_that_are_not_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(PoolError, match=message):
        read_picture(f"{tmp_path}/{name}", 0, 1)
