"""`metaclip dashboard`: a run, or the embedded sample, in the browser."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaclip_core.cli.options import run_of
from metaclip_core.errors import EmbeddingError, RunError, SettingsError
from metaclip_core.inputs import is_remote

if TYPE_CHECKING:
    from metaclip_core.run import Run

__all__ = ["app_folder", "sample_run"]


def add(commands: Any) -> None:
    parser = commands.add_parser("dashboard", help="open the dashboard in the browser")
    parser.set_defaults(command=_run)
    parser.add_argument("run", nargs="?", metavar="RUN",
                        help="a run directory, or the URL of one (s3://bucket/run), which is copied to this machine; "
                        "without it and without --root, the embedded sample")  # fmt: skip
    parser.add_argument("--root", action="append", default=[], metavar="DIR",
                        help="a folder whose runs can be opened and whose pools can be curated from the pages; several may "
                        "be given, the first takes new runs and exports")  # fmt: skip
    parser.add_argument("--port", type=int, default=8501, help="of the local web server (8501)")


def app_folder() -> Path:
    """The folder of streamlit_app.py: `metaclip_dashboard` beside the installed core, or the repository."""
    above = Path(__file__).resolve().parents[2]
    for folder in (above / "metaclip_dashboard", above):
        if (folder / "streamlit_app.py").exists():
            return folder
    raise RunError(f"the dashboard's files are not installed beside {above}; install metaclip-dashboard again")


def sample_run(app: Path) -> Path:
    """The run of the embedded sample: curated on first use into the user's cache, again when the sample has changed.

    Its pictures' vectors by the small CLIP, and their map, come with the sample, so it can be searched at once.
    """
    from metaclip_core.curation import curate
    from metaclip_core.storage import cache_folder

    sample, out = app / "data_samples", cache_folder() / "sample"
    shards = sample / "shards"
    try:
        run = curate(shards, sample / "metadata.parquet", out)
        # The checkout that it was made from may be gone, and the pictures with it.
        anew = not all(Path(file["path"]).exists() for file in run.manifest["settings"]["inputs"])
    except RunError:  # of an earlier release's sample, or damaged: it is only a cache
        anew = True
    if anew:
        run = curate(shards, sample / "metadata.parquet", out, overwrite=True)
    _embed_sample(run, sample / "clip" / "embeddings")
    return run.path


def _embed_sample(run: Run, made: Path) -> None:
    """Import the vectors that come with the sample, and their map, unless the run has them."""
    from metaclip_core.embedding import import_embeddings, model_named, open_embeddings
    from metaclip_core.storage import write_atomically

    try:
        open_embeddings(run, model_named())
    except EmbeddingError:  # none yet, or damaged
        import_embeddings(run, made, model_named())
        folder = open_embeddings(run, model_named()).path
        for points in made.glob("map-*.parquet"):
            with write_atomically(folder / points.name) as file:
                file.write(points.read_bytes())


def _run(options: argparse.Namespace) -> int:
    from metaclip_core.embedding.stored import fetch_embeddings
    from metaclip_core.storage import cache_folder

    app = app_folder()
    if remote := next((root for root in options.root if is_remote(root)), None):
        raise SettingsError(f"--root {remote}: must be a folder of this machine; a run in a store is opened as RUN")
    roots = [Path(root).resolve() for root in options.root]
    for root in roots:
        if not root.is_dir():
            raise SettingsError(f"--root {root}: no such folder")
    environment = {**os.environ, "METACLIP_JOBS": str(cache_folder() / "jobs")}
    # Threads of OpenMP (torch, FAISS, scikit-learn) that wait keep a core busy by default: where others need it, encoding a
    # query then takes 200 ms instead of one.
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    if options.run:
        run = run_of(options)
        fetch_embeddings(run)
        environment["METACLIP_RUN"] = str(run.path.resolve())
    elif not roots:
        environment["METACLIP_RUN"] = str(sample_run(app).resolve())
        roots = [cache_folder() / "workspace", app / "data_samples"]  # so that a newcomer can curate and export, too
        roots[0].mkdir(parents=True, exist_ok=True)
    environment["METACLIP_ROOTS"] = os.pathsep.join(map(str, roots))
    shown = environment.get("METACLIP_RUN", environment["METACLIP_ROOTS"])
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", options.port)) == 0:
            raise SettingsError(f"port {options.port} is in use, perhaps by another dashboard; choose one with --port")
    print(f"metaclip: http://127.0.0.1:{options.port} shows {shown}; Ctrl-C ends it", file=sys.stderr)
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(options.port)]
    # Streamlit reads .streamlit/config.toml from the folder it is started in.
    if os.name == "posix":  # it takes this process's place, so that whoever ends this process ends the server
        os.chdir(app)
        os.execve(sys.executable, command, environment)
    return subprocess.run(command, cwd=app, env=environment, check=False).returncode
