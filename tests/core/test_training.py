"""Balancing while tars are read: the fixed draw is the run's, fresh draws are in proportion to P(keep)."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.curation import curate
from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.run import Run
from metaclip_core.training import Balanced, balanced_dataset, epoch_seed

SAMPLE = Path(__file__).resolve().parents[2] / "data_samples"
T = 20.0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shards = [SAMPLE / f"shards/{number:05d}.tar" for number in (0, 1)]
    return curate(shards, SAMPLE / "metadata.parquet", tmp_path_factory.mktemp("run") / "run")


def samples(run: Run) -> list[dict[str, str]]:
    frame = run.pairs(["key", "image_path"]).collect()
    return [{"__key__": key, "__url__": path} for key, path in frame.iter_rows()]


def kept(stage: Balanced, run: Run) -> list[str]:
    return [sample["__key__"] for sample in stage(samples(run))]


def test_the_fixed_draw_is_the_curated_set(run: Run) -> None:
    for sources, seed in ((None, None), (["wordnet"], 7), ([], None)):
        balance = run.balance(sources=sources, seed=seed)
        keys = run.pairs(["key"]).collect()["key"].filter(pl.Series(balance.keep_t < T)).to_list()
        assert kept(Balanced(run, T, sources=sources, seed=seed), run) == keys
    assert len(kept(Balanced(run.path, T), run)) == run.balance().curated_size(T)


def test_each_epoch_draws_anew_in_proportion_to_the_probability(run: Run) -> None:
    epoch = 0
    stage = Balanced(run, T, epoch=lambda: epoch)
    keys = run.pairs(["key"]).collect()["key"].to_list()
    seen, first = np.zeros(len(keys)), []
    n_epochs = 60
    for epoch in range(n_epochs):
        of_epoch = kept(stage, run)
        assert of_epoch == kept(Balanced(run, T, seed=epoch_seed(run.seed, epoch)), run)
        first.append(set(of_epoch))
        seen += np.isin(keys, of_epoch)
    assert first[0] != first[1]
    probability = run.balance().keep_probability(T)
    assert (seen[probability == 1] == n_epochs).all()
    assert (seen[probability == 0] == 0).all()
    deviation = (seen - n_epochs * probability) / np.sqrt(n_epochs * np.maximum(probability * (1 - probability), 1e-9))
    open_ones = (probability > 0) & (probability < 1)
    assert abs(deviation[open_ones].mean()) < 0.2
    assert 0.8 < deviation[open_ones].std() < 1.2


def test_a_pickled_stage_is_its_settings(run: Run) -> None:
    stage = Balanced(run, T, sources=["wordnet"])
    kept(stage, run)
    data = pickle.dumps(stage)
    assert len(data) < 1000
    assert kept(pickle.loads(data), run) == kept(stage, run)


def _write_kept(stage: Balanced, given: list[dict[str, str]], path: Path) -> None:
    path.write_text("\n".join(sample["__key__"] for sample in stage(given)))


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads: it is what loaders do
def test_it_works_in_a_loaders_worker_process(run: Run, tmp_path: Path, method: str) -> None:
    stage, given = Balanced(run, T), samples(run)
    process = multiprocessing.get_context(method).Process(target=_write_kept, args=(stage, given, tmp_path / "kept"))
    process.start()
    process.join(120)
    if process.exitcode is None:
        process.kill()
        pytest.fail("the worker process waits for ever")
    assert process.exitcode == 0
    assert (tmp_path / "kept").read_text().split("\n") == kept(stage, run)


def test_a_tar_of_another_run_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=r"99999\.tar: the run .* has no such tar"):
        list(Balanced(run, T)([{"__key__": "k", "__url__": "/elsewhere/99999.tar"}]))
    moved = [{**sample, "__url__": "/moved/" + Path(sample["__url__"]).name} for sample in samples(run)]
    assert [s["__key__"] for s in Balanced(run, T)(moved)] == kept(Balanced(run, T), run)
    with pytest.raises(SettingsError, match="unknown source 'nonsense'"):
        Balanced(run, T, sources=["nonsense"])


# webdataset leaves a tar that it has read to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_pipeline_reads_the_kept_samples_of_the_tars(run: Run) -> None:
    pytest.importorskip("webdataset", reason="the package webdataset is not installed")
    dataset = balanced_dataset(run, T)
    read = [(sample["__key__"], len(sample["webp"]) > 100, sample["txt"].decode()) for sample in dataset]
    del dataset
    gc.collect()
    frame = run.pairs(["key", "text", "keep_t"]).collect().filter(pl.col("keep_t") < T)
    assert read == [(key, True, text) for key, text, _ in frame.iter_rows()]
