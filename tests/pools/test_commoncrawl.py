"""WARC and WAT files: which pictures of a page are pairs, and what a damaged file costs."""

from __future__ import annotations

import gzip
import html.parser
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from metaclip_core.cli import main
from metaclip_core.errors import PassedOver, RecordError
from metaclip_core.pools import open_pool, read_shard, warcfile
from metaclip_core.pools.webpage import decode_page
from metaclip_core.run import open_run

from .builders import pair, read_pool, read_strictly

URL = "https://site.example/a/page.html"
IMG = '<img src="x.jpg" alt="a dog">'


def member(kind: str, content: bytes, content_type: str, *, gzip_: bool = True) -> bytes:
    """A record; as one gzip member, as CommonCrawl writes it, unless told otherwise."""
    headers = {
        "WARC-Type": kind,
        "WARC-Target-URI": URL,
        "WARC-Record-ID": "<urn:uuid:2aabeff2-67f5-4608-8466-e87c6296e2b6>",
        "Content-Type": content_type,
        "Content-Length": str(len(content)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    record = f"WARC/1.0\r\n{lines}\r\n".encode() + content + b"\r\n\r\n"
    return gzip.compress(record, mtime=0) if gzip_ else record


def response(
    html: str | bytes, content_type: str | None = "text/html; charset=utf-8", *more: str, **settings: Any
) -> bytes:
    lines = ["HTTP/1.1 200 OK", *([f"Content-Type: {content_type}"] if content_type is not None else []), *more]
    content = html.encode() if isinstance(html, str) else html
    head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return member("response", head.encode() + content, "application/http; msgtype=response", **settings)


def wat(links: Any, *, base: str | None = None, kind: str = "response") -> bytes:
    page: dict[str, Any] = {"Links": links} if base is None else {"Head": {"Base": base}, "Links": links}
    return envelope({"HTTP-Response-Metadata": {"HTML-Metadata": page}}, kind)


def envelope(payload: Any, kind: str = "response") -> bytes:
    document = {"Envelope": {"Payload-Metadata": payload, "WARC-Header-Metadata": {"WARC-Type": kind}}}
    return member("metadata", json.dumps(document).encode(), "application/json")


def read_file(path: Path, content: bytes) -> tuple[list[tuple[str, str, str]], Counter[str]]:
    """((place without the offset, text, url) of each pair, reasons) of a file with this content."""
    path.write_bytes(content)
    rows, errors = read_pool(path)
    return [(row["key"].partition("/")[2], row["text"], row["url"]) for row in rows], Counter(e.reason for e in errors)


SITE = "https://site.example"


@pytest.mark.parametrize(
    ("html", "expected", "reasons"),
    [
        pytest.param(IMG, [("0/alt", "a dog", f"{SITE}/a/x.jpg")], {}, id="relative to the page"),
        pytest.param(
            '<img src=/x.jpg alt=a title="b c" data-image-title=d data-other=e>',
            [("0/alt", "a", f"{SITE}/x.jpg"), ("0/title", "b c", f"{SITE}/x.jpg"),
             ("0/data-image-title", "d", f"{SITE}/x.jpg")],
            {}, id="each text is a pair",
        ),
        pytest.param(
            f'<base target=x><base href="//cdn.example/b/"><base href="/no/">{IMG}',
            [("0/alt", "a dog", "https://cdn.example/b/x.jpg")], {}, id="relative to the first base with an address",
        ),
        pytest.param(f'<base href="http://[bad">{IMG}', [("0/alt", "a dog", f"{SITE}/a/x.jpg")], {}, id="a broken base"),
        pytest.param(
            '<IMG SRC="http://H.example/p q.jpg" ALT="&lt;b&gt; &amp;&#x20AC;\n x ">',
            [("0/alt", "<b> &€  x", "http://H.example/p q.jpg")], {}, id="upper case, entities, line breaks",
        ),
        pytest.param(
            '<div><p><img alt="never closed" src=1.jpg <b>x</div></p><td><img alt=\'2\' src=2.jpg>',
            [("0/alt", "never closed", f"{SITE}/a/1.jpg"), ("1/alt", "2", f"{SITE}/a/2.jpg")], {}, id="broken HTML",
        ),
        pytest.param('<img src=x.jpg><img src=x.jpg alt="  "><img src=y.jpg title>', [], {"no_text": 3}, id="no text"),
        pytest.param(
            '<img alt=a><img alt=b src=""><img alt=c src="data:image/gif;base64,R0"><img alt=d src="http://[x">'
            "<img alt=e src=ed2k://x>",
            [], {"no_url": 5}, id="no address on the web",
        ),
        pytest.param("<!-- <img src=x alt=y> --><p>no picture</p>", [], {}, id="nothing"),
        pytest.param("", [], {}, id="an empty page"),
        pytest.param("<img src=x.jpg alt='a\0b'>", [], {"wrong_charset": 1}, id="a NUL becomes U+FFFD, as HTML has it"),
    ],
)  # fmt: skip
def test_the_pictures_of_a_page(
    tmp_path: Path, html: str, expected: list[tuple[str, str, str]], reasons: dict[str, int]
) -> None:
    assert read_file(tmp_path / "p.warc.gz", response(html)) == (expected, reasons)


def test_a_pair_of_a_warc(tmp_path: Path) -> None:
    first = member("warcinfo", b"software: x", "application/warc-fields")
    path = tmp_path / "CC.warc.gz"
    path.write_bytes(first + response(IMG))
    place = f"{len(first)}/0/alt"
    assert read_pool(path) == ([pair(f"CC.warc.gz#{place}", place, "a dog", f"{SITE}/a/x.jpg")], [])


@pytest.mark.parametrize(
    ("page", "content_type", "expected"),
    [
        ("é".encode(), "text/html; charset=utf-8", "é"),
        ("é".encode("latin-1"), 'text/html; charset="ISO-8859-1"', "é"),
        ("“é”".encode("cp1252"), "text/html; charset=iso-8859-1", "“é”"),
        ("日本".encode("shift_jis"), "text/html; Charset=Shift_JIS", "日本"),
        ("<meta charset=euc-jp>日本".encode("euc-jp"), "text/html", "<meta charset=euc-jp>日本"),
        ("é!".encode(), "text/html; charset=utf-16-be", "é!"),
        ("é".encode(), "text/html; charset=nonsense", "é"),
        ("é".encode(), "text/html; charset=base64", "é"),
        ("é".encode("latin-1"), "", "é"),
        ("é".encode("latin-1"), "text/html; charset=utf-8", "\ufffd"),
        (b"\xef\xbb\xbf" + "é".encode(), "text/html; charset=latin-1", "é"),
        (b"\xff\xfe" + "é".encode("utf-16-le"), "text/html; charset=latin-1", "é"),
        ("<meta charset=utf-8>é".encode("latin-1"), "text/html; charset=cp1252", "<meta charset=utf-8>é"),
    ],
)
def test_the_charset_of_a_page(page: bytes, content_type: str, expected: str) -> None:
    assert decode_page(page, content_type) == expected


def test_a_text_in_another_charset_than_its_page_is_counted(tmp_path: Path) -> None:
    html = '<img src=x alt="caf\xe9"><img src=y alt="tea">'.encode("latin-1")
    pairs, reasons = read_file(tmp_path / "p.warc.gz", response(html))
    assert (pairs, reasons) == ([("1/alt", "tea", f"{SITE}/a/y")], {"wrong_charset": 1})


@pytest.mark.parametrize(
    ("record", "n_pairs", "reasons"),
    [
        pytest.param(response(b"\xff\xd8\xff", "image/jpeg"), 0, {"not_html": 1}, id="a picture"),
        pytest.param(response(IMG, "application/xhtml+xml"), 1, {}, id="XHTML"),
        pytest.param(response(f"<!-- x --><!DOCTYPE html>{IMG}", None), 1, {}, id="HTML by its look"),
        pytest.param(
            response(b"\x0b\x02\x80", "text/html", "Content-Encoding: br"), 0, {"unknown_encoding": 1}, id="br"
        ),
        pytest.param(response(IMG, "text/html", "Content-Encoding: zstd"), 1, {}, id="unpacked by the crawler"),
        pytest.param(response("plain", None), 0, {"not_html": 1}, id="nothing said, nothing seen"),
        pytest.param(member("request", b"GET / HTTP/1.1\r\n\r\n", "application/http"), 0, {}, id="a request"),
        pytest.param(member("resource", IMG.encode(), "text/html"), 1, {}, id="a resource has no HTTP header"),
        pytest.param(response(IMG, "text/html; charset=utf-16"), 1, {}, id="a charset that the bytes contradict"),
        pytest.param(response(IMG.encode("utf-16"), "text/html"), 1, {}, id="wide characters"),
    ],
)
def test_records(tmp_path: Path, record: bytes, n_pairs: int, reasons: dict[str, int]) -> None:
    pairs, found = read_file(tmp_path / "p.warc.gz", record)
    assert (len(pairs), found) == (n_pairs, reasons)


def test_the_content_of_a_compressed_and_chunked_answer(tmp_path: Path) -> None:
    packed = gzip.compress(IMG.encode(), mtime=0)
    content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    record = response(content, "text/html", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    assert read_file(tmp_path / "p.warc.gz", record) == ([("0/alt", "a dog", f"{SITE}/a/x.jpg")], {})


def test_plain_gzip_and_one_member_hold_the_same(tmp_path: Path) -> None:
    pages = [response(IMG.replace("dog", f"dog {i}"), gzip_=False) for i in range(5)]
    members = b"".join(gzip.compress(page, mtime=0) for page in pages)
    found = [
        read_file(tmp_path / "p.warc", b"".join(pages)),
        read_file(tmp_path / "p.warc.gz", members),
        read_file(tmp_path / "q.warc.gz", gzip.compress(b"".join(pages), mtime=0)),
    ]
    assert found[0] == found[1] == found[2]
    assert [text for _, text, _ in found[0][0]] == [f"a dog {i}" for i in range(5)]
    for name in ("p.warc", "p.warc.gz", "q.warc.gz"):
        rows, _ = read_pool(tmp_path / name)
        assert len({row["identity"] for row in rows}) == 5


@pytest.mark.parametrize("name", ["p.warc", "p.warc.gz"])
def test_ranges_give_what_the_whole_file_gives(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = name.endswith(".gz")
    pages = [response(f"<p>{'x' * (37 * i)}</p>" + IMG * (i % 3), gzip_=zipped) for i in range(40)]
    (tmp_path / name).write_bytes(b"".join(pages))
    whole = read_pool(tmp_path / name)
    assert len(whole[0]) == sum(i % 3 for i in range(40))
    monkeypatch.setattr(warcfile, "_BLOCK_BYTES", 512)
    for size in (100, 997, 5000):
        monkeypatch.setattr(warcfile, "RANGE_BYTES", size)
        shards = open_pool(tmp_path / name)
        assert len(shards) > 1
        assert sum(shard.size_bytes for shard in shards) == (tmp_path / name).stat().st_size
        assert read_pool(tmp_path / name) == whole


def test_a_damaged_member_among_good_ones(tmp_path: Path) -> None:
    good, bad = response(IMG), bytearray(response(f"<p>{'x y z ' * 999}</p>{IMG}"))
    bad[len(bad) // 2] ^= 0xFF
    bad[-8] ^= 0xFF
    path = tmp_path / "p.warc.gz"
    pairs, reasons = read_file(path, good + bytes(bad) + good)
    assert (len(pairs), reasons) == (2, {"damaged_gzip": 1})
    with pytest.raises(RecordError, match=rf"p\.warc\.gz, byte {len(good)}: the gzip member here is damaged"):
        read_strictly(path)


@pytest.mark.parametrize(
    "record",
    [
        b"no warc at all\r\n\r\n",
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: many\r\n\r\n",
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 3\r\n\r\nabcdefgh\r\n\r\n",
        b"WARC/1.0\r\n" + b"x" * (1 << 21),
    ],
)
def test_a_bad_record_among_good_ones(tmp_path: Path, record: bytes) -> None:
    good = response(IMG)
    pairs, reasons = read_file(tmp_path / "p.warc.gz", good + gzip.compress(record, mtime=0) + good)
    assert len(pairs) == 2
    if not record.startswith(b"no warc"):  # a member that isn't a WARC's is not of the file
        assert set(reasons) <= {"invalid_record", "not_html"}
        assert reasons


@pytest.mark.parametrize("cut", [1, 30, 200, 240])
def test_a_file_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    good = response(IMG * 50)
    path = tmp_path / "p.warc.gz"
    pairs, reasons = read_file(path, good + good[:-cut])
    assert (len(pairs) >= 50, reasons) == (True, {"truncated": 1})
    with pytest.raises(RecordError, match=f"byte {len(good)}: the file is cut off within this record"):
        read_strictly(path)


@pytest.mark.parametrize("content", [b"", b"\n\r\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "empty.warc.gz").write_bytes(content)
    (tmp_path / "good.warc.gz").write_bytes(response(IMG))
    rows, errors = read_pool(tmp_path)
    assert ([row["text"] for row in rows], [e.reason for e in errors]) == (["a dog"], [] if content else ["empty_file"])


@pytest.mark.parametrize(
    "content", [b"\x89PNG....", b"<html>", gzip.compress(b"<html>", mtime=0), b"\x1f\x8b\x08nonsense" * 9]
)
@pytest.mark.parametrize("name", ["p.warc", "p.warc.gz", "p.wat.gz"])
def test_a_file_of_another_kind_under_the_right_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match="the file isn't a WARC") as caught:
        open_pool(tmp_path / name)
    assert caught.value.reason == "unreadable_file"


BOMBS = {
    "a line of 100 MB": lambda: gzip.compress(b"WARC/1.0\r\nX: " + b"x" * (100 << 20), mtime=0),
    "a header without an end": lambda: gzip.compress(b"WARC/1.0\r\n" + b"x:y\r\n" * (8 << 20), mtime=0),
    "a page that unpacks to 90 MB": lambda: response(b"<p>" * (30 << 20)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_no_memory(tmp_path: Path, name: str) -> None:
    content = BOMBS[name]()
    assert len(content) < 1 << 20
    path = tmp_path / "p.warc.gz"
    path.write_bytes(content + response(IMG))
    tracemalloc.start()
    try:
        rows, errors = read_pool(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 << 20
    assert [row["text"] for row in rows] == ["a dog"]
    assert [error.reason for error in errors] in (["invalid_record"], ["record_too_long"])


LINKS = [
    {"path": "A@/href", "url": "/no", "title": "no picture"},
    {"path": "IMG@/src", "url": "x.jpg", "alt": "a dog", "title": "t\n"},
    {"path": "IMG@/src", "url": "y.jpg"},
    {"path": "IMG@/src", "alt": "no address"},
    {"path": "IMG@/src", "url": "z.jpg", "alt": 7, "data-image-title": "d"},
    {"path": "IMG@/src", "url": "z.jpg", "alt": "half \ud83d"},
    {"path": None},
    {"url": "x"},
    None,
    "text",
]


def test_the_pictures_of_a_wat(tmp_path: Path) -> None:
    pairs, reasons = read_file(tmp_path / "p.warc.wat.gz", wat(LINKS))
    assert pairs == [
        ("0/alt", "a dog", f"{SITE}/a/x.jpg"),
        ("0/title", "t", f"{SITE}/a/x.jpg"),
        ("3/data-image-title", "d", f"{SITE}/a/z.jpg"),
    ]
    assert reasons == {"no_text": 1, "no_url": 1, "wrong_charset": 1}
    pairs, _ = read_file(tmp_path / "p.warc.wat.gz", wat(LINKS[1:2], base="https://cdn.example/"))
    assert [url for _, _, url in pairs] == ["https://cdn.example/x.jpg"] * 2
    pairs, _ = read_file(tmp_path / "p.wat", gzip.decompress(wat(LINKS)))
    assert len(pairs) == 3


@pytest.mark.parametrize(
    ("record", "reasons"),
    [
        pytest.param(member("metadata", b"{}", "application/json"), {"not_html": 1}, id="no envelope"),
        pytest.param(
            member("metadata", b'{"Envelope": []}', "application/json"),
            {"not_html": 1},
            id="an envelope that is a list",
        ),
        pytest.param(envelope(None), {"not_html": 1}, id="no payload"),
        pytest.param(envelope({}), {"not_html": 1}, id="no response"),
        pytest.param(envelope({"HTTP-Response-Metadata": {}}), {"not_html": 1}, id="no HTML"),
        pytest.param(wat(None), {}, id="no links"),
        pytest.param(wat({"x": 1}), {}, id="links that are no list"),
        pytest.param(wat(LINKS, kind="request"), {}, id="of the request"),
        pytest.param(member("metadata", b"{broken", "application/json"), {"invalid_json": 1}, id="broken JSON"),
        pytest.param(member("metadata", b"[" * 100_000, "application/json"), {"invalid_json": 1}, id="deep JSON"),
        pytest.param(member("metadata", b'{"a": "\xff"}', "application/json"), {"invalid_utf8": 1}, id="not UTF-8"),
        pytest.param(member("warcinfo", b"x: y", "application/warc-fields"), {}, id="the file's own record"),
    ],
)
def test_missing_levels_of_a_wat(tmp_path: Path, record: bytes, reasons: dict[str, int]) -> None:
    pairs, found = read_file(tmp_path / "p.wat.gz", record + wat(LINKS[1:2]))
    assert (len(pairs), found) == (2, reasons)


def test_what_is_passed_over_is_no_error_under_any_policy(tmp_path: Path) -> None:
    (tmp_path / "p.warc.gz").write_bytes(response("<img src=x>") + response("x", "text/css") + response(IMG))
    read_strictly(tmp_path / "p.warc.gz")
    _, errors = read_pool(tmp_path / "p.warc.gz")
    assert all(type(error) is PassedOver for error in errors)
    (tmp_path / "m.txt").write_text("dog")
    assert main(["curate", *(str(tmp_path / n) for n in ("p.warc.gz",)), "--metadata", str(tmp_path / "m.txt"),
                 "--out", str(tmp_path / "run"), "--workers", "1"]) == 0  # fmt: skip
    run = open_run(tmp_path / "run")
    assert (run.totals["read"], run.totals["pairs"], run.totals["skipped"]) == (3, 1, 2)
    assert run.manifest["skipped"] == {"no_text": 1, "not_html": 1}
    assert run.skipped.height == 0


class Pictures(html.parser.HTMLParser):
    """An oracle: the attributes of each `img`, by the standard library's parser."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs))

    handle_startendtag = handle_starttag


def test_a_real_warc_against_another_parser(shared_data: Path) -> None:
    path = shared_data / "data/warc/aut-example.warc.gz"
    expected: Counter[str] = Counter()
    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            kind = (record.http_headers and record.http_headers.get_header("Content-Type")) or ""
            if record.rec_type == "response" and kind.lower().startswith("text/html"):
                parser = Pictures()
                parser.feed(record.content_stream().read().decode("utf-8", "replace"))
                expected.update(
                    " ".join(value.replace("\r", "\n").split("\n")).strip()
                    for attributes in parser.found
                    for name in ("alt", "title", "data-image-title")
                    if (value := attributes.get(name)) and value.strip()
                )
    rows, errors = read_pool(path)
    assert len(rows) > 1000
    assert Counter(row["text"] for row in rows) == expected
    assert {error.reason for error in errors} == {"no_text", "not_html"}


def test_real_files_from_the_command_line(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "data/warc"
    (tmp_path / "metadata.txt").write_text("logo\nEscopete\n")
    arguments = ["curate", str(folder), "--metadata", str(tmp_path / "metadata.txt")]
    assert main([*arguments, "--out", str(tmp_path / "strict"), "--workers", "1"]) == 1
    assert main([*arguments, "--out", str(tmp_path / "run"), "--workers", "1", "--on-error", "skip"]) == 0
    run = open_run(tmp_path / "run")
    assert run.manifest["skipped"] == {"no_text": 198, "not_html": 159, "truncated": 1}
    assert run.totals["pairs"] == 1016
    located = run.skipped.to_dicts()
    assert [(Path(skip["path"]).name, skip["reason"]) for skip in located] == [("clipped.warc.gz", "truncated")]
    texts = {row["text"] for row in run.pairs(["text"]).collect().to_dicts()}
    assert {"Biquipedia", "Escopete", "Escudo d'armas"} <= texts


def test_shards_are_read_by_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warcfile, "RANGE_BYTES", 600)
    (tmp_path / "p.warc.gz").write_bytes(b"".join(response(IMG * 2) for _ in range(9)))
    shards = open_pool(tmp_path / "p.warc.gz")
    batches = (batch for shard in reversed(shards) for batch in read_shard(shard))
    identities = [identity for batch in batches for identity in batch["identity"].to_pylist()]
    whole, _ = read_pool(tmp_path / "p.warc.gz")
    assert sorted(identities) == sorted(row["identity"] for row in whole)
