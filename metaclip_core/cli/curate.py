"""`metaclip curate`: a pool into a run directory."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import add_engine

__all__ = ["run_summary"]

if TYPE_CHECKING:
    from metaclip_core.run import Run


def add(commands: Any) -> None:
    parser = commands.add_parser("curate", help="match and balance a pool into a run directory")
    parser.set_defaults(command=_run)
    parser.add_argument(
        "pool",
        nargs="+",
        metavar="POOL",
        help="files, folders, URLs; also with braces and stars: 'shards/{00000..00099}.tar'",
    )
    parser.add_argument("--metadata", nargs="+", action="extend", required=True, metavar="[NAME=]FILE",
                        help="parquet with entry and sources, a .json list, or a text file with an entry a line")  # fmt: skip
    parser.add_argument("--out", required=True, metavar="RUN",
                        help="the run directory to write; also in a store: s3://bucket/run")  # fmt: skip
    parser.add_argument(
        "--format",
        default="auto",
        help="auto (by the file's name), webdataset, parquet, jsonl, csv, wat, warc, zip, folder",
    )
    parser.add_argument("--text-column", metavar="C", help="the column of the text, where no usual name is found")
    parser.add_argument("--id-column", metavar="C", help="the column of a unique id; `uid` is found by itself")
    parser.add_argument("--filter", metavar="SQL", help="keep the pairs for which it is true, such as "
                        "\"similarity > 0.3 AND punsafe < 0.5 AND LANGUAGE = 'en'\", on the pool's own columns")  # fmt: skip
    parser.add_argument(
        "--language", nargs="+", default=[], metavar="L", help="keep texts identified as such: en de ..."
    )
    parser.add_argument("--drop-duplicates", choices=("pair", "url", "text"),
                        help="of pairs with the same text and address, address or text keep the first; all are counted")  # fmt: skip
    parser.add_argument("--boundaries", default="space", metavar="MODE",
                        help="space: an entry stands between spaces; script: it needs none beside Chinese, Thai, ...")  # fmt: skip
    add_engine(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    parser.add_argument("--on-error", default="raise", choices=("raise", "skip"), help="what a bad record does (raise)")
    parser.add_argument("--overwrite", action="store_true", help="replace a run of other settings")


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.curation import curate
    from metaclip_core.kernels.threads import available_cores
    from metaclip_core.metadata import load_metadata, metadata_argument
    from metaclip_core.progress import shown_progress

    metadata = load_metadata(*(metadata_argument(argument) for argument in options.metadata))
    with shown_progress() as show:
        run = curate(
            options.pool,
            metadata,
            options.out,
            format=options.format,
            text_column=options.text_column,
            id_column=options.id_column,
            filter=options.filter,
            languages=options.language,
            drop_duplicates=options.drop_duplicates,
            boundaries=options.boundaries,
            engine=options.engine,
            workers=options.workers or available_cores(),
            seed=options.seed,
            on_error=options.on_error,
            overwrite=options.overwrite,
            on_progress=show,
        )
    print("\n".join(run_summary(run)))


def run_summary(run: Run) -> Iterator[str]:
    """What was read, and whatever of it was left out or is odd."""
    totals, metadata = run.totals, run.manifest["metadata"]
    yield (
        f"{run.place}: {totals['pairs']:,} pairs of {totals['read']:,} records, "
        f"{totals['matched_pairs']:,} matched, {totals['matches']:,} matches"
    )
    if skipped := run.manifest["skipped"]:
        n_listed = run.skipped.height
        which = "" if n_listed == totals["skipped"] else f"{n_listed:,} of them "
        listed = f", {which}listed in {run.place / 'skipped.parquet'}" if n_listed else ""
        yield f"skipped: {totals['skipped']:,} ({_counted(skipped)}){listed}"
    if filtered := run.manifest["filtered"]:
        yield f"filtered: {totals['filtered']:,} (left out by {_counted(filtered)})"
    if any(run.manifest["duplicates"].values()):
        dropped = f"{totals['duplicates']:,} dropped" if totals["duplicates"] else "kept"
        yield f"duplicates: {_counted(run.manifest['duplicates'])}, {dropped}"
    if totals["repeated_ids"]:
        yield f"repeated ids: {totals['repeated_ids']:,}, told apart"
    line = f"entries: {metadata['entries']:,}"
    if metadata["never_matches"]:
        line += f", of which {metadata['never_matches']:,} can never match"
    if n_dropped := sum(metadata["dropped"].values()):
        line += f"; rows dropped: {n_dropped:,} ({_counted(metadata['dropped'])})"
    yield line


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
