"""What a reader may do wrong, on the command line: one line that says what, and no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.embedding import embed, model_named
from metaclip_core.run import Run

from .test_embedding_pictures import png_that_claims

MakeRun = Callable[..., Run]
Complaint = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complaint:
    """The one line that a command that must fail with this status prints, and nothing else."""

    def run(*arguments: object, status: int = 1) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("metaclip: ")
        assert err.count("\n") == 1
        return err.removeprefix("metaclip: ").rstrip()

    return run


def test_pictures_to_search_by(make_run: MakeRun, complaint: Complaint, tmp_path: Path) -> None:
    run = make_run(n=6, bad={})
    embed(run, texts=False)
    for name, data, message in [
        ("text.png", b"no picture", "the picture: not a picture that can be read (UnidentifiedImageError)"),
        ("huge.png", png_that_claims(20_000, 20_000), "the picture: too large to decode (more than 89,478,485 pixels); at "
         "most 64,000,000 pixels are read"),
        ("heavy.png", bytes(50 * 2**20), "the picture has 52,428,800 bytes; at most 20,971,520 are taken to search by: "
         "reduce it first"),
    ]:  # fmt: skip
        (tmp_path / name).write_bytes(data)
        assert complaint("search", run.path, "--picture", tmp_path / name) == message
    assert complaint("search", run.path, "--picture", tmp_path).endswith("Is a directory")
    assert complaint("search", run.path, " ", status=2) == "the query is empty; describe what the pictures should show"
    endless = "the query has 10,000 words; at most 200 are read: shorten it"
    assert complaint("search", run.path, "word " * 10_000, status=2) == endless


def test_models(make_run: MakeRun, complaint: Complaint, tmp_path: Path) -> None:
    run = make_run(n=6, bad={})
    unknown = "open_clip knows no model 'ViT-Z-99'; `metaclip embed --list` shows those it knows"
    assert complaint("embed", run.path, "--model", "ViT-Z-99", "--pretrained", "openai") == unknown
    absent = complaint("search", run.path, "a card", "--model", "ViT-Z-99", "--pretrained", "openai")
    assert "no embeddings by ViT-Z-99 · openai; `metaclip embed" in absent
    assert "ViT-B-32 has no weights '9t'" in complaint("embed", run.path, "--model", "ViT-B-32", "--pretrained", "9t")
    gone = complaint("embed", run.path, "--model", "ViT-B-32", "--pretrained", tmp_path / "gone.pt")
    assert gone == f"{tmp_path / 'gone.pt'}: No such file or directory; no such model on this machine"

    # a checkpoint of the wrong shape: of a folder, and beside an open_clip name
    weights = (model_named().folder or Path()) / "open_clip_model.safetensors"
    wrong = complaint("embed", run.path, "--model", "RN50", "--pretrained", weights)
    assert "the weights can't be loaded: they are of another model (" in wrong
    shutil.copytree(weights.parent, tmp_path / "model", ignore=shutil.ignore_patterns("embeddings"))
    config = tmp_path / "model" / "open_clip_config.json"
    changed = json.loads(config.read_text())
    changed["model_cfg"]["embed_dim"] *= 2
    config.write_text(json.dumps(changed))
    wrong = complaint("embed", run.path, "--model", f"local-dir:{tmp_path / 'model'}")
    assert "they are of another model (" in wrong
    assert "tensors don't fit; the first: size mismatch for" in wrong


def test_embeddings_of_the_wrong_length(make_run: MakeRun, complaint: Complaint, tmp_path: Path) -> None:
    run = make_run(n=6, bad={})
    np.savez(tmp_path / "made.npz", x_img=np.ones((7, 8), np.float16))
    pl.DataFrame({"key": [f"{i:05}" for i in range(6)]}).write_parquet(tmp_path / "made.parquet")
    message = f"{tmp_path / 'made.npz'}: 7 vectors of pictures, but 6 names beside them"
    assert complaint("embed", run.path, "--from", tmp_path / "made.npz") == message

    part = embed(run, texts=False).path / "image" / "00001.npy"
    np.save(part, np.load(part)[:2])
    short = (
        f"{part}: float16 of shape (2, 128), but the run's part has 3 pairs and the model 128 dimensions (float16); "
    )
    assert complaint("search", run.path, "a card").startswith(short)


def test_a_run_without_pictures(complaint: Complaint, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a dog", "a cat"]}).write_parquet(tmp_path / "pool.parquet")
    pl.DataFrame({"entry": ["dog"]}).write_parquet(tmp_path / "metadata.parquet")
    run = curate(tmp_path / "pool.parquet", tmp_path / "metadata.parquet", tmp_path / "run")
    assert complaint("embed", run.path).startswith(
        f"{run.path}: none of its 2 pairs has a picture on this machine, so there is nothing to embed; "
    )
    assert complaint("search", run.path, "a dog") == (
        f"{run.path}: no embeddings yet; `metaclip embed {run.path}` makes them"
    )
