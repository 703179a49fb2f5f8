"""Globs, brace ranges, and files behind a URL."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_core.cli import main
from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.inputs import base_name, is_remote
from metaclip_core.metadata import load_metadata
from metaclip_core.pools import open_pool
from metaclip_core.pools.pictures import read_picture
from metaclip_core.run import open_run

from .builders import JPEG, read_pool, sample, write_tar
from .test_commoncrawl import IMG, response
from .test_zip_and_folder import FILES, zip_bytes

LINE = '{"text": "%s"}\n'


def names(paths: Any) -> list[str]:
    return [shard.name for shard in open_pool(paths)]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    for i in range(12):
        (tmp_path / f"{i:05d}.jsonl").write_text(LINE % i)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/x.jsonl").write_text(LINE % "x")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{00003..00005}.jsonl", ["00003.jsonl", "00004.jsonl", "00005.jsonl"]),
        ("{00002,00001}.jsonl", ["00002.jsonl", "00001.jsonl"]),
        ("0000[12].jsonl", ["00001.jsonl", "00002.jsonl"]),
        ("*1.jsonl", ["00001.jsonl", "00011.jsonl"]),
        ("{sub,.}/*[1x].jsonl", ["x.jsonl", "00001.jsonl", "00011.jsonl"]),
        ("**/x.jsonl", ["x.jsonl"]),
        ("s*", ["x.jsonl"]),
    ],
)
def test_patterns(lines: Path, pattern: str, expected: list[str]) -> None:
    assert names(f"{lines}/{pattern}") == expected


def test_patterns_that_can_not_be(lines: Path) -> None:
    with pytest.raises(PoolError, match=r"no\*\.jsonl: no file has a name of this pattern"):
        open_pool(f"{lines}/no*.jsonl")
    with pytest.raises(PoolError, match=r"00012\.jsonl: no such file or folder"):
        open_pool(f"{lines}/{{00011..00012}}.jsonl")
    with pytest.raises(SettingsError, match="the braces stand for more than 1,000,000 names"):
        open_pool(f"{lines}/{{0..99999999999}}.jsonl")


def test_a_name_with_braces_is_a_name_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "{a,b}*.jsonl").write_text(LINE % "x")
    assert names(tmp_path / "{a,b}*.jsonl") == ["{a,b}*.jsonl"]


NAMES = ["a.jpg", "d/../d/b.jpg", "../up.jpg", "/etc/passwd", "..", "", None]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_pictures_that_a_table_names_beside_itself(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"file_name": NAMES, "text": [f"text {i}" for i in range(len(NAMES))]})
    (tmp_path / "f/d").mkdir(parents=True)
    for picture in ("a.jpg", "d/b.jpg"):
        (tmp_path / "f" / picture).write_bytes(JPEG + picture.encode())
    write = {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}
    write[name.rpartition(".")[2]](tmp_path / "f" / name)
    rows, errors = read_pool(tmp_path / "f")
    assert errors == []
    assert [row["image_path"] for row in rows[2:]] == [None] * 5
    assert [read_picture(row["image_path"]) for row in rows[:2]] == [JPEG + b"a.jpg", JPEG + b"d/b.jpg"]


@pytest.mark.parametrize(
    ("path", "remote", "name"),
    [
        ("https://h/a/b.tar?x=1/2", True, "b.tar"),
        ("s3://bucket/a/b.parquet", True, "b.parquet"),
        ("hf://datasets/u/d/b.parquet", True, "b.parquet"),
        ("/a/b:c.tar", False, "b:c.tar"),
        (r"C:\pool\b.tar", False, "b.tar"),
        ("a//b.tar", False, "b.tar"),
    ],
)
def test_what_is_a_url(path: str, remote: bool, name: str) -> None:
    assert (is_remote(path), base_name(path)) == (remote, name)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files with ranges, as every object store serves them."""

    def send_head(self) -> Any:
        wanted = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            return super().send_head()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        size = path.stat().st_size
        start, stop = int(first), min(int(last or size - 1), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop}/{size}")
        self.send_header("Content-Length", str(stop - start + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.server.ranges.append((path.name, start, stop))  # type: ignore[attr-defined]
        if self.command == "GET":
            self.wfile.write(path.read_bytes()[start : stop + 1])
        return None

    def end_headers(self) -> None:
        if self.headers.get("Range") is None:
            self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[Any]]]:
    """(URL, folder, ranges that were asked for) of a server of a folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.ranges = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder, server.ranges  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def fill(folder: Path) -> None:
    write_tar(folder / "p.tar", sample("a", "of tar"))
    (folder / "p.jsonl").write_text(LINE % "of jsonl")
    (folder / "q.jsonl.gz").write_bytes(gzip.compress((LINE % "of gzip").encode(), mtime=0))
    (folder / "p.csv").write_text("text\nof csv\n")
    pq.write_table(pa.table({"text": ["of parquet"], "image": [JPEG + b"parquet"]}), folder / "p.parquet")
    (folder / "p.warc.gz").write_bytes(response(IMG))
    (folder / "p.zip").write_bytes(zip_bytes(FILES))


def test_every_format_is_read_from_a_server(served: tuple[str, Path, list[Any]], tmp_path: Path) -> None:
    url, folder, _ = served
    fill(folder)
    for path in sorted(folder.iterdir()):
        rows, errors = read_pool(f"{url}/{path.name}")
        local, _ = read_pool(path)
        assert errors == []
        assert [row["text"] for row in rows] == [row["text"] for row in local]
        assert [row["identity"] for row in rows] == [row["identity"] for row in local]
        for row, here in zip(rows, local, strict=True):
            if row["image_path"] is not None:
                assert row["image_path"].startswith(url)
                found = read_picture(row["image_path"], row["image_offset"], row["image_size"])
                assert found == read_picture(here["image_path"], here["image_offset"], here["image_size"])


def test_a_part_of_a_remote_file_is_asked_for(served: tuple[str, Path, list[Any]]) -> None:
    url, folder, ranges = served
    pictures = [(f"{i}.jpg", JPEG + bytes([i]) * 3_000_000) for i in range(3)]
    write_tar(folder / "p.tar", [m for name, data in pictures for m in ((name, data), (f"{name[0]}.txt", b"t"))])
    rows, _ = read_pool(f"{url}/p.tar")
    ranges.clear()
    assert read_picture(*(rows[1][f"image_{field}"] for field in ("path", "offset", "size"))) == pictures[1][1]
    assert sum(stop - start + 1 for _, start, stop in ranges) < (folder / "p.tar").stat().st_size


def test_a_remote_pool_is_curated(served: tuple[str, Path, list[Any]], tmp_path: Path) -> None:
    url, folder, _ = served
    for i in range(3):
        (folder / f"{i}.jsonl").write_text(LINE % f"a dog {i}")
    (folder / "m.txt").write_text("dog\n")
    arguments = ["curate", f"{url}/{{0..2}}.jsonl", "--metadata", f"mine={url}/m.txt", "--out", str(tmp_path / "run")]
    assert main([*arguments, "--workers", "1"]) == 0
    run = open_run(tmp_path / "run")
    assert (run.n_pairs, run.source_names) == (3, ("mine",))
    assert main([*arguments, "--workers", "1"]) == 0
    (folder / "1.jsonl").write_text(LINE % "another dog")
    assert main([*arguments, "--workers", "1"]) == 1


def test_a_metadata_is_read_from_a_server(served: tuple[str, Path, list[Any]]) -> None:
    url, folder, _ = served
    (folder / "metadata.json").write_text('["dog", "cat"]')
    assert load_metadata(f"{url}/metadata.json").entries == ["dog", "cat"]


def test_what_a_server_does_not_have(served: tuple[str, Path, list[Any]]) -> None:
    url, _, _ = served
    with pytest.raises(PoolError, match=r"/no\.tar: there is no such file, or no server"):
        open_pool(f"{url}/no.tar")
    with pytest.raises(PoolError, match=r"p\.tar: there is no such file, or no server that answers"):
        open_pool("http://127.0.0.1:9/p.tar")
    with pytest.raises(PoolError, match=r"nonsense://p\.tar: can't be reached: Protocol not known"):
        open_pool("nonsense://p.tar")


def test_a_remote_folder(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/pool/b/1.jsonl", (LINE % "one").encode())
    memory.pipe("/pool/a.jsonl", (LINE % "two").encode())
    memory.pipe("/pool/.hidden.jsonl", b"x")
    memory.pipe("/pool/w/0.jsonl", b"beside a tar")
    write_tar(tmp_path / "0.tar", sample("k", "three"))
    memory.pipe("/pool/w/0.tar", (tmp_path / "0.tar").read_bytes())
    try:
        rows, errors = read_pool("memory://pool")
        assert errors == []
        assert [(row["identity"], row["text"]) for row in rows] == [
            ("a.jsonl#0", "two"), ("b/1.jsonl#0", "one"), ("w/0.tar#k", "three")
        ]  # fmt: skip
        assert names("memory://pool/*.jsonl") == ["a.jsonl"]
        with pytest.raises(PoolError, match="no file in the folder has a known format"):
            open_pool("memory://pool/empty/")
    finally:
        memory.rm("/pool", recursive=True)
