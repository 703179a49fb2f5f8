"""Seconds and memory of each export of a run: `python benchmarks/export.py RUN -t 200`.

Each is a `metaclip export` of its own, as a user runs it, with the interpreter's start, the opening of the run (whose files
are checked up to 2 GiB) and its data card. Memory is the most that the process held, as the operating system counts it;
`plain` is the process that only opens the run and balances it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

SELECT = """
import sys
from metaclip_core.run import open_run
balance = open_run(sys.argv[1]).balance()
balance.keep_t, balance.keep_probability(float(sys.argv[2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("-t", default="200")
    parser.add_argument("--formats", nargs="+", default=["parquet", "jsonl", "datacomp", "metaclip"])
    parser.add_argument("--scratch", type=Path, help="where to export to, and remove it again (the system's)")
    options = parser.parse_args()
    print(common.describe_machine("pyarrow", "polars"))
    print(f"{'format':<12}{'seconds':>9}{'GB held':>9}{'GB written':>12}")
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        measure("plain", [sys.executable, "-c", SELECT, str(options.run), options.t])
        for name in options.formats:
            out = Path(scratch) / name
            command = [sys.executable, "-m", "metaclip_core.cli", "export", str(options.run), "-t", options.t]
            measure(name, [*command, "--format", name, "--out", str(out)], out)
            shutil.rmtree(out)


def measure(name: str, command: list[str], out: Path | None = None) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{name} failed: {command}")
    held = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) if out else 0
    print(f"{name:<12}{seconds:>9.1f}{held / 1e9:>9.2f}{written / 1e9:>12.2f}", flush=True)


if __name__ == "__main__":
    main()
