"""The Ray engine on a real cluster: the same bytes as the local one, also when a node dies in the middle."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest

from metaclip_core.curation import curate
from metaclip_core.engines import engine_named
from metaclip_core.engines.ray import ray_workers
from metaclip_core.errors import PoolError, RecordError, SettingsError
from metaclip_core.run import Run

from .commands import contents as every_file
from .stores import stored

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of many kinds

N_SHARDS = 12


@pytest.fixture(scope="module")
def ray_environment() -> Iterator[Path]:
    """A home of its own for Ray, with a short path (its sockets' names are bounded), from which nothing goes out."""
    home = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp" if sys.platform != "win32" else None))
    (home / "ray_bootstrap_config.yaml").write_text("cluster_name: local\nprovider: {type: local}\n")
    here = Path(__file__).resolve().parent  # the workers import this module's stages
    settings = {
        "HOME": str(home),
        "RAY_TMPDIR": str(home),
        "FSSPEC_DIR": json.dumps({"path": str(home / "store"), "target_protocol": "file"}),  # where dir:// leads
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
        "PYTHONPATH": os.pathsep.join([*map(str, (here.parents[1], here)), os.environ.get("PYTHONPATH", "")]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setitem(fsspec.config.conf, "dir", json.loads(settings["FSSPEC_DIR"]))
        yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def cluster(ray_environment: Path) -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        memory = 150 * 2**20
        head = {"num_cpus": 0, "object_store_memory": memory, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=memory) for _ in "ab"]
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster, nodes
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "pool").mkdir()
    for shard in range(N_SHARDS):
        texts = [f"a dog {i % 9} and cat {shard}" for i in range(200)]
        pl.DataFrame({"text": texts}).write_parquet(folder / f"pool/{shard:02}.parquet")
    pl.DataFrame({"entry": ["dog", "1", "7", "a dog", "cat"]}).write_parquet(folder / "metadata.parquet")
    return folder


def run_of(pool: Path, out: Path, **options: Any) -> Run:
    return curate(pool / "pool", pool / "metadata.parquet", out, **options)


def contents(run: Run) -> dict[str, bytes]:
    names = ["entries.parquet", "skipped.parquet", *(f"parts/{path.name}" for path in run.part_paths)]
    return {name: (run.path / name).read_bytes() for name in names}


def test_a_node_is_killed_in_the_middle_and_the_bytes_are_the_same(pool: Path, tmp_path: Path, cluster: Any) -> None:
    ray_cluster, nodes = cluster
    killed = []

    def kill(progress: Any) -> None:
        if progress.stage == "match" and progress.done == 3 and not killed:
            ray_cluster.remove_node(nodes[1], allow_graceful=False)
            killed.append(progress.done)

    on_ray = run_of(pool, tmp_path / "ray", engine="ray", workers=2, on_progress=kill)
    assert killed == [3]
    local = run_of(pool, tmp_path / "local", workers=1)
    assert contents(on_ray) == contents(local)
    assert on_ray.fingerprint == local.fingerprint
    assert on_ray.manifest == local.manifest


def test_a_run_in_a_store_stopped_and_with_a_node_killed_is_the_same_bytes(
    pool: Path, tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers read and write the store; no path of the run is one of this machine's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ray_cluster, nodes = cluster

    class Stopped(BaseException):
        pass

    def stop(progress: Any) -> None:
        if (progress.stage, progress.done) == ("match", 3):
            raise Stopped

    def kill(progress: Any) -> None:
        if (progress.stage, progress.done) == ("threshold", 3):
            ray_cluster.remove_node(nodes[1], allow_graceful=False)

    with pytest.raises(Stopped):
        curate(pool / "pool", pool / "metadata.parquet", "dir://bucket/run", engine="ray", workers=2, on_progress=stop)
    run = curate(
        pool / "pool", pool / "metadata.parquet", "dir://bucket/run", engine="ray", workers=2, on_progress=kill
    )
    local = run_of(pool, tmp_path / "local")
    assert stored("dir://bucket/run") == every_file(local.path)
    assert run.pairs().collect().equals(local.pairs().collect())


def _slow_square(context: int, item: int) -> tuple[int, int]:
    time.sleep(0.2)
    return context + item * item, os.getpid()


def _refuse(context: None, item: int) -> int:
    if item == 2:
        raise RecordError("pool.parquet", "row 2", "no_text", "it has no text")
    return item


def test_tasks_run_on_both_nodes_and_errors_come_back_as_they_were(cluster: Any) -> None:
    with ray_workers(2) as map_stage:
        results = dict(map_stage(_slow_square, 100, range(10)))
        assert {number: value for number, (value, _) in results.items()} == {i: 100 + i * i for i in range(10)}
        assert len({pid for _, pid in results.values()} | {os.getpid()}) >= 3
        with pytest.raises(PoolError, match="row 2: it has no text") as caught:
            list(map_stage(_refuse, None, range(6)))
        assert type(caught.value) is RecordError
        assert list(map_stage(_refuse, None, [])) == []


def test_without_ray_the_error_names_the_extra(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'metaclip-dashboard\[ray\]'"):
        run_of(pool, tmp_path / "run", engine="ray")


def test_unknown_engine() -> None:
    with pytest.raises(SettingsError, match="unknown engine 'spark'; there are: local, ray"):
        engine_named("spark")
