"""`metaclip search`: the pairs of a run nearest to a text, as the dashboard finds them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import add_model, add_run, add_settings, model_of, positive, run_of, sources_of
from metaclip_core.cli.output import json_text
from metaclip_core.errors import PictureError, SettingsError

if TYPE_CHECKING:
    import polars as pl

    from metaclip_core.run import Run

_TEXT_WIDTH = 90


def add(commands: Any) -> None:
    parser = commands.add_parser("search", help="search a run's pictures by text, picture or pair")
    parser.set_defaults(command=_run)
    add_run(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what the pictures should show")
    parser.add_argument("--picture", metavar="FILE", help="search by a picture instead of a text")
    parser.add_argument("--like", type=int, metavar="ROW", help="search by a pair of the run (`row` in the results)")
    parser.add_argument("-k", type=positive, default=20, metavar="N", help="how many (20)")
    add_settings(parser, t_required=False)
    parser.add_argument("--status", default="all", choices=("all", "kept", "dropped"), help="at t (all)")
    parser.add_argument("--entry", metavar="E", help="only pairs that this entry matches")
    parser.add_argument("--source", metavar="S", help="only pairs that an entry of this source matches")
    parser.add_argument("--words", metavar="W", help="only captions with all these words")
    add_model(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="a JSON list; keep_t is null where t is never high enough, score where there is no query",
    )


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.distribution import default_t
    from metaclip_core.metadata.published import counts_of_whole
    from metaclip_core.search import Filters, list_pairs

    filters = Filters(status=options.status, entry=options.entry, source=options.source, words=options.words)
    n_queries = sum(query is not None for query in (options.text, options.picture, options.like))
    if n_queries > 1 or (not n_queries and filters == Filters()):
        raise SettingsError(
            "one query, please: a TEXT, --picture FILE or --like ROW; without one, a filter lists pairs"
        )
    run = run_of(options)
    counts = counts_of_whole(options.counts, run.entries) if options.counts else None
    balance = run.balance(sources=sources_of(options), seed=options.seed, counts=counts)
    t = default_t(run.balance()) if options.t is None else options.t
    if n_queries:
        results = _found(run, options, balance=balance, t=t, k=options.k, filters=filters)
    else:
        results = list_pairs(run, balance=balance, t=t, k=options.k, filters=filters)
    if options.json:
        print(json_text(results.to_dicts()))
        return
    for row in results.iter_rows(named=True):
        text = " ".join(row["text"].split())
        text = text if len(text) <= _TEXT_WIDTH else text[: _TEXT_WIDTH - 1] + "…"
        score = "" if row["score"] is None else f"{row['score']:.3f}  "
        print(f"{score}{row['status']:<7}  {row['key']}  {text}")
    print(f"t = {t:g}")


def _found(run: Run, options: argparse.Namespace, **settings: Any) -> pl.DataFrame:
    from metaclip_core.embedding.pictures import check_query_size
    from metaclip_core.search import Searcher

    searcher = Searcher.open(run, model_of(options) if options.model or options.pretrained else None)
    if options.like is not None:
        return searcher.like(options.like, **settings)
    if options.picture is not None:
        path = Path(options.picture)
        try:
            check_query_size(path.stat().st_size)
            data = path.read_bytes()
        except OSError as error:
            raise PictureError(f"{options.picture}: {error.strerror or error}") from error
        return searcher.search(searcher.picture_vector(data), **settings)
    return searcher.search(searcher.text_vector(options.text), **settings)
