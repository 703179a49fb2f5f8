"""The metadata's second and third source: Wikipedia's words by count, its pairs of words by pointwise mutual information.

The counts are a folder of two files, `unigrams.parquet` (`word, count`) and `bigrams.parquet` (`first, second, count`):
made from texts, which takes long, or from count files; both sources are read from it.
"""

from __future__ import annotations

import codecs
import json
import math
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from metaclip_core.errors import MetadataError, SettingsError
from metaclip_core.inputs import base_name, input_errors, is_remote, open_unpacked
from metaclip_core.metadata.counting import query_to_parquet, sum_counts, write_counts
from metaclip_core.metadata.entries import by_count, usable, write_entries
from metaclip_core.metadata.wikipedia import articles, plain_text
from metaclip_core.metadata.words import count_words
from metaclip_core.storage import make_folder, storage_errors, write_json

__all__ = [
    "MIN_COUNT",
    "MIN_PMI",
    "NgramCounts",
    "bigram_entries",
    "count_ngrams",
    "open_ngram_counts",
    "unigram_entries",
]

MIN_COUNT = 100
"""The paper's: a word that Wikipedia has this often is an entry."""

MIN_PMI = 30.0
"""The paper's: a pair of words with this pointwise mutual information is an entry."""

TEXT_FORMATS = ("auto", "dump", "text")

_BLOCK_BYTES = 1 << 20
_BATCH_CHARS = 16 << 20  # markup or text that a worker counts at once: some 300 MB with its tables


@dataclass(frozen=True)
class NgramCounts:
    """A folder of counts, complete."""

    folder: Path

    @property
    def unigrams(self) -> Path:
        return self.folder / "unigrams.parquet"

    @property
    def bigrams(self) -> Path:
        return self.folder / "bigrams.parquet"

    @property
    def total(self) -> int:
        """N, the sum of the unigrams' counts."""
        return int(pl.scan_parquet(self.unigrams).select(pl.col("count").sum()).collect().item())


def open_ngram_counts(folder: str | Path) -> NgramCounts:
    """The counts that a folder holds. Raises MetadataError when it holds none, or a part of them."""
    counts = NgramCounts(Path(folder))
    for path in (counts.unigrams, counts.bigrams):
        if not path.exists():
            raise MetadataError(f"{path}: missing; `--keep-counts` makes such a folder, when it is finished")
    return counts


def count_ngrams(
    inputs: Sequence[str | Path],
    folder: str | Path,
    *,
    format: str = "auto",
    workers: int = 1,
    on_bytes: Callable[[int], Any] | None = None,
) -> NgramCounts:
    """Count the words and neighbouring words of Wikipedia dumps or plain texts into a folder.

    `format`: `dump` (XML), `text` (UTF-8, a paragraph a line), or by the file's name. A folder whose counting was
    broken off goes on after its last whole file; one that counted other files is refused. Memory stays bounded.
    Raises MetadataError, SettingsError, StorageError.
    """
    if format not in TEXT_FORMATS:
        raise SettingsError(f"unknown text format {format!r}; there are: {', '.join(TEXT_FORMATS)}")
    if not inputs:
        raise SettingsError("no text to count")
    counts = NgramCounts(Path(folder))
    partials = counts.folder / "partial"
    plan = {"inputs": [_described(path) for path in inputs], "format": format}
    if _is_counted(counts, plan):
        return counts
    make_folder(partials)
    write_json(counts.folder / "plan.json", plan)
    for number, path in enumerate(inputs):
        done = partials / f"{number:05d}.done"
        if not done.exists():
            documents = _documents(path, format, on_bytes)
            for _ in _map_bounded(_count_batch, _batches(documents, partials, number), workers):
                pass
            write_json(done, _described(path))
    kinds = {counts.unigrams: ("u", ["word"]), counts.bigrams: ("b", ["first", "second"])}
    for out, (kind, keys) in kinds.items():
        sum_counts(sorted(partials.glob(f"*.{kind}.parquet")), keys, out)
    with storage_errors(partials):
        for path in partials.iterdir():
            path.unlink()
        partials.rmdir()
    return counts


def _is_counted(counts: NgramCounts, plan: dict[str, Any]) -> bool:
    """Whether the folder has the counts of these files already; MetadataError when it is of others."""
    plan_path = counts.folder / "plan.json"
    if not plan_path.exists():
        if counts.folder.exists() and any(counts.folder.iterdir()):
            raise MetadataError(f"{counts.folder}: not empty and no folder of counts; choose another")
        return False
    if json.loads(plan_path.read_bytes()) != plan:
        raise MetadataError(f"{counts.folder}: holds the counts of other files; choose another folder, or delete it")
    return counts.unigrams.exists() and counts.bigrams.exists() and not (counts.folder / "partial").exists()


def _described(path: str | Path) -> dict[str, Any]:
    try:
        size_bytes = None if is_remote(path) else Path(path).stat().st_size
    except OSError as error:
        raise MetadataError(f"{path}: {error.strerror or error}") from error
    return {"name": base_name(path), "size_bytes": size_bytes}


