"""Embeddings of a run in a store: made on one machine, searched on another."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from metaclip_core.curation import curate
from metaclip_core.embedding import embed, import_embeddings, model_named, open_embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.run import Run, open_run
from metaclip_core.search import Searcher
from metaclip_core.store import StorePath

URL = "memory://embedded/run"


@pytest.fixture
def stored_run(make_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run in a store; `tmp_path/one` is the cache of this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    StorePath("memory://embedded").remove_all()
    make_run()
    return curate(tmp_path / "pool-run", tmp_path / "metadata.parquet", URL)


def test_embedded_here_and_searched_there(stored_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = embed(stored_run)
    names = StorePath(f"{URL}/embeddings/{made.path.name}").sizes()
    assert set(names) == {"manifest.json", "present.npy",
                          *(f"{kind}/0000{i}.npy" for kind in ("image", "text") for i in range(2)),
                          *(f"image/0000{i}.json" for i in range(2))}  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    there = open_embeddings(open_run(URL))
    assert tmp_path / "two" in there.path.parents
    assert there.manifest == made.manifest
    rows = np.arange(30)
    assert np.array_equal(there.vectors(rows), made.vectors(rows))
    found = Searcher.open(open_run(URL)).like(0, balance=stored_run.balance(), t=9, k=5)
    assert found.height == 5
    cut, lost = there.path / "image/00000.npy", there.path / "present.npy"
    cut.write_bytes(b"cut")
    lost.unlink()
    again = open_embeddings(open_run(URL))
    assert np.array_equal(again.vectors(rows), made.vectors(rows))
    assert np.array_equal(again.present, made.present)


@contextmanager
def lost_line() -> Iterator[None]:
    """`present.npy` doesn't reach the store."""
    original = StorePath.put

    def put(self: StorePath, file: Path) -> None:
        if self.name == "present.npy":
            raise ConnectionResetError("the line is cut")
        original(self, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StorePath, "put", put)
        yield


def finished() -> list[str]:
    """The embeddings in the store that say that they are whole."""
    return [name for name in StorePath(f"{URL}/embeddings").sizes() if name.endswith("/manifest.json")]


def test_a_put_that_was_cut_off_is_done_again(stored_run: Run) -> None:
    with lost_line(), pytest.raises(ConnectionResetError):
        embed(stored_run)
    assert not finished()
    made = embed(stored_run)
    shutil.rmtree(made.path)
    assert open_embeddings(open_run(URL)).manifest == made.manifest


def test_other_embeddings_take_the_place_of_those_that_are_here(stored_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    keys = stored_run.pairs(["key"]).collect()
    keys.write_parquet(folder / "metadata/metadata_0.parquet")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30, 8)).astype(np.float32)
    np.save(folder / "img_emb/img_emb_0.npy", first)
    embeddings = import_embeddings(stored_run, folder, model_named()).embeddings
    before = {name: (embeddings.path / name).read_bytes() for name in ("image/00000.npy", "manifest.json")}
    np.save(folder / "img_emb/img_emb_0.npy", second)
    with lost_line(), pytest.raises(ConnectionResetError):
        import_embeddings(stored_run, folder, model_named())
    assert not finished()  # neither the old nor the new
    after = import_embeddings(stored_run, folder, model_named()).embeddings
    vectors = after.vectors(np.arange(30))
    assert (after.path, after.content != embeddings.content) == (embeddings.path, True)
    for name, data in before.items():  # this machine is behind
        (embeddings.path / name).write_bytes(data)
    there = open_embeddings(open_run(URL))
    assert there.manifest == after.manifest
    assert np.array_equal(there.vectors(np.arange(30)), vectors)


def test_without_any(stored_run: Run) -> None:
    with pytest.raises(EmbeddingError, match=f"{URL}: no embeddings yet; `metaclip embed {URL}` makes them"):
        open_embeddings(stored_run)
