"""Embeddings that were made elsewhere, joined by key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.embedding import embed, import_embeddings, model_named, open_embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.run import Run
from metaclip_core.search import Searcher

DIM = 8


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two parts of 5 and 4 pairs; keys k0 .. k8, uids u0 .. u8."""
    for name, rows in (("a", range(5)), ("b", range(5, 9))):
        pl.DataFrame(
            {"text": [f"a dog {i}" for i in rows], "uid": [f"u{i}" for i in rows], "key": [f"k{i}" for i in rows]}
        ).write_parquet(tmp_path / f"{name}.parquet")
    pl.DataFrame({"entry": ["dog"]}).write_parquet(tmp_path / "metadata.pq")
    return curate(
        [tmp_path / "a.parquet", tmp_path / "b.parquet"], _metadata(tmp_path), tmp_path / "run", format="parquet"
    )


def _metadata(folder: Path) -> Path:
    pl.DataFrame({"entry": ["dog"]}).write_parquet(folder / "metadata" / "m.parquet", mkdir=True)
    return folder / "metadata" / "m.parquet"


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(9, DIM)).astype(np.float32) * 3


def clip_retrieval(folder: Path, names: list[list[str]], images: np.ndarray, texts: np.ndarray | None) -> Path:
    start = 0
    for number, keys in enumerate(names):
        stop = start + len(keys)
        for kind, array in (("img_emb", images), ("text_emb", texts)):
            if array is not None:
                (folder / kind).mkdir(parents=True, exist_ok=True)
                np.save(folder / kind / f"{kind}_{number}.npy", array[start:stop].astype(np.float16))
        frame = pl.DataFrame({"image_path": keys, "caption": ["x"] * len(keys)})
        frame.write_parquet(folder / "metadata" / f"metadata_{number}.parquet", mkdir=True)
        start = stop
    return folder


