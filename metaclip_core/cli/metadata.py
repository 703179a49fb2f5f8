"""`metaclip metadata`: the paper's four sources of entries, put together, or as others publish them."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.append import add_extending, extend
from metaclip_core.cli.options import add_run, positive
from metaclip_core.errors import SettingsError

if TYPE_CHECKING:
    import polars as pl

    from metaclip_core.metadata.ngrams import NgramCounts


def add(commands: Any) -> None:
    parser = commands.add_parser("metadata", help="make a metadata: its sources, a merged one, a published one")
    makers = parser.add_subparsers(required=True, metavar="WHAT")
    for add_maker in (_add_wordnet, _add_unigrams, _add_bigrams, _add_titles, _add_merge, _add_import, _add_to_run):
        add_maker(makers)


def _maker(makers: Any, name: str, run: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
    parser = makers.add_parser(name, help=help, description=help)
    parser.set_defaults(command=run)
    parser.add_argument("--out", required=True, metavar="FILE", help="the parquet file to write")
    return parser


def _add_wordnet(makers: Any) -> None:
    parser = _maker(makers, "wordnet", _wordnet, "the first lemma of each WordNet synset, and the numbers 0 to 99")
    parser.add_argument("wordnet", metavar="WORDNET", type=Path,
                        help="a dictionary folder of WordNet 3.0 or 3.1, or Open English WordNet in WN-LMF (.xml, .xml.gz)")  # fmt: skip


def _wordnet(options: argparse.Namespace) -> None:
    import polars as pl

    from metaclip_core.metadata.entries import write_entries
    from metaclip_core.metadata.wordnet import wordnet_entries

    entries = wordnet_entries(options.wordnet)
    write_entries(options.out, pl.DataFrame({"entry": entries}), "wordnet")
    _say(options, len(entries))


def _add_ngrams(parser: argparse.ArgumentParser, formats: str) -> None:
    parser.add_argument("inputs", nargs="+", metavar="INPUT",
                        help="Wikipedia dumps (pages-articles .xml.bz2), plain text, count files, or a folder of --keep-counts")  # fmt: skip
    parser.add_argument("--format", default="auto", choices=("auto", "dump", "text", "counts"), help=formats)
    parser.add_argument("--keep-counts", metavar="DIR", help="keep all counts there, as an INPUT for the other command")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that count (1)")


def _add_unigrams(makers: Any) -> None:
    parser = _maker(makers, "unigrams", _unigrams, "Wikipedia's words by count")
    _add_ngrams(parser, "auto: .xml is a dump, else text; counts: a word and its count a line")
    parser.add_argument("--min-count", type=positive, default=100, metavar="N", help="the least count (100)")


def _unigrams(options: argparse.Namespace) -> None:
    from metaclip_core.metadata.ngrams import unigram_entries

    with _counts(options, unigrams=options.inputs, bigrams=[]) as counts:
        _say(options, unigram_entries(counts, options.out, min_count=options.min_count))


def _add_bigrams(makers: Any) -> None:
    parser = _maker(makers, "bigrams", _bigrams, "Wikipedia's pairs of words by pointwise mutual information")
    _add_ngrams(parser, "auto: .xml is a dump, else text; counts: two words and their count a line")
    parser.add_argument("--unigrams", nargs="+", metavar="FILE", help="with --format counts: the words' own counts")
    parser.add_argument("--min-pmi", type=float, default=30.0, metavar="P", help="the least PMI, base 2 (30)")
    parser.add_argument("--force", action="store_true", help="write a table that must be empty")


def _bigrams(options: argparse.Namespace) -> None:
    from metaclip_core.metadata.ngrams import bigram_entries

    if options.format == "counts" and not options.unigrams:
        raise SettingsError("the PMI needs the counts of the words, too: give --unigrams")
    with _counts(options, unigrams=options.unigrams, bigrams=options.inputs) as counts:
        _say(options, bigram_entries(counts, options.out, min_pmi=options.min_pmi, force=options.force))


@contextmanager
def _counts(options: argparse.Namespace, *, unigrams: list[str], bigrams: list[str]) -> Iterator[NgramCounts]:
    """The counts of the inputs: in the folder of --keep-counts, or in one beside --out that is removed after use."""
    from metaclip_core.metadata.countfiles import read_count_files
    from metaclip_core.metadata.ngrams import count_ngrams, open_ngram_counts

    if len(options.inputs) == 1 and Path(options.inputs[0]).is_dir():
        yield open_ngram_counts(options.inputs[0])
        return
    out = Path(options.out)
    folder = Path(options.keep_counts) if options.keep_counts else out.with_name(f".{out.name}.counts")
    if options.format == "counts":
        with _bar([*unigrams, *bigrams]) as on_bytes:
            counts = read_count_files(unigrams, bigrams, folder, on_bytes=on_bytes)
    else:
        with _bar(options.inputs) as on_bytes:
            counts = count_ngrams(
                options.inputs, folder, format=options.format, workers=options.workers, on_bytes=on_bytes
            )
    yield counts
    if not options.keep_counts:
        shutil.rmtree(folder, ignore_errors=True)


def _add_titles(makers: Any) -> None:
    parser = _maker(makers, "titles", _titles, "titles of Wikipedia's articles by views")
    parser.add_argument("files", nargs="+", metavar="FILE", help="Wikimedia's hourly files, pageviews-*.gz")
    parser.add_argument("--min-hourly-views", type=positive, default=50, metavar="N",
                        help="hours with fewer views of a page don't count (50)")  # fmt: skip
    parser.add_argument("--min-views", type=positive, default=70, metavar="N", help="the least sum of views (70)")
    parser.add_argument("--project", default="en", metavar="P", help="the wiki as the files name it (en)")


def _titles(options: argparse.Namespace) -> None:
    from metaclip_core.metadata.pageviews import read_pageviews, title_entries

    with _bar(options.files) as on_bytes:
        views = read_pageviews(
            options.files, min_hourly_views=options.min_hourly_views, project=options.project, on_bytes=on_bytes
        )
    _say(options, title_entries(views, options.out, min_views=options.min_views))


def _add_merge(makers: Any) -> None:
    parser = _maker(makers, "merge", _merge, "sources in order, up to a budget: one metadata, and its Table 1")
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE", help="the sources, the first one first")
    parser.add_argument("--budget", type=positive, default=500_000, metavar="N", help="entries at most (500,000)")
    parser.add_argument("--json", action="store_true", help="the table as a JSON list")


def _merge(options: argparse.Namespace) -> None:
    from metaclip_core.metadata.files import metadata_argument
    from metaclip_core.metadata.merging import merge_sources

    files = [metadata_argument(argument) for argument in options.files]
    _show_table(merge_sources(files, options.out, budget=options.budget), options)


def _add_import(makers: Any) -> None:
    parser = _maker(makers, "import", _import, "a published list of entries: its sources and its counts")
    parser.add_argument("list", metavar="FILE", help="metadata.json, or another list; a path or URL")
    parser.add_argument("--sources", nargs="+", default=[], metavar="[NAME=]FILE",
                        help="source files: an entry gets the sources of those that have it")  # fmt: skip
    parser.add_argument("--counts", metavar="FILE", help="entry_counts_400m.json; a path or URL")
    parser.add_argument("--json", action="store_true", help="the table as a JSON list")


def _import(options: argparse.Namespace) -> None:
    from metaclip_core.metadata.files import metadata_argument
    from metaclip_core.metadata.published import import_metadata

    sources = [metadata_argument(argument) for argument in options.sources]
    _show_table(import_metadata(options.list, options.out, sources=sources, counts=options.counts), options)


def _add_to_run(makers: Any) -> None:
    parser = makers.add_parser("add", help="further entries for a finished run, as a new run",
                               description="Only what is new in the files is matched, over the run's own texts.")  # fmt: skip
    parser.set_defaults(command=_add)
    add_run(parser)
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE", help="lists of entries, such as species=birds.txt")
    add_extending(parser)


def _add(options: argparse.Namespace) -> None:
    from metaclip_core.extending import add_entries
    from metaclip_core.metadata.files import metadata_argument

    extend(options, add_entries, [metadata_argument(argument) for argument in options.files])


@contextmanager
def _bar(paths: list[str]) -> Iterator[Callable[[int], Any]]:
    """A progress bar over the bytes of the files."""
    from tqdm import tqdm

    sizes = [Path(path).stat().st_size for path in paths if Path(path).is_file()]
    total = sum(sizes) if len(sizes) == len(paths) else None
    with tqdm(total=total, unit="B", unit_scale=True, disable=None) as bar:
        yield bar.update


def _say(options: argparse.Namespace, n_entries: int) -> None:
    print(f"{options.out}: {n_entries:,} entries")


def _show_table(table: pl.DataFrame, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(table.to_dicts(), ensure_ascii=False))
        return
    print("  ".join(f"{name:>16}" for name in table.columns))
    for row in table.rows():
        print("  ".join(f"{value:>16,}" if isinstance(value, int) else f"{value:>16}" for value in row))
