"""The embedded sample can be searched as soon as it is curated, and nothing heavy is loaded for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from metaclip_core.embedding import open_embeddings
from metaclip_core.run import open_run

REPOSITORY = Path(__file__).parents[2]


def python(code: str, cache: Path) -> str:
    """What the code prints, in a process of its own that runs elsewhere."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=cache, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_a_newcomer_searches_the_sample(tmp_path: Path) -> None:
    run = Path(
        python(
            "import sys; from metaclip_core.cli.dashboard import app_folder, sample_run; print(sample_run(app_folder()))\n"
            "assert not {'torch', 'open_clip', 'sklearn'} & set(sys.modules)",
            tmp_path,
        ).strip()
    )
    made = open_embeddings(open_run(run))
    assert (made.n_images, made.label, made.has_texts) == (9_000, "metaclip-sample", False)
    code = f"from metaclip_core.cli import main; main(['search', {str(run)!r}, 'a red apple', '-k', '10', '--json'])"
    found = json.loads(python(code, tmp_path))
    assert len(found) == 10
    assert sum("apple" in pair["text"].lower() for pair in found) >= 4  # a caption may be silent about it
