"""The installed wheel, elsewhere: the embedded sample opens without an argument, and a changed cache is made anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(folder),
            str(REPOSITORY),
        ],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_curates_and_shows_the_sample(installed: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in installed.iterdir() if "dist-info" not in path.name) == [
        "metaclip_core",
        "metaclip_dashboard",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{installed}{os.pathsep}{sysconfig.get_path('purelib')}",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    code = (
        "import metaclip_core.cli.dashboard as cli; from pathlib import Path; app = cli.app_folder()\n"
        f"assert Path({str(installed)!r}) in app.parents, app\n"
        "print(cli.sample_run(app))"
    )

    def sample_run() -> Path:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return Path(done.stdout.strip())

    run = sample_run()
    assert json.loads((run / "manifest.json").read_bytes())["totals"]["pairs"] == 9000
    assert len(list((run / "embeddings").glob("*/manifest.json"))) == 1
    written = (run / "manifest.json").stat().st_mtime_ns
    assert sample_run() == run
    assert (run / "manifest.json").stat().st_mtime_ns == written  # nothing is done twice
    (run / "parts/00003.parquet").unlink()
    assert sample_run() == run
    assert (run / "parts/00003.parquet").exists()
    assert len(list((run / "embeddings").glob("*/manifest.json"))) == 1  # made again with it