def test_clip_retrievals_folder(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    order = [8, 0, 3, 5, 1, 2]
    folder = clip_retrieval(
        tmp_path / "cr", [["k8", "k0", "k3", "nobody"], ["k5", "k1", "k2"]],
        np.insert(vectors[order], 3, 1, axis=0), np.insert(-vectors[order], 3, 1, axis=0),
    )  # fmt: skip
    report = import_embeddings(run, folder)
    assert (report.read, report.joined, report.unjoined, report.pairs_without) == (7, 6, 1, 3)
    made = open_embeddings(run)
    assert made.content == report.embeddings.content
    assert np.flatnonzero(made.present).tolist() == sorted(order)
    np.testing.assert_allclose(made.vectors(np.array(order)), unit(vectors[order]), atol=2e-3)
    np.testing.assert_allclose(made.vectors(np.array(order), "text"), -unit(vectors[order]), atol=2e-3)
    assert not made.vectors(np.array([4, 6, 7])).any()


def test_datacomps_npz_is_joined_by_uid(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "dc"
    folder.mkdir()
    arrays = {"b32_img": vectors[:, :4], "b32_txt": vectors[:, 4:], "l14_img": vectors, "l14_txt": -vectors}
    for name, rows in (("one", slice(0, 6)), ("two", slice(6, 9))):
        np.savez(folder / f"{name}.npz", **{key: array[rows].astype(np.float16) for key, array in arrays.items()})
        uids = [f"u{i}" for i in range(9)][rows]
        pl.DataFrame({"uid": uids, "key": ["wrong"] * len(uids)}).write_parquet(folder / f"{name}.parquet")
    with pytest.raises(EmbeddingError, match=r"holds arrays for b32, l14; say which one: --array NAME"):
        import_embeddings(run, folder)
    with pytest.raises(EmbeddingError, match=r"holds arrays for b32, l14, not for 'h14'"):
        import_embeddings(run, folder, array="h14")
    report = import_embeddings(run, folder, array="l14")
    assert (report.joined, report.unjoined, report.pairs_without) == (9, 0, 0)
    np.testing.assert_allclose(report.embeddings.vectors(np.arange(9)), unit(vectors), atol=2e-3)
    assert report.embeddings.has_texts
    assert import_embeddings(run, folder / "one.npz", array="b32").embeddings.dim == 4


def test_vectors_that_are_none_and_names_that_come_twice(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    vectors[1] = np.nan
    vectors[2] = 0
    vectors[3, 0] = np.inf
    folder = clip_retrieval(tmp_path / "cr", [["k0", "k1", "k2", "k3", "k0", "k5", "k6", "k7", "k8"]], vectors, None)
    report = import_embeddings(run, folder)
    assert (report.joined, report.unjoined, report.pairs_without) == (5, 4, 4)
    np.testing.assert_allclose(report.embeddings.vectors(np.array([0])), unit(vectors[:1]), atol=2e-3)
    assert report.embeddings.manifest["unreadable"] == {"not_imported": 4}


def test_where_no_uid_is_known_the_key_is_asked(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "dc").mkdir()
    np.savez(tmp_path / "dc" / "x.npz", b32_img=vectors[:2])
    pl.DataFrame({"uid": ["another", "pool's"], "key": ["k4", "k8"]}).write_parquet(tmp_path / "dc" / "x.parquet")
    assert np.flatnonzero(import_embeddings(run, tmp_path / "dc").embeddings.present).tolist() == [4, 8]


def test_of_two_files_that_name_a_pair_the_first_counts(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    report = import_embeddings(run, clip_retrieval(tmp_path / "cr", [["k0", "k1"], ["k1", "k2"]], vectors, None))
    assert (report.read, report.joined, report.unjoined) == (4, 3, 1)
    np.testing.assert_allclose(report.embeddings.vectors(np.arange(3)), unit(vectors[[0, 1, 3]]), atol=2e-3)


def test_whole_numbers_are_vectors_too(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "dc"
    folder.mkdir()
    whole = np.rint(vectors * 10).astype(np.int8)
    np.savez_compressed(folder / "x.npz", small_img=whole)
    pl.DataFrame({"key": [f"k{i}" for i in range(9)]}).write_parquet(folder / "x.parquet")
    report = import_embeddings(run, folder)
    np.testing.assert_allclose(report.embeddings.vectors(np.arange(9)), unit(whole.astype(float)), atol=2e-3)


def _nothing(folder: Path) -> None:
    folder.mkdir()


def _other_keys(folder: Path) -> None:
    clip_retrieval(folder, [["x", "y"]], np.ones((2, DIM)), None)


def _too_few_names(folder: Path) -> None:
    clip_retrieval(folder, [["k0", "k1"]], np.ones((2, DIM)), None)
    np.save(folder / "img_emb" / "img_emb_0.npy", np.ones((3, DIM), np.float16))


def _no_names(folder: Path) -> None:
    clip_retrieval(folder, [["k0", "k1"]], np.ones((2, DIM)), None)
    (folder / "metadata" / "metadata_0.parquet").unlink()


def _no_column(folder: Path) -> None:
    clip_retrieval(folder, [["k0", "k1"]], np.ones((2, DIM)), None)
    pl.DataFrame({"a": [1, 2], "b": [3, 4]}).write_parquet(folder / "metadata" / "metadata_0.parquet")


def _not_vectors(folder: Path) -> None:
    clip_retrieval(folder, [["k0", "k1"]], np.ones((2, DIM)), None)
    np.save(folder / "img_emb" / "img_emb_0.npy", np.array(["a", "b"]))


def _objects(folder: Path) -> None:
    clip_retrieval(folder, [["k0", "k1"]], np.ones((2, DIM)), None)
    np.save(folder / "img_emb" / "img_emb_0.npy", np.array([{}, {}], object), allow_pickle=True)


def _other_lengths(folder: Path) -> None:
    clip_retrieval(folder, [["k0", "k1"], ["k2"]], np.ones((3, DIM)), None)
    np.save(folder / "img_emb" / "img_emb_1.npy", np.ones((1, DIM + 1), np.float16))


def _no_archive(folder: Path) -> None:
    folder.mkdir()
    (folder / "x.npz").write_bytes(b"PK nothing")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_nothing, "no embeddings that can be read; expected clip-retrieval's folder"),
        (_other_keys, r"none of its 2 vectors belongs to a pair .*such as 'x'"),
        (_too_few_names, "3 vectors of pictures, but 2 names beside them"),
        (_no_names, "metadata_0.parquet: missing or damaged"),
        (_no_column, "no column that names the pairs; got a, b, allowed are uid, key, image_path"),
        (_not_vectors, "the pictures are <U1 of shape"),
        (_objects, "not an .npy file that can be read"),
        (_other_lengths, "other vectors than in img_emb_0.npy: 9 dimensions without texts, 8 dimensions without texts"),
        (_no_archive, "not an npz file that can be read"),
    ],
)
def test_what_can_not_be_imported(run: Run, tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "in")
    with pytest.raises(EmbeddingError, match=message):
        import_embeddings(run, tmp_path / "in")
    with pytest.raises(EmbeddingError, match="no embeddings yet"):
        open_embeddings(run)


def test_without_a_model_there_is_no_search_by_text(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    import_embeddings(run, clip_retrieval(tmp_path / "cr", [[f"k{i}" for i in range(9)]], vectors, None))
    searcher = Searcher.open(run)
    assert len(searcher.like(0, balance=run.balance(), t=1, k=3)) == 3
    with pytest.raises(EmbeddingError, match="nobody said which model made these embeddings"):
        searcher.text_vector("a dog")


def test_vectors_of_another_model_are_found_out(run: Run, vectors: np.ndarray, tmp_path: Path) -> None:
    folder = clip_retrieval(tmp_path / "cr", [[f"k{i}" for i in range(9)]], vectors, None)
    import_embeddings(run, folder, model_named())
    with pytest.raises(EmbeddingError, match="vectors of 8 dimensions, metaclip-sample makes 128"):
        Searcher.open(run, model_named()).text_vector("a dog")


def test_captions_are_added_to_imported_pictures(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run(n=10, bad={}, name="pictured")
    made = embed(run, texts=False)
    vectors = made.vectors(np.arange(10))
    folder = clip_retrieval(tmp_path / "cr", [[f"{i:05}" for i in range(9)]], -vectors, None)
    imported = import_embeddings(run, folder, model_named()).embeddings
    searcher = Searcher.open(run)
    assert searcher.search(-vectors[3], balance=run.balance(), t=1, k=1)["score"][0] > 0.99
    added = embed(run)
    assert added.has_texts
    assert (added.content, added.manifest["origin"], added.n_images) == (imported.content, "imported: cr", 9)
    np.testing.assert_allclose(added.vectors(np.arange(9)), -vectors[:9], atol=2e-3)


def test_the_command_line_counts_what_did_not_join(
    run: Run, vectors: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = clip_retrieval(tmp_path / "cr", [["k0", "k1", "x"]], vectors, None)
    assert main(["embed", str(run.path), "--from", str(folder)]) == 0
    assert "2 of 3 vectors joined, 1 did not; 7 pairs without" in capsys.readouterr().out
