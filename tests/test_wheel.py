"""The wheel, built and installed elsewhere: its own `metaclip` curates, tells, and shows runs and the embedded sample."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPOSITORY)
    (path,) = folder.glob("*.whl")
    return path


def pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel, and sees the dependencies of this one but no project installed in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    pip("--python", folder / "venv", "install", "--no-deps", "--no-index", "--no-compile", wheel)
    (site,) = (folder / "venv").glob("lib/*/site-packages") if os.name != "nt" else [folder / "venv/Lib/site-packages"]
    # A plain path: the .pth files there, such as that of an editable install, are not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Without PYTHONPATH, and with a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "METACLIP_RUN")}
    return {**kept, "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def small_pool(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    texts = ["a dog", "a cat, a dog", "nothing"] * 20
    pl.DataFrame({"text": texts}).write_parquet(folder / "pool.parquet")
    (folder / "birds.txt").write_text("dog\ncat\na dog\n")
    return folder


def metaclip(installed: Path) -> str:
    return str(installed / "venv" / SCRIPTS / "metaclip")


def run(installed: Path, environment: dict[str, str], cwd: Path, *arguments: str) -> str:
    done = subprocess.run([metaclip(installed), *arguments], env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(installed: Path, environment: dict[str, str], cwd: Path, code: str) -> list[str]:
    """The lines that this code prints in the environment of the wheel."""
    command = [str(installed / "venv" / SCRIPTS / "python"), "-c", code]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {
        "metaclip_core",
        "metaclip_dashboard",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "metaclip_dashboard/.streamlit/config.toml" in names
    assert not [name for name in names if name.endswith(".pyc") or "/tests/" in name]
    assert "metaclip = metaclip_core.cli:main" in entry_points


def test_it_is_not_the_repository(installed: Path, environment: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import metaclip_core, metaclip_core.cli.dashboard as d, importlib.util as u, polars\n"
        "print(metaclip_core.__file__, d.app_folder(), u.find_spec('dashboard'), sep='\\n')"
    )
    core, app, dashboard = python(installed, environment, tmp_path, code)
    assert Path(core).is_relative_to(installed)
    assert Path(app).is_relative_to(installed)
    assert dashboard == "None"  # only the app itself has its folder on the path
    assert run(installed, environment, tmp_path, "--version").startswith("metaclip-dashboard ")


def test_curate_info_and_dashboard(
    installed: Path, environment: dict[str, str], small_pool: Path, tmp_path: Path
) -> None:
    arguments = ("pool.parquet", "--metadata", "species=birds.txt", "--out", "../out/run", "--workers", "1")
    run(installed, environment, small_pool, "curate", *arguments)
    found = json.loads(run(installed, environment, tmp_path, "info", "out/run", "-t", "20", "--json"))
    expected = {"read": 60, "pairs": 60, "matched_pairs": 40, "matches": 100, "sources": ["species"]}
    assert {name: found[name] for name in expected} == expected
    with served(installed, environment, tmp_path, "out/run"):
        assert not (tmp_path / "cache/metaclip-dashboard/sample").exists()


def test_the_dashboard_of_the_sample(installed: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """It is curated at first use, not a second time, and again when the cache was damaged."""
    sample = tmp_path / "cache/metaclip-dashboard/sample"
    with served(installed, environment, tmp_path):
        pass
    assert json.loads((sample / "manifest.json").read_bytes())["totals"]["pairs"] == 9000
    assert len(list((sample / "embeddings").glob("*/manifest.json"))) == 1
    written = (sample / "manifest.json").stat().st_mtime_ns
    again = "from metaclip_core.cli.dashboard import app_folder, sample_run; print(sample_run(app_folder()))"
    assert python(installed, environment, tmp_path, again) == [str(sample)]
    assert (sample / "manifest.json").stat().st_mtime_ns == written
    (sample / "parts/00003.parquet").unlink()
    assert python(installed, environment, tmp_path, again) == [str(sample)]
    assert (sample / "parts/00003.parquet").exists()


def test_a_dashboard_of_no_run(installed: Path, environment: dict[str, str], tmp_path: Path) -> None:
    command = [metaclip(installed), "dashboard", "gone"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("metaclip: gone: no such folder")


@contextmanager
def served(installed: Path, environment: dict[str, str], cwd: Path, *arguments: str) -> Iterator[None]:
    """`metaclip dashboard` until the block ends; its page is there, and its log has no traceback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [metaclip(installed), "dashboard", *arguments, "--port", str(port)]
    with open(cwd / "server.log", "w+b") as log:
        server = subprocess.Popen(command, env=environment, cwd=cwd, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while answer(f"http://127.0.0.1:{port}/_stcore/health") != b"ok":
                assert server.poll() is None, (cwd / "server.log").read_text()
                assert time.monotonic() < deadline, (cwd / "server.log").read_text()
                time.sleep(0.1)
            assert b"<title>" in answer(f"http://127.0.0.1:{port}/")
            yield
        finally:
            server.terminate()
            server.wait(60)
    assert answer(f"http://127.0.0.1:{port}/_stcore/health") == b"", "the server outlives its command"
    assert "Traceback" not in (cwd / "server.log").read_text()


def answer(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return bytes(page.read())
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return b""