def _documents(path: str | Path, format: str, on_bytes: Callable[[int], Any] | None) -> Iterator[tuple[str, bool]]:
    """(text, whether it is markup), one after the other."""
    if format == "dump" or (format == "auto" and ".xml" in base_name(path).lower()):
        return ((markup, True) for markup in articles(path, on_bytes))
    return ((text, False) for text in _paragraphs(path, on_bytes))


def _paragraphs(path: str | Path, on_bytes: Callable[[int], Any] | None) -> Iterator[str]:
    """The text in blocks of whole lines; a longer line than a block is cut between two words."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest, position = "", 0
    try:
        with input_errors(path, MetadataError), open_unpacked(path, on_bytes) as stream:
            while block := stream.read(_BLOCK_BYTES):
                text = rest + decoder.decode(block)
                position += len(block)
                cut = _place_to_cut(text)
                yield text[:cut]
                rest = text[cut:]
            yield rest + decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise MetadataError(f"{path}: not UTF-8 near byte {position + error.start:,}; convert the file") from error


def _place_to_cut(text: str) -> int:
    """After the last whole line; in a line that is too long between two words, and in a word that is too long at its end."""
    cut = text.rfind("\n")
    if cut > 0 or len(text) <= _BATCH_CHARS:
        return max(cut, 0)
    return max(text.rfind(" "), 0) or len(text)


_Batch = tuple[Path, list[tuple[str, bool]]]


def _batches(documents: Iterable[tuple[str, bool]], partials: Path, number: int) -> Iterator[_Batch]:
    batch: list[tuple[str, bool]] = []
    n_chars = n_batches = 0
    for document in documents:
        batch.append(document)
        n_chars += len(document[0])
        if n_chars >= _BATCH_CHARS:
            yield partials / f"{number:05d}-{n_batches:06d}", batch
            batch, n_chars, n_batches = [], 0, n_batches + 1
    yield partials / f"{number:05d}-{n_batches:06d}", batch


def _count_batch(batch: _Batch) -> None:
    prefix, documents = batch
    unigrams, bigrams = count_words([plain_text(text) if markup else text for text, markup in documents])
    write_counts(prefix.with_suffix(".u.parquet"), unigrams)
    write_counts(prefix.with_suffix(".b.parquet"), bigrams)


def _map_bounded(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """The results as they are ready; no more items are drawn than the workers are about to need."""
    if workers == 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    pending: set[Any] = set()
    try:
        for item in items:
            pending.add(pool.submit(function, item))
            if len(pending) > workers:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def unigram_entries(counts: NgramCounts, out: str | Path, *, min_count: int = MIN_COUNT) -> int:
    """Write the words with at least this count as the source `wiki_unigram`; returns how many they are."""
    found = pl.scan_parquet(counts.unigrams).filter(pl.col("count") >= min_count)
    entries = by_count(usable(found.select(pl.col("word").alias("entry"), "count").collect()))
    write_entries(out, entries, "wiki_unigram")
    return entries.height


_PMI = """
SELECT first || ' ' || second AS entry, count, pmi FROM (
    SELECT b.first, b.second, b.count, log2(b.count::DOUBLE * {total}) - log2(f.count::DOUBLE * s.count::DOUBLE) AS pmi
    FROM bigrams b JOIN unigrams f ON b.first = f.word JOIN unigrams s ON b.second = s.word
) WHERE pmi >= {min_pmi}
"""


def bigram_entries(counts: NgramCounts, out: str | Path, *, min_pmi: float = MIN_PMI, force: bool = False) -> int:
    """Write the pairs of words with at least this PMI as the source `wiki_bigram`; returns how many they are.

    PMI = log2(c(a b) * N / (c(a) * c(b))), N the sum of the unigrams' counts; it can't exceed log2(N). Raises
    MetadataError when that is below `min_pmi`, so that nothing can pass, unless `force`. A pair with a word that the
    unigrams don't have is left out.
    """
    out, total = Path(out), counts.total
    for path in (counts.unigrams, counts.bigrams):
        if not pq.read_metadata(path).num_rows:
            raise MetadataError(f"{path}: nothing is counted, so there is no pair of words to judge")
    highest = math.log2(total)
    if highest < min_pmi and not force:
        raise MetadataError(
            f"no pair can have a PMI of {min_pmi:g}: with {total:,} words counted the highest possible is log2 of that, "
            f"{highest:.2f}. Count more text ({2**min_pmi:,.0f} words at least), lower --min-pmi, or write the empty "
            "table with --force"
        )
    make_folder(out.parent)
    scored = out.with_name(f".{out.name}.scored")
    try:
        query = _PMI.format(total=total, min_pmi=float(min_pmi))
        query_to_parquet(query, {"unigrams": counts.unigrams, "bigrams": counts.bigrams}, scored)
        entries = by_count(usable(pl.read_parquet(scored)))
    finally:
        scored.unlink(missing_ok=True)
    write_entries(out, entries, "wiki_bigram")
    return entries.height
