"""Count files: a word or two and its count a line, as n-gram lists are passed around; plain, gzip or bzip2.

Two layouts are read, told apart by where the numbers stand: `count<TAB>word<TAB>word`, as MetaCLIP's authors keep theirs,
and `word word<TAB or space>count`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import polars as pl

from metaclip_core.errors import MetadataError
from metaclip_core.inputs import input_errors, open_unpacked
from metaclip_core.metadata.counting import sum_counts, write_counts
from metaclip_core.metadata.ngrams import NgramCounts
from metaclip_core.storage import make_folder

__all__ = ["read_count_files"]

_HEAD_LINES = 10_000  # by which the place of the count is found
_BATCH_LINES = 1_000_000
_LARGEST_LINE_BYTES = 1 << 16


def read_count_files(
    unigrams: Sequence[str | Path],
    bigrams: Sequence[str | Path],
    folder: str | Path,
    *,
    on_bytes: Callable[[int], Any] | None = None,
) -> NgramCounts:
    """Bring count files into a folder of counts; the counts of a key that comes again add up.

    Lines with a count of 0 or without a word are passed over. Raises MetadataError with the line that can't be read.
    """
    counts = NgramCounts(Path(folder))
    make_folder(counts.folder)
    for paths, keys, out in (
        (unigrams, ["word"], counts.unigrams),
        (bigrams, ["first", "second"], counts.bigrams),
    ):
        partials: list[Path] = []
        for path in paths:
            for batch in _batches(_rows(path, len(keys), on_bytes)):
                frame = pl.DataFrame(batch, schema={**dict.fromkeys(keys, pl.String), "count": pl.Int64}, orient="row")
                partials.append(counts.folder / f"{out.stem}-{len(partials):06d}.part")
                write_counts(partials[-1], frame)
        if not partials:
            write_counts(out, pl.DataFrame(schema={**dict.fromkeys(keys, pl.String), "count": pl.Int64}))
            continue
        sum_counts(partials, keys, out)
        for partial in partials:
            partial.unlink()
    return counts


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while batch := list(islice(rows, _BATCH_LINES)):
        yield batch


def _rows(path: str | Path, n_words: int, on_bytes: Callable[[int], Any] | None) -> Iterator[tuple[Any, ...]]:
    """(word, ..., count) of each line."""
    lines = _lines(path, n_words, on_bytes)
    head = list(islice(lines, _HEAD_LINES))
    at = _place_of_count(path, [fields for _, fields in head], n_words)
    for number, fields in chain(head, lines):
        words, count = (fields[1:], fields[0]) if at == 0 else (fields[:-1], fields[-1])
        if len(words) != n_words or not _is_count(count):
            shown = "\\t".join(fields)[:80]
            raise MetadataError(f"{path}, line {number}: expected {n_words} words and a count, got {shown!r}")
        if all(words) and int(count):
            yield (*words, int(count))


def _place_of_count(path: str | Path, head: Iterable[list[str]], n_words: int) -> int:
    """0 or -1: where the whole number stands in all the first lines."""
    head = list(head)
    places = [at for at in (0, -1) if all(_is_count(fields[at]) for fields in head)]
    if head and len(places) != 1:
        found = "both ends of all its lines are" if places else "neither end of all its lines is"
        raise MetadataError(f"{path}: not a count file of {n_words} words a line: {found} a whole number")
    return places[0] if places else 0


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 19


def _lines(path: str | Path, n_words: int, on_bytes: Callable[[int], Any] | None) -> Iterator[tuple[int, list[str]]]:
    """(number from 1, fields) of each line that isn't blank: between its tabs where their number fits, else its spaces."""
    number = 0
    try:
        with input_errors(path, MetadataError), open_unpacked(path, on_bytes) as stream:
            while line := stream.readline(_LARGEST_LINE_BYTES):
                number += 1
                if len(line) == _LARGEST_LINE_BYTES:
                    raise MetadataError(f"{path}, line {number}: longer than {_LARGEST_LINE_BYTES:,} bytes")
                text = line.decode("utf-8")
                fields = [field.strip() for field in text.split("\t")]
                if not text.isspace():
                    yield number, fields if len(fields) == n_words + 1 else text.split()
    except UnicodeDecodeError as error:
        raise MetadataError(f"{path}, line {number}: not UTF-8; convert the file") from error
