"""How fast search is beside plain numpy, and how much of the exact answer the approximate index finds.

    python benchmarks/search_speed.py                   # a million pairs of 512 dimensions: 8 GB of disk, 10 minutes
    python benchmarks/search_speed.py --n 100000 --dim 128

The vectors vary in 24 directions, in clusters that overlap, and a little in all others; the queries lie apart from them, as
CLIP's texts lie apart from its pictures. numpy works on the same vectors, in float32 in memory, in the same process. Pairs,
embeddings and index are made by the functions that everyone uses.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import polars as pl

from metaclip_core.curation import curate
from metaclip_core.embedding import import_embeddings
from metaclip_core.kernels.threads import available_cores
from metaclip_core.run import Run
from metaclip_core.search import index as index_module
from metaclip_core.search.index import Index, open_index

K = 20
LATENT = 24
CHUNK = 100_000

Search = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


class World:
    """Where vectors are drawn from: clusters in 24 dimensions, laid into `dim`."""

    def __init__(self, dim: int) -> None:
        self.rng = np.random.default_rng(0)
        self.centres = self.normal(2_000, LATENT)
        self.spread = self.normal(LATENT, dim)
        self.gap = 4 * self.normal(dim)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape, np.float32)

    def draw(self, n: int, *, texts: bool) -> np.ndarray:
        """float32 (n, dim), of length 1: pictures, or texts, which are vaguer and lie apart."""
        latent = self.centres[self.rng.integers(0, len(self.centres), n)] + (1.5 if texts else 1.0) * self.normal(
            n, LATENT
        )
        vectors = latent @ self.spread + self.normal(n, self.spread.shape[1]) + texts * self.gap
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_run(folder: Path, n: int, dim: int) -> tuple[Run, np.ndarray]:
    """A run of n pairs with imported embeddings, and 1,000 queries: float32 (1000, dim)."""
    world = World(dim)
    for number, start in enumerate(range(0, n, CHUNK)):
        rows = min(CHUNK, n - start)
        keys = [f"k{i}" for i in range(start, start + rows)]
        pl.DataFrame({"text": [f"a dog {i % 1000}" for i in range(rows)], "key": keys}).write_parquet(
            folder / "pool" / f"{number:05}.parquet", mkdir=True
        )
        for kind, texts in (("img_emb", False), ("text_emb", True)):
            (folder / "cr" / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / "cr" / kind / f"{kind}_{number}.npy", world.draw(rows, texts=texts).astype(np.float16))
        pl.DataFrame({"key": keys}).write_parquet(folder / "cr" / "metadata" / f"metadata_{number}.parquet", mkdir=True)
    pl.DataFrame({"entry": ["dog", *map(str, range(1000))]}).write_parquet(folder / "metadata.parquet")
    run = curate(folder / "pool", folder / "metadata.parquet", folder / "run", workers=1)
    return run, world.draw(1_000, texts=True)


def by_numpy(vectors: np.ndarray) -> Search:
    def search(query: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
        scores = vectors @ query
        if allowed is not None:
            scores[~allowed] = -np.inf
        best = np.argpartition(-scores, K)[:K]
        return best[np.argsort(-scores[best])]

    return search


def by_index(index: Index) -> Search:
    return lambda query, allowed: index.search(query, K, allowed)[0]


def measure(
    search: Search, queries: np.ndarray, allowed: np.ndarray | None, truth: list[np.ndarray]
) -> tuple[float, float, float]:
    """(median, 95th percentile) of the time in milliseconds, and recall of the first ten."""
    times, found = [], []
    for query in queries:
        began = time.perf_counter()
        rows = search(query, allowed)
        times.append((time.perf_counter() - began) * 1e3)
        found.append(rows)
    recall = np.mean([np.isin(t[:10], f[:10]).mean() for t, f in zip(truth, found, strict=True)])
    return float(np.median(times)), float(np.percentile(times, 95)), float(recall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="search-speed-"))
    try:
        _compare(folder, options.n, options.dim, options.queries)
    finally:
        shutil.rmtree(folder)


def _compare(folder: Path, n: int, dim: int, n_queries: int) -> None:
    began = time.perf_counter()
    run, queries = make_run(folder, n, dim)
    embeddings = import_embeddings(run, folder / "cr").embeddings
    print(f"made and imported in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    queries = queries[:n_queries]
    vectors = embeddings.vectors(np.arange(n))
    kept = run.balance().keep_t
    filters = {
        "none": None,
        "half kept": kept < np.median(kept),
        "one in 1,000": kept < np.quantile(kept, 0.001),
    }
    ways = {"numpy": by_numpy(vectors)}
    for name, exact_bytes in (("exact index", 2**62), ("approximate index", 0)):
        index_module.EXACT_BYTES = exact_bytes
        (embeddings.path / "index.json").unlink(missing_ok=True)
        began = time.perf_counter()
        index = open_index(embeddings)
        print(f"{name}: made in {time.perf_counter() - began:.0f} s; {index.report}", file=sys.stderr)
        if name == "exact index":  # its file is replaced, its memory map stays
            (embeddings.path / "index.faiss").rename(embeddings.path / "exact.faiss")
        ways[name] = by_index(index)
    print(f"\n{n:,} vectors of {dim} dimensions, {n_queries} text queries, k = {K}; {available_cores()} cores, "
          f"Python {platform.python_version()}, numpy {np.__version__}, faiss {faiss.__version__}\n")  # fmt: skip
    print("| filter | way | median ms | 95th percentile ms | recall@10 |\n| --- | --- | --- | --- | --- |")
    for label, allowed in filters.items():
        truth = [ways["numpy"](query, allowed) for query in queries]
        for name, search in ways.items():
            search(queries[0], allowed)
            median, p95, recall = measure(search, queries, allowed, truth)
            print(f"| {label} | {name} | {median:.1f} | {p95:.1f} | {recall:.3f} |", flush=True)


if __name__ == "__main__":
    main()
