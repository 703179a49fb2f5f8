"""What a run in a store asks of it: `python benchmarks/store.py --pairs 2e6`.

A generated pool (make_pool.py) is curated by one worker into a store in this process's memory, and its matches are asked for
from there; each request is counted, with its bytes. Then the same onto a disk, for the processor time of both.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
from pipeline import pool_of

from metaclip_core.curation import curate
from metaclip_core.run import open_run
from metaclip_core.store import StorePath

URL = "memory://bucket/run"
requests: Counter[str] = Counter()
n_bytes: Counter[str] = Counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default=2_000_000, type=lambda text: int(float(text)), metavar="N")
    n_pairs = parser.parse_args().pairs
    print(common.describe_machine("fsspec", "pyarrow"), "\n")
    with tempfile.TemporaryDirectory(prefix="metaclip-store-") as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        pool, metadata = pool_of(folder, n_pairs, 500_000)
        curate(pool, metadata, folder / "first")  # compiled now
        disk_s = seconds(lambda: curate(pool, metadata, folder / "run"))
        count_requests()
        store_s = seconds(lambda: curate(pool, metadata, URL))
        n_shards = len(open_run(folder / "run").part_paths)
        print(
            f"curating {n_pairs:,} pairs in {n_shards} shards: {store_s:.1f} s of processor time, on a disk {disk_s:.1f} s"
        )
        report(n_pairs)
        open_run(URL).matches()
        print("\nasking a run for its matches the first time")
        report(n_pairs)


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def count_requests() -> None:
    """From now on, count what is asked of a StorePath."""
    for name in ("put", "create", "read_bytes", "read_range", "blocks", "size", "exists", "sizes", "names", "unlink"):
        setattr(StorePath, name, _counted(name, getattr(StorePath, name)))


def _counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def counted(self: StorePath, *arguments: Any, **settings: Any) -> Any:
        if name == "put":
            n_bytes[name] += arguments[0].stat().st_size
        result = method(self, *arguments, **settings)
        requests[name] += 1
        if name in ("read_bytes", "read_range"):
            n_bytes[name] += len(result)
        elif name == "blocks":
            n_bytes[name] += self.size()
        return result

    return counted


def report(n_pairs: int) -> None:
    rows = [[name, f"{n:,}", f"{n_bytes[name] / n_pairs:.1f}"] for name, n in sorted(requests.items())]
    print(common.table(rows, ["request", "times", "bytes a pair"]))
    requests.clear()
    n_bytes.clear()


if __name__ == "__main__":
    main()
