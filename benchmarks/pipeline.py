"""`metaclip curate` from end to end on generated pools: `python benchmarks/pipeline.py --pairs 1e6,3e6,10e6`.

For each pool (make_pool.py) and number of workers, held to as many cores: pairs a second of clock, how many times those of the
first number of workers, pairs a second and core of processor time, and the largest process's peak memory, as the operating
system counts them. Of several --repeats, rounds in which the numbers of workers take turns, the best of each counts. Then, in this
process on the first pool, what reading and matching alone take of it. --entries gives a series over the size of the metadata
instead.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import common
import make_pool

from metaclip_core.matching import Matcher
from metaclip_core.metadata import load_metadata
from metaclip_core.pools import open_pool, read_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"type": lambda text: [int(float(part)) for part in text.split(",")], "metavar": "N,N"}
    parser.add_argument("--pairs", default=[1_000_000], **numbers)
    parser.add_argument("--entries", default=[500_000], **numbers)
    parser.add_argument("--workers", default=[1, 2], **numbers)
    parser.add_argument("--repeats", type=int, default=1, help="rounds; each one's best counts (1)")
    parser.add_argument("--folder", type=Path, help="keep pools and runs here, and use the pools that are here")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="metaclip-pipeline-"))
    print(common.describe_machine("pyarrow", "polars"), "\n")
    try:
        rows = []
        for n_entries in options.entries:
            for n_pairs in options.pairs:
                pool, metadata = pool_of(folder, n_pairs, n_entries)
                rounds = [
                    [measure(folder, pool, metadata, workers) for workers in options.workers]
                    for _ in range(options.repeats)
                ]
                best = [min(each, key=lambda measured: measured[0].wall_s) for each in zip(*rounds, strict=True)]
                first_s = best[0][0].wall_s
                for workers, (timing, peak_mb, n_bytes) in zip(options.workers, best, strict=True):
                    rows.append(
                        (
                            f"{n_pairs:,}",
                            f"{n_entries:,}",
                            f"{workers}",
                            f"{timing.wall_s:.1f} s",
                            f"{n_pairs / timing.wall_s:,.0f}",
                            f"{first_s / timing.wall_s:.2f}x",
                            f"{n_pairs / timing.cpu_s:,.0f}",
                            f"{peak_mb:,.0f} MB",
                            f"{n_bytes / n_pairs:.0f} B/pair",
                        )
                    )
        header = [
            "pairs",
            "entries",
            "workers, cores",
            "clock",
            "pairs/s",
            "scaling",
            "pairs/s/core",
            "largest process",
            "on disk",
        ]
        print(common.table(rows, header))
        pool, metadata = pool_of(folder, options.pairs[0], options.entries[0])
        print(f"\n{shares(pool, metadata)}")
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def pool_of(folder: Path, n_pairs: int, n_entries: int) -> tuple[Path, Path]:
    """(pool, metadata), made unless they are there."""
    metadata = folder / f"metadata-{n_entries}.parquet"
    if not metadata.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_pool.make_metadata(n_entries, 2309).write_parquet(metadata)
    pool = folder / f"pool-{n_pairs}-{n_entries}"
    if not pool.exists():
        make_pool.make_pool(pool, metadata, n_pairs, 2309)
    return pool, metadata


def measure(folder: Path, pool: Path, metadata: Path, workers: int) -> tuple[common.Timing, float, int]:
    """(time, peak memory of the largest process in MB, bytes of the run)."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "metaclip_core.cli", "curate", str(pool), "--metadata", str(metadata)]
    command += ["--out", str(run), "--workers", str(workers)]
    timing, peak_mb = common.run_measured(command, n_cores=workers)
    return timing, peak_mb, sum(path.stat().st_size for path in run.rglob("*") if path.is_file())


def shares(pool: Path, metadata_path: Path) -> str:
    """What reading and matching take of a curation in one process, by processor time."""
    from metaclip_core.curation import curate

    metadata = load_metadata(metadata_path)
    matcher = Matcher(metadata)
    matcher.match(["a photo"])
    start = time.process_time()
    columns = [batch.column("text") for shard in open_pool(pool) for batch in read_shard(shard)]
    read_s, start = time.process_time() - start, time.process_time()
    for column in columns:
        matcher.match(column, n_threads=1)
    match_s, start = time.process_time() - start, time.process_time()
    with tempfile.TemporaryDirectory() as out:
        curate(pool, metadata, Path(out) / "run")
        whole_s = time.process_time() - start
    return (
        f"of {whole_s:.1f} s of processor time in one process: reading {read_s / whole_s:.0%}, matching "
        f"{match_s / whole_s:.0%}, the rest (hashing, keep_t, writing and compressing twice, digests) "
        f"{1 - (read_s + match_s) / whole_s:.0%}"
    )


if __name__ == "__main__":
    main()
