"""From a run to its embeddings: what is written, what is passed over, what goes on, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.embedding import embed, job, list_embeddings, model_named, open_embeddings
from metaclip_core.embedding.encoder import Encoder, load_encoder
from metaclip_core.errors import EmbeddingError, ModelError
from metaclip_core.progress import Progress
from metaclip_core.run import Run, open_run
from metaclip_core.search import agreement

MakeRun = Callable[..., Run]


def test_every_picture_and_caption_gets_a_unit_vector_in_the_runs_order(make_run: MakeRun) -> None:
    run = make_run()
    stages: list[tuple[str, int, int]] = []
    made = embed(run, on_progress=lambda p: stages.append((p.stage, p.done, p.total)))
    assert made.run.fingerprint == run.fingerprint
    assert (made.n_images, made.has_texts) == (28, True)
    assert made.manifest["unreadable"] == {"not_a_picture": 2}
    assert np.flatnonzero(~made.present).tolist() == [7, 21]
    rows = np.arange(30)
    images, texts = made.vectors(rows), made.vectors(rows, "text")
    assert images.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(images[made.present], axis=1), 1, atol=1e-3)
    assert not images[~made.present].any()
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-3)
    # Rows 0 and 6 show the same colour; captions are told apart by their number.
    np.testing.assert_allclose(images[0], images[6], atol=2e-3)
    expected = load_encoder(model_named()).encode_texts(run.pairs(["text"]).collect()["text"].to_list())
    np.testing.assert_allclose(texts, expected, atol=2e-3)
    np.testing.assert_array_equal(made.vectors(np.array([29, 0, 16])), images[[29, 0, 16]])
    for stage in ("images", "texts"):
        done = [n for name, n, total in stages if name == stage and total == 30]
        assert done == sorted(done)
        assert done[-1] == 30


def test_a_finished_embed_does_nothing_and_needs_no_model(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    first = embed(run)

    def refuse(*arguments: object, **options: object) -> Encoder:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(job, "load_encoder", refuse)
    assert embed(run).content == first.content
    assert embed(run, texts=False).content == first.content


def test_an_interrupted_embed_goes_on_from_its_parts(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()

    def interrupt(progress: Progress) -> None:
        if progress.done > 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(run, on_progress=interrupt)
    assert list_embeddings(run) == []
    with pytest.raises(EmbeddingError, match=r"no embeddings by metaclip-sample; `metaclip embed .*` makes them"):
        open_embeddings(run, model_named())
    decoded: list[str] = []
    real = job.decode_picture
    monkeypatch.setattr(job, "decode_picture", lambda data, name, **o: decoded.append(name) or real(data, name, **o))
    made = embed(run)
    assert {Path(name).name for name in decoded} == {"b.tar"}
    whole = embed(make_run(name="again"))
    np.testing.assert_array_equal(made.vectors(np.arange(30)), whole.vectors(np.arange(30)))


def test_captions_can_be_added_later(make_run: MakeRun) -> None:
    run = make_run()
    made = embed(run, texts=False)
    assert not made.has_texts
    with pytest.raises(EmbeddingError, match="captions were not embedded"):
        agreement(made)
    added = embed(run)
    assert added.has_texts
    assert added.content == made.content
    scores = agreement(added)
    rows = np.arange(30)
    expected = (added.vectors(rows) * added.vectors(rows, "text")).sum(axis=1)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [7, 21]
    np.testing.assert_allclose(scores[added.present], expected[added.present], atol=1e-6)
    np.testing.assert_array_equal(agreement(added), scores)


def test_pictures_that_are_gone_are_counted(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(bad={})
    (tmp_path / "pool-run" / "b.tar").unlink()
    assert embed(run).manifest["unreadable"] == {"missing_file": 15}


def test_a_run_without_pictures_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a dog", "a cat"]}).write_parquet(tmp_path / "pool.parquet")
    pl.DataFrame({"entry": ["dog"]}).write_parquet(tmp_path / "metadata.parquet")
    run = curate(tmp_path / "pool.parquet", tmp_path / "metadata.parquet", tmp_path / "run")
    with pytest.raises(EmbeddingError, match="none of its 2 pairs has a picture"):
        embed(run)


def test_vectors_of_the_wrong_length_are_refused(make_run: MakeRun) -> None:
    run = make_run()
    made = embed(run)
    part = made.path / "image" / "00001.npy"
    vectors = np.load(part)
    np.save(part, vectors[:-1])
    with pytest.raises(
        EmbeddingError, match=r"00001\.npy: float16 of shape \(14, 128\), but the run's part has 15 pairs"
    ):
        open_embeddings(run)
    np.save(part, vectors.astype(np.float32))
    with pytest.raises(EmbeddingError, match=r"00001\.npy: float32"):
        list_embeddings(run)
    part.write_bytes(b"nonsense")
    with pytest.raises(EmbeddingError, match=r"00001\.npy: missing or damaged"):
        open_embeddings(run)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("run", "0" * 32, "made for another run"),
        ("format_version", 99, "of format version 99, this program reads 1"),
        ("parts", [], "0 vectors for 30 pairs"),
        ("dim", None, "damaged"),
    ],
)
def test_a_manifest_of_something_else_is_refused(make_run: MakeRun, field: str, value: object, message: str) -> None:
    made = embed(make_run())
    path = made.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(EmbeddingError, match=message):
        open_embeddings(made.run)


def test_a_run_with_embeddings_is_still_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    embed(run)
    assert open_run(run.path).fingerprint == run.fingerprint
    assert make_run().fingerprint == run.fingerprint  # the same settings do nothing
    assert len(list_embeddings(run)) == 1
    again = curate(tmp_path / "pool-run", tmp_path / "metadata.parquet", run.path, seed=1, overwrite=True)
    assert list_embeddings(again) == []


def test_the_command_line(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    assert main(["search", str(run.path), "a red card", "--json"]) == 1
    assert f"no embeddings yet; `metaclip embed {run.path}` makes them" in capsys.readouterr().err
    assert main(["embed", str(run.path)]) == 0
    assert "28 pictures by metaclip-sample; without: 2 not a picture; exact index" in capsys.readouterr().out
    assert main(["embed", str(run.path), "--model", "ViT-Z-99", "--pretrained", "openai"]) == 1
    assert "open_clip knows no model 'ViT-Z-99'" in capsys.readouterr().err
    with pytest.raises(ModelError, match="needs --pretrained"):
        model_named("ViT-B-32")
