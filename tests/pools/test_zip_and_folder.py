"""Samples in zip archives and in folders: the same pairs as in a tar, and what a bad one is called."""

from __future__ import annotations

import io
import json
import os
import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from metaclip_core.errors import PassedOver, PoolError, RecordError
from metaclip_core.pools import open_pool
from metaclip_core.pools.pictures import read_picture

from .builders import JPEG, assert_bad, pair, read_pool, read_strictly, write_tar

FILES = {
    "a.jpg": JPEG + b"a",
    "a.txt": b"a dog",
    "a.json": b'{"url": "u/a", "uid": "id-a"}',
    "b.png": b"\x89PNG\r\n\x1a\n",
    "b.json": b'{"caption": "a cat", "similarity": 0.5}',
    "d/c.jpg": JPEG + b"c",
    "d/c.txt": "é".encode(),
}


def zip_bytes(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize("kind", ["stored", "deflated", "folder"])
def test_the_pairs_are_those_of_a_tar(tmp_path: Path, kind: str) -> None:
    tar_rows, _ = read_pool(write_tar(tmp_path / "pool.tar", list(FILES.items())))
    if kind == "folder":
        rows, errors = read_pool(write_folder(tmp_path / "pool", FILES))
        identities = ["id-a", "pool#b", "d#c"]
    else:
        compression = zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
        (tmp_path / "pool.zip").write_bytes(zip_bytes(FILES, compression))
        rows, errors = read_pool(tmp_path / "pool.zip")
        identities = ["id-a", "pool.zip#b", "pool.zip#d/c"]
    assert errors == []
    assert [row["identity"] for row in rows] == identities
    assert [(row["text"], row["url"]) for row in rows] == [(row["text"], row["url"]) for row in tar_rows]
    pictures = [read_picture(row["image_path"], row["image_offset"], row["image_size"]) for row in rows]
    assert pictures == [FILES["a.jpg"], FILES["b.png"], FILES["d/c.jpg"]]


def test_a_pool_of_zips(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.zip").write_bytes(zip_bytes({f"{i}.txt": b"t"}))
    rows, errors = read_pool(tmp_path)
    assert (rows, errors) == ([pair(f"{i}.zip#{i}", f"{i}", "t") for i in range(3)], [])


def test_a_zip_of_shards_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(zip_bytes({"00000.tar": b"x", "00001.tar": b"y"}))
    with pytest.raises(RecordError, match=r"no picture or text in it, but '00000\.tar'; unpack it") as caught:
        open_pool(tmp_path / "p.zip")
    assert caught.value.reason == "no_sample"


@pytest.mark.parametrize("content", [b"PK no zip", b"\0" * 100, zip_bytes(FILES)[:-40], zip_bytes(FILES)[100:]])
def test_a_file_that_is_no_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.zip").write_bytes(content)
    with pytest.raises(RecordError, match=r"p\.zip.*: .*can't be read"):
        read_strictly(tmp_path / "p.zip")


def test_damage_in_a_zip_costs_its_sample(tmp_path: Path) -> None:
    content = zip_bytes({"a.txt": b"x" * 50, "b.txt": b"good"})
    damaged = content.replace(b"x" * 50, b"x" * 49 + b"y", 1)
    (tmp_path / "p.zip").write_bytes(damaged)
    assert_bad(tmp_path / "p.zip", [("key a", "unreadable_member")], ["good"])


def test_an_encrypted_member(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"a.txt": b"x", "b.txt": b"good"}))
    content[6] |= 1  # the flag, in the local header
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    (tmp_path / "p.zip").write_bytes(content)
    assert_bad(tmp_path / "p.zip", [("key a", "unreadable_member")], ["good"])


def test_names_that_climb_out_and_links_of_a_zip(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../up.txt", "text")
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "p.zip").write_bytes(buffer.getvalue())
    rows, errors = read_pool(tmp_path / "p.zip")
    assert ([(row["key"], row["text"]) for row in rows], errors) == ([("../../up", "text")], [])
    assert [path.name for path in tmp_path.rglob("*")] == ["p.zip"]


def test_a_zip_bomb_costs_no_memory(tmp_path: Path) -> None:
    files = {"a.txt": b"x" * (200 << 20), "b.jpg": JPEG + bytes(200 << 20), "b.txt": b"good"}
    (tmp_path / "p.zip").write_bytes(zip_bytes(files, zipfile.ZIP_DEFLATED))
    assert (tmp_path / "p.zip").stat().st_size < 1 << 20
    del files
    tracemalloc.start()
    try:
        rows, errors = read_pool(tmp_path / "p.zip")
        with pytest.raises(PoolError, match="more than 134,217,728 bytes"):
            read_picture(rows[0]["image_path"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [error.reason for error in errors] == ["text_too_long"]
    assert peak < 300 << 20


# ---- folders


def test_a_folder_needs_a_text_beside_a_picture(tmp_path: Path) -> None:
    write_folder(tmp_path, {"plots/a.png": b"\x89PNG", "plots/notes.txt": b"x", "p/t.jsonl": b'{"text": "a"}\n'})
    assert [shard.format for shard in open_pool(tmp_path)] == ["jsonl"]
    with pytest.raises(PoolError, match="no file in the folder has a known format"):
        open_pool(tmp_path / "plots")


def test_pictures_beside_a_table_are_the_tables(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a.jpg": JPEG, "a.txt": b"x", "metadata.csv": b"file_name,text\na.jpg,y\n"})
    rows, _ = read_pool(tmp_path)
    assert [row["text"] for row in rows] == ["y"]
    rows, _ = read_pool(tmp_path, format="folder")
    assert [row["text"] for row in rows] == ["x"]


def test_what_a_folder_holds_beside_pairs(tmp_path: Path) -> None:
    write_folder(
        tmp_path / "f",
        {
            "README.txt": b"about",
            ".hidden.jpg": JPEG,
            "a.v2.jpg": JPEG,
            "a.v2.txt": b"two dots",
            "lonely.jpg": JPEG,
            "other.dat": b"x",
            "s.jpg": JPEG,
            "s.txt": b"\xff",
            "x.jpg": b"no picture",
            "x.txt": b"x",
        },
    )
    rows, errors = read_pool(tmp_path / "f")
    assert [(row["identity"], row["text"]) for row in rows] == [("f#a.v2", "two dots")]
    assert [(error.place, error.reason, type(error)) for error in errors] == [
        ("key README", "no_picture", PassedOver),
        ("key lonely", "no_text", RecordError),
        ("key s", "invalid_utf8", RecordError),
        ("key x", "not_an_image", RecordError),
    ]


def test_links_that_lead_out_of_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, {"f/a.jpg": JPEG, "f/b.jpg": JPEG, "f/b.txt": b"good", "secret.txt": b"secret"})
    try:
        os.symlink(tmp_path / "secret.txt", tmp_path / "f/a.txt")
        os.symlink("b.txt", tmp_path / "f/c.txt")
        os.symlink("b.jpg", tmp_path / "f/c.jpg")
    except OSError:
        pytest.skip("no symbolic links here")
    assert_bad(tmp_path / "f", [("key a", "link_outside")], ["good", "good"])


def test_the_json_of_a_sample_in_a_folder(tmp_path: Path) -> None:
    fields = {"captions": ["one", "two"], "url": "u"}
    write_folder(tmp_path / "f", {"a.jpg": JPEG, "a.json": json.dumps(fields).encode()})
    rows, _ = read_pool(tmp_path / "f")
    assert [(row["identity"], row["text"], row["url"]) for row in rows] == [
        ("f#a/0", "one", "u"),
        ("f#a/1", "two", "u"),
    ]
