"""The command line: `metaclip curate | info | dashboard`. Exit status 0, 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaclip_core import __version__
from metaclip_core.errors import MetaclipError, RunError, SettingsError

if TYPE_CHECKING:
    from metaclip_core.curation import Progress
    from metaclip_core.run import Run

__all__ = ["main", "run_info"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except SettingsError as error:
        parser.exit(2, f"metaclip: {error}\n")
    except MetaclipError as error:
        print(f"metaclip: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("metaclip: interrupted; the same command goes on where it stopped", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metaclip", description="Curate image-text pools the MetaCLIP way.")
    parser.add_argument("--version", action="version", version=f"metaclip-dashboard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    curate = commands.add_parser("curate", help="match and balance a pool into a run directory")
    curate.set_defaults(command=_curate)
    curate.add_argument(
        "pool", nargs="+", metavar="POOL", help="files or folders: WebDataset tars, parquet, jsonl, csv, tsv"
    )
    curate.add_argument("--metadata", nargs="+", action="extend", required=True, metavar="[NAME=]FILE",
                        help="parquet with entry and sources, a .json list, or a text file with an entry a line")  # fmt: skip
    curate.add_argument("--out", required=True, metavar="RUN", help="the run directory to write")
    curate.add_argument("--format", default="auto", help="auto (by the file's name), webdataset, parquet, jsonl, csv")
    curate.add_argument("--text-column", metavar="C", help="the column of the text, where no usual name is found")
    curate.add_argument("--id-column", metavar="C", help="the column of a unique id; `uid` is found by itself")
    curate.add_argument("--boundaries", default="space", help="what stands on both sides of an entry in a text: space")
    curate.add_argument("--engine", default="local", help="local")
    curate.add_argument(
        "--workers", type=_positive, metavar="N", help="processes; by default one a core, at most one a shard"
    )
    curate.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    curate.add_argument("--on-error", default="raise", choices=("raise", "skip"), help="what a bad record does (raise)")
    curate.add_argument("--overwrite", action="store_true", help="replace a run of other settings")

    info = commands.add_parser("info", help="a run in figures, at a threshold t")
    info.set_defaults(command=_info)
    info.add_argument("run", metavar="RUN")
    info.add_argument("-t", dest="t", type=float, required=True, metavar="T", help="the threshold")
    info.add_argument("--sources", metavar="A,B", help="the metadata sources that are on (all); empty for none")
    info.add_argument("--seed", type=int, metavar="N", help="of the draws (the run's own)")
    info.add_argument("--json", action="store_true", help="one JSON object")

    dashboard = commands.add_parser("dashboard", help="open the dashboard in the browser")
    dashboard.set_defaults(command=_dashboard)
    dashboard.add_argument("run", nargs="?", metavar="RUN", help="a run directory; by default the embedded sample")
    dashboard.add_argument("--port", type=int, default=8501, help="of the local web server (8501)")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _curate(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from metaclip_core.curation import curate
    from metaclip_core.kernels.threads import available_cores
    from metaclip_core.metadata import load_metadata, metadata_argument

    metadata = load_metadata(*(metadata_argument(argument) for argument in options.metadata))
    with tqdm(unit=" shards", disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.set_description(progress.stage)
            bar.total, bar.n = progress.total, progress.done
            bar.set_postfix_str(f"{progress.pairs:,} pairs")

        run = curate(
            options.pool,
            metadata,
            options.out,
            format=options.format,
            text_column=options.text_column,
            id_column=options.id_column,
            boundaries=options.boundaries,
            engine=options.engine,
            workers=options.workers or available_cores(),
            seed=options.seed,
            on_error=options.on_error,
            overwrite=options.overwrite,
            on_progress=show,
        )
    totals = run.totals
    skipped = f", {totals['skipped']:,} skipped" if totals["skipped"] else ""
    print(
        f"{run.path}: {totals['pairs']:,} pairs{skipped}, {totals['matched_pairs']:,} matched, {totals['matches']:,} matches"
    )


def run_info(run: Run, t: float, *, sources: Sequence[str] | None = None, seed: int | None = None) -> dict[str, Any]:
    """The figures of `metaclip info`; the names are part of the contract, shares are 0 to 1."""
    from metaclip_core import distribution

    balance = run.balance(sources=sources, seed=seed)
    return {
        **{name: run.totals[name] for name in ("read", "pairs", "skipped", "duplicates", "filtered")},
        "repeated_ids": run.totals["repeated_ids"],
        "entries": int(balance.enabled.sum()),
        "matched_pairs": balance.matched_pairs,
        "matches": balance.n_matches,
        "matched_entries": distribution.matched_entries(balance),
        "tail_share": balance.tail_share(t),
        "head_entries": distribution.head_entries(balance, t),
        "curated_pairs": balance.curated_size(t),
        "expected_curated_pairs": balance.expected_size(t),
        "t": t,
        "sources": list(run.source_names if balance.sources is None else balance.sources),
        "seed": balance.seed,
        "fingerprint": run.fingerprint,
    }


def _info(options: argparse.Namespace) -> None:
    from metaclip_core.run import open_run

    sources = None if options.sources is None else [name for name in options.sources.split(",") if name]
    figures = run_info(open_run(options.run), options.t, sources=sources, seed=options.seed)
    if options.json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    for name, value in figures.items():
        shown = ", ".join(value) if isinstance(value, list) else f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):<24}{shown}")


def _app_folder() -> Path:
    """The folder of streamlit_app.py: `metaclip_dashboard` beside the installed core, or the repository."""
    above = Path(__file__).resolve().parent.parent
    for folder in (above / "metaclip_dashboard", above):
        if (folder / "streamlit_app.py").exists():
            return folder
    raise RunError(f"the dashboard's files are not installed beside {above}; install metaclip-dashboard again")


def _sample_run(app: Path) -> Path:
    """The run of the embedded sample: curated on first use into the user's cache, again when the sample has changed."""
    from metaclip_core.curation import curate

    sample = app / "data_samples"
    root = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    out = (Path(root) if root else Path.home() / ".cache") / "metaclip-dashboard" / "sample"
    try:
        return curate(sample / "shards", sample / "metadata.parquet", out).path
    except RunError:  # of an earlier release's sample, or damaged: it is only a cache
        return curate(sample / "shards", sample / "metadata.parquet", out, overwrite=True).path


def _dashboard(options: argparse.Namespace) -> int:
    from metaclip_core.run import open_run

    app = _app_folder()
    run = (open_run(options.run).path if options.run else _sample_run(app)).resolve()
    print(f"metaclip: http://127.0.0.1:{options.port} shows {run.name}; Ctrl-C ends it", file=sys.stderr)
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(options.port)]
    # Streamlit reads .streamlit/config.toml from the folder it is started in.
    return subprocess.run(command, cwd=app, env={**os.environ, "METACLIP_RUN": str(run)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
