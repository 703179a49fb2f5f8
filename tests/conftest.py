"""What every test may ask for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

# Read when OpenMP is loaded, by torch, FAISS and scikit-learn. Waiting threads that keep a core busy make tests several times
# slower on a machine that others use.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real captions and reference results beside the repository; tests that need them have siblings that don't."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data/captions.parquet").exists():
        pytest.skip("no ../shared/data here: the real captions are not part of the project")
    return folder


@pytest.fixture(scope="session")
def sample_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A newcomer's XDG_CACHE_HOME in which the embedded sample is curated and can be searched; torch is not loaded for it."""
    cache = tmp_path_factory.mktemp("cache")
    code = (
        "import sys; from metaclip_core.cli.dashboard import app_folder, sample_run; sample_run(app_folder())\n"
        "assert not {'torch', 'open_clip', 'sklearn'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(cache)}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=cache, check=True)
    return cache


@pytest.fixture(scope="session")
def sample_texts() -> list[str]:
    """A thousand captions of seeded words, marks and runs of spaces."""
    rng = random.Random(20230928)
    words = [
        "a",
        "the",
        "of",
        "dog",
        "cat",
        "hot dog",
        "new york",
        "99",
        ",",
        ".",
        "!",
        "",
        "é",
        "日本",
        "x:y",
        "\t",
        "end.",
    ]
    return [rng.choice([" ", " ", ""]).join(rng.choices(words, k=rng.randrange(12))) for _ in range(1000)]
