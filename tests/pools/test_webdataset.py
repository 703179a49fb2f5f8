"""Tars: what is a sample, what is in a pair, and what a bad one is called."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from metaclip_core.errors import PoolError
from metaclip_core.pools import ReadOptions, open_pool, pairs, read_shard, record, tar
from metaclip_core.pools.pictures import read_picture

from .builders import JPEG, assert_bad, assert_bad_file, link, pair, read_pool, sample, tar_bytes, write_tar

BLOCK = 512


def write_good(path: Path) -> Path:
    return write_tar(path, sample("g"))


def test_a_sample_in_img2dataset_layout_is_a_pair(tmp_path: Path) -> None:
    fields = {"uid": "f00d", "url": "https://x/1.jpg", "caption": "of the json", "key": "000"}
    members = [("000.jpg", JPEG), ("000.txt", b"a dog\n"), ("000.json", json.dumps(fields).encode())]
    path = write_tar(tmp_path / "00000.tar", [*members, *sample("001", "a cat", None)])
    rows, errors = read_pool(path)
    assert errors == []
    assert rows == [
        {
            "identity": "f00d",
            "key": "000",
            "text": "a dog\n",
            "url": "https://x/1.jpg",
            "image_path": str(path),
            "image_offset": BLOCK,
            "image_size": len(JPEG),
        },
        pair("00000.tar#001", "001", "a cat"),
    ]


def test_one_tar_is_one_shard_named_below_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pool/part").mkdir(parents=True)
    path = write_good(tmp_path / "pool/part/0.tar")
    monkeypatch.chdir(tmp_path)
    (shard,) = open_pool("pool")
    assert (shard.format, shard.name, shard.path) == ("webdataset", "part/0.tar", str(path))
    assert (shard.start, shard.stop, shard.size_bytes) == (0, None, path.stat().st_size)
    rows, _ = read_pool("pool")
    assert (rows[0]["identity"], rows[0]["image_path"]) == ("part/0.tar#g", str(path))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param([("a.txt", b"x"), ("b.txt", b"y")], [("a", "x"), ("b", "y")], id="two keys"),
        pytest.param([("a.txt", b"")], [("a", "")], id="an empty text is a text"),
        pytest.param(
            [("d/a.b.jpg", JPEG), ("d/a.txt", b"x")], [("d/a", "x")], id="up to the first dot of the base name"
        ),
        pytest.param([("d.e/a.txt", b"x")], [("d.e/a", "x")], id="a dot in the folder"),
        pytest.param([("a.TXT", b"x")], [("a", "x")], id="an upper-case extension"),
        pytest.param([("../../a.txt", b"x")], [("../../a", "x")], id="a name that climbs out is only a name"),
        pytest.param([("/a.txt", b"x")], [("/a", "x")], id="an absolute name"),
        pytest.param([("é.txt", "ü".encode())], [("é", "ü")], id="not ASCII"),
        pytest.param([("a.txt", b"x\r\n")], [("a", "x\r\n")], id="the text is kept exactly"),
        pytest.param(
            [("a.txt", b"x"), ("b.txt", b"y"), ("a.txt", b"z")], [("a", "x"), ("b", "y"), ("a", "z")], id="a key again"
        ),
        pytest.param(
            [("a.txt", b"x"), ("a.txt", b"y")], [("a", "x"), ("a", "y")], id="an extension again: a new sample"
        ),
        pytest.param(
            [("a.jpg", JPEG), ("README", b"no"), ("._a.jpg", b"mac"), ("a.txt", b"x")], [("a", "x")], id="no samples"
        ),
        pytest.param([("a.de.txt", b"y"), ("a.txt", b"x")], [("a", "x")], id="txt before de.txt"),
        pytest.param([("a.en.txt", b"x"), ("a.de.txt", b"y")], [("a", "x")], id="else the first"),
        pytest.param([("a.json", b'{"caption": "x"}')], [("a", "x")], id="the text of the json"),
        pytest.param(
            [("a.json", b'{"text": null, "caption": "x"}')], [("a", "x")], id="the first usual name with a value"
        ),
        pytest.param([("a.cls", b"7"), ("a.txt", b"x")], [("a", "x")], id="other extensions are nothing to us"),
        pytest.param([("x" * 300 + ".txt", b"x")], [("x" * 300, "x")], id="a long name"),
    ],
)
@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples(
    tmp_path: Path, members: list[tuple[str, bytes]], expected: list[tuple[str, str]], layout: int
) -> None:
    if layout == tarfile.USTAR_FORMAT and len(members[0][0]) > 255:
        pytest.skip("ustar has no names of this length")
    rows, errors = read_pool(write_tar(tmp_path / "0.tar", members, format=layout))
    assert errors == []
    assert [(row["key"], row["text"]) for row in rows] == expected
    assert [row["identity"] for row in rows] == [f"0.tar#{key}" for key, _ in expected]


def test_a_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("é.txt"))
    rows, errors = read_pool(path)
    assert errors == []
    assert rows == [pair("0.tar#\\xe9", "\\xe9", "")]


def test_named_columns_win(tmp_path: Path) -> None:
    fields = {"uid": "u", "sha": 17, "alt": "of alt"}
    path = write_tar(tmp_path / "0.tar", [("a.txt", b"of txt"), ("a.json", json.dumps(fields).encode())])
    rows, _ = read_pool(path)
    assert rows == [pair("u", "a", "of txt")]
    rows, _ = read_pool(path, options=ReadOptions(text_column="alt", id_column="sha"))
    assert rows == [pair("17", "a", "of alt")]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_text_that_is_no_regular_file_is_no_text(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    members = [("a.jpg", JPEG), ("a.txt", link(kind, str(secret))), *sample("b", "good")]
    assert_bad(write_tar(tmp_path / "0.tar", members), [("key a", "no_text")], ["good"])


BAD_SAMPLES = [
    pytest.param([("a.jpg", JPEG)], "no_text", None, id="only a picture"),
    pytest.param([("a.json", b'{"width": 3}')], "no_text", None, id="no usual field"),
    pytest.param([("a.json", b'{"caption": null}')], "no_text", None, id="a null text"),
    pytest.param([("a.json", b'{"caption": 3}')], "text_not_string", None, id="a number as text"),
    pytest.param([("a.txt", b"x")], "no_text", ReadOptions(text_column="alt"), id="a named text and no json"),
    pytest.param([("a.txt", b"x"), ("a.json", b"{}")], "no_text", ReadOptions(text_column="alt"), id="no such field"),
    pytest.param([("a.txt", b"caf\xe9")], "invalid_utf8", None, id="a text in latin-1"),
    pytest.param([("a.json", b'{"text": "caf\xe9"}')], "invalid_utf8", None, id="a json in latin-1"),
    pytest.param([("a.json", b'{"text": "\\ud800"}')], "invalid_utf8", None, id="a lone surrogate"),
    pytest.param([("a.txt", b"x"), ("a.json", b"{")], "invalid_json", None, id="a broken json"),
    pytest.param([("a.txt", b"x"), ("a.json", b"")], "invalid_json", None, id="an empty json"),
    pytest.param([("a.txt", b"x"), ("a.json", b"[1]")], "invalid_json", None, id="a json that is a list"),
    pytest.param([("a.txt", b"x"), ("a.json", b"[" * 99_999)], "invalid_json", None, id="a deep json"),
    pytest.param([("a.json", b'{"text": ' + b"9" * 9999 + b"}")], "invalid_json", None, id="a very long number"),
    pytest.param([("a.txt", b"x"), ("a.json", b'{"uid": null}')], "no_id", None, id="a null uid"),
    pytest.param([("a.txt", b"x"), ("a.json", b'{"uid": ""}')], "no_id", None, id="an empty uid"),
    pytest.param([("a.txt", b"x"), ("a.json", b'{"uid": true}')], "no_id", None, id="a uid that is no name"),
    pytest.param([("a.txt", b"x"), ("a.json", b"{}")], "no_id", ReadOptions(id_column="id"), id="no such id"),
    pytest.param([("a.jpg", b"<html>"), ("a.txt", b"x")], "not_an_image", None, id="a page"),
    pytest.param([("a.png", b""), ("a.txt", b"x")], "not_an_image", None, id="an empty picture"),
    pytest.param([("a.webp", b"RIFF1234WAVE"), ("a.txt", b"x")], "not_an_image", None, id="a sound"),
]


@pytest.mark.parametrize(("members", "reason", "options"), BAD_SAMPLES)
def test_bad_samples(
    tmp_path: Path, members: list[tuple[str, bytes]], reason: str, options: ReadOptions | None
) -> None:
    neighbour = [("b.json", b'{"alt": "good", "id": 1, "uid": 1}')]
    path = write_tar(tmp_path / "0.tar", [*members, *neighbour])
    assert_bad(path, [("key a", reason)], ["good"], options)


@pytest.mark.parametrize("extension", ["txt", "json"])
def test_a_text_of_many_bytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    monkeypatch.setattr("metaclip_core.pools.samples.MAX_TEXT_BYTES", 100)
    content = {"txt": [b"x" * 100, b"x" * 101], "json": [b'{"text":"' + b"x" * n + b'"}' for n in (89, 90)]}[extension]
    path = write_tar(tmp_path / "0.tar", [(f"a.{extension}", content[0]), (f"b.{extension}", content[1])])
    assert_bad(path, [("key b", "text_too_long")], ["x" * (100 if extension == "txt" else 89)])
    assert pairs.MAX_TEXT_BYTES == 16 * 2**20


THREE = [*sample("a", "x"), *sample("b", "y"), *sample("c", "z")]  # 512 header + 512 data each: 2,048 bytes a sample


@pytest.mark.parametrize(
    ("n_bytes", "texts", "place"),
    [
        pytest.param(2 * 2048 + 1024 + 512, ["x", "y"], "after key b", id="before the last text's bytes"),
        pytest.param(2 * 2048 + 512 + 30, ["x", "y"], "after key b", id="within the last picture"),
        pytest.param(2 * 2048 + 1024 + 100, ["x", "y"], "after key b", id="within a header"),
        pytest.param(2048 + 1024, ["x"], "after key a", id="between two members of a sample"),
        pytest.param(3 * 2048, ["x", "y"], "after key b", id="no end mark"),
        pytest.param(3 * 2048 - 400, ["x", "y"], "after key b", id="within the padding"),
        pytest.param(3 * 2048 + 100, ["x", "y"], "after key b", id="within the end mark"),
    ],
)
def test_a_cut_tar_keeps_what_is_whole(tmp_path: Path, n_bytes: int, texts: list[str], place: str) -> None:
    path = tmp_path / "0.tar"
    path.write_bytes(tar_bytes(THREE)[:n_bytes])
    assert_bad(path, [(place, "truncated")], texts)


def test_one_zero_block_is_end_enough(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    path.write_bytes(tar_bytes(THREE)[: 3 * 2048 + 512])
    rows, errors = read_pool(path)
    assert ([row["text"] for row in rows], errors) == (["x", "y", "z"], [])


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_cut_in_a_long_name(tmp_path: Path, layout: int) -> None:
    whole = tar_bytes([*sample("a", "x"), ("y" * 300 + ".txt", b"y")], format=layout)
    path = tmp_path / "0.tar"
    for n_bytes in (2048 + 512, 2048 + 600, 2048 + 1024):
        path.write_bytes(whole[:n_bytes])
        rows, errors = read_pool(path)
        assert [error.reason for error in errors] == ["truncated"]
        assert rows == []  # sample a may go on behind the cut


def test_a_damaged_header(tmp_path: Path) -> None:
    data = bytearray(tar_bytes(THREE))
    data[2048 + 3] ^= 1  # in the name of b.jpg: the checksum tells
    path = tmp_path / "0.tar"
    path.write_bytes(data)
    rows, errors = read_pool(path)
    assert [error.reason for error in errors] == ["invalid_header"]
    assert "byte 2,048" in errors[0].detail
    assert rows == []


def test_a_size_that_leads_back_ends_the_tar(tmp_path: Path) -> None:
    good, size = tarfile.TarInfo("a.txt"), -1024
    good.size = 0
    header = bytearray(good.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" + (2**88 + size).to_bytes(11, "big")
    checksum = sum(header) - sum(header[148:156]) + 8 * 32
    header[148:156] = b"%06o\0 " % checksum
    path = tmp_path / "0.tar"
    path.write_bytes(tar_bytes(sample("g"))[:2048] + header + bytes(10240))
    _, (error,) = read_pool(path)
    assert error.reason == "invalid_header"
    assert "its size is -1024" in error.detail


def test_a_header_of_many_bytes_is_not_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [*THREE, ("n" * (tar.MAX_HEADER_BYTES + 1), b"")], format=tarfile.GNU_FORMAT)
    assert_bad(path, [("after key b", "invalid_header")], ["x", "y"])


def test_tars_put_one_behind_the_other_are_not_cut_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    path.write_bytes(tar_bytes(sample("a", "x")) + tar_bytes(sample("b", "y")))
    assert_bad(path, [("after key a", "data_after_end")], ["x"])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bad.tar", b"no tar at all" * 100, "unreadable_file"),
        ("bad.tar", b"short", "unreadable_file"),
        ("bad.tar", tar_bytes(THREE)[:550], "truncated"),
        ("bad.tar", b"\x1f\x8b" + bytes(600), "compressed_tar"),
        ("bad.tar", b"", "empty_file"),
    ],
)
def test_a_file_that_is_no_tar(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert_bad_file(tmp_path, name, "", reason, write_good)


@pytest.mark.parametrize("extension", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_refused_with_the_reason(tmp_path: Path, extension: str) -> None:
    with tarfile.open(tmp_path / f"a.tar.{extension}", f"w:{extension}") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    with pytest.raises(PoolError, match=rf"a\.tar\.{extension}: the tar is compressed \(.*unpack it first"):
        open_pool(tmp_path)


def test_a_tar_without_members_has_no_shard(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("folder", link(tarfile.DIRTYPE))])
    with pytest.raises(PoolError, match="the pool is empty"):
        open_pool(tmp_path)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    path = write_tar(tmp_path / "0.tar", [member for i in range(7) for member in sample(f"{i}", f"t{i}")])
    whole = read_pool(path)
    monkeypatch.setattr(record, "BATCH_SIZE", size)
    assert read_pool(path) == whole
    assert len(whole[0]) == 7


def test_memory_does_not_grow_with_the_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "BATCH_SIZE", 256)
    n_samples = 10_000
    path = tmp_path / "0.tar"
    block = tar_bytes(sample("0"))[:2048]
    path.write_bytes(block * n_samples + bytes(1024))  # each a.jpg begins a new sample
    (shard,) = open_pool(path)
    tracemalloc.start()
    try:
        n_read = sum(batch.num_rows for batch in read_shard(shard))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_read == n_samples
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize("extension", ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"])
def test_pictures_are_found_by_their_place(tmp_path: Path, extension: str) -> None:
    buffer = io.BytesIO()
    format_name = {"jpg": "jpeg", "tif": "tiff"}.get(extension, extension)
    Image.new("RGB", (5, 4), (200, 10, 10)).save(buffer, format=format_name)
    members = [("a.txt", b"x"), (f"a.mask.{extension}", JPEG), (f"a.{extension}", buffer.getvalue())]
    (row,), errors = read_pool(write_tar(tmp_path / "0.tar", members))
    assert errors == []
    data = read_picture(row["image_path"], row["image_offset"], row["image_size"])
    assert data == buffer.getvalue()
    assert Image.open(io.BytesIO(data)).size == (5, 4)


def test_the_real_tar(shared_data: Path) -> None:
    path = shared_data / "data/wds/xm3600_00000.tar"
    rows, errors = read_pool(path.parent)  # with a table of attributions beside the tar
    assert errors == []
    assert len(rows) == 900
    assert [row["identity"] for row in rows] == [f"{path.name}#{i:09}" for i in range(900)]
    assert rows[0]["text"] == "Chicken friends on hike to fortress in Lopud"
    assert all(row["url"].startswith("https://") for row in rows)
    for row in rows:
        with Image.open(io.BytesIO(read_picture(row["image_path"], row["image_offset"], row["image_size"]))) as picture:
            picture.load()
            assert picture.format == "JPEG"


def test_a_tar_that_is_gone_when_it_is_read(tmp_path: Path) -> None:
    (shard,) = open_pool(write_good(tmp_path / "0.tar"))
    os.remove(shard.path)
    errors: list[Exception] = []
    assert list(read_shard(shard, errors.append)) == []
    assert [getattr(error, "reason", None) for error in errors] == ["unreadable_file"]


def test_several_texts_and_extra_columns_of_the_json(tmp_path: Path) -> None:
    """As MetaCLIP's authors keep their shards: `texts` holds [field, text]."""
    fields = {"texts": [["alt", "a"], ["title", "b"]], "similarity": 0.5}
    path = write_tar(tmp_path / "0.tar", [("k.jpg", JPEG), ("k.json", json.dumps(fields).encode())])
    (shard,) = open_pool(path, options=ReadOptions(extra_columns=("similarity",)))
    (batch,) = read_shard(shard)
    assert [(row["identity"], row["text"], row["similarity"]) for row in batch.to_pylist()] == [
        ("0.tar#k/0/alt", "a", 0.5), ("0.tar#k/1/title", "b", 0.5)
    ]  # fmt: skip
    assert batch["image_offset"].to_pylist() == [BLOCK, BLOCK]
