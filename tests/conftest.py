"""What every test may ask for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real captions and reference results beside the repository; tests that need them have siblings that don't."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data/captions.parquet").exists():
        pytest.skip("no ../shared/data here: the real captions are not part of the project")
    return folder


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
