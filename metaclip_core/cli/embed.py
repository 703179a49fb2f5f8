"""`metaclip embed`: CLIP vectors of a run's pictures and captions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import add_model, add_run, model_of, run_of
from metaclip_core.errors import SettingsError

if TYPE_CHECKING:
    from metaclip_core.embedding.store import Embeddings


def add(commands: Any) -> None:
    parser = commands.add_parser("embed", help="embed a run's pictures and captions, to search them")
    parser.set_defaults(command=_run)
    add_run(parser, nargs="?")
    add_model(parser)
    parser.add_argument("--no-texts", action="store_true", help="leave the captions out (half the time)")
    parser.add_argument("--device", help="cpu or cuda (cuda where there is one)")
    parser.add_argument("--from", dest="source", metavar="PATH",
                        help="don't embed: import clip-retrieval's or DataComp's embeddings, made by --model")  # fmt: skip
    parser.add_argument("--array", metavar="NAME", help="with --from: which arrays of an npz, such as l14")
    parser.add_argument("--list", action="store_true", help="the models there are, MetaCLIP's own first")


def _run(options: argparse.Namespace) -> None:
    from metaclip_core.embedding import embed, import_embeddings, known_models
    from metaclip_core.progress import shown_progress

    if options.list:
        for model in known_models(all_of_open_clip=True):
            print(model.label)
        return
    if not options.run:
        raise SettingsError("which run? metaclip embed RUN")
    run = run_of(options)
    with shown_progress("") as show:
        if options.source:
            spec = model_of(options) if options.model else None
            report = import_embeddings(run, options.source, spec, array=options.array, on_progress=show)
            print(f"{report.joined:,} of {report.read:,} vectors joined, {report.unjoined:,} did not; "
                  f"{report.pairs_without:,} pairs without")  # fmt: skip
            embeddings = report.embeddings
        else:
            # Naming a model here is asking for its weights.
            embeddings = embed(
                run,
                model_of(options),
                texts=not options.no_texts,
                device=options.device,
                download=True,
                on_progress=show,
            )
        index = _indexed(embeddings, show)
    unreadable = ", ".join(
        f"{n:,} {reason.replace('_', ' ')}" for reason, n in embeddings.manifest["unreadable"].items()
    )
    print(f"{embeddings.path}: {embeddings.n_images:,} pictures by {embeddings.label}"
          + (f"; without: {unreadable}" if unreadable else "") + f"; {index}")  # fmt: skip


def _indexed(embeddings: Embeddings, show: Any) -> str:
    from metaclip_core.search.index import open_index

    report = open_index(embeddings, show).report
    if report["kind"] == "exact":
        return "exact index"
    return (
        f"approximate index, recall {report['recall']:.2f} at 10 for {report['recall_queries']} "
        f"({report['searched_cells']} of {report['cells']:,} cells)"
    )
