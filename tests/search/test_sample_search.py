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


def test_a_newcomer_searches_the_sample(sample_cache: Path) -> None:
    run = open_run(sample_cache / "metaclip-dashboard" / "sample")
    made = open_embeddings(run)
    assert (made.n_images, made.label, made.has_texts) == (9_000, "metaclip-sample", False)
    code = (
        f"from metaclip_core.cli import main; main(['search', {str(run.path)!r}, 'a red apple', '-k', '10', '--json'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=sample_cache, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert len(found) == 10
    assert sum("apple" in pair["text"].lower() for pair in found) >= 4  # a caption may be silent about it
