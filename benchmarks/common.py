"""What every benchmark shares: the machine in words, fair timing, memory as the operating system sees it."""

from __future__ import annotations

import gc
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # a benchmark measures the code it lies beside, installed or not
    sys.path.insert(0, str(ROOT))

REAL_CAPTIONS = ROOT.parent / "shared/data/captions.parquet"
REAL_METADATA = ROOT.parent / "shared/data/metadata_500k.parquet"


def describe_machine(*packages: str) -> str:
    """Date, command, processor, load and versions, two lines: what a figure needs beside it."""
    found = [f"{name} {_version(name)}" for name in ("metaclip-dashboard", "numpy", "numba", *packages)]
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{date.today()}  {command}\n"
        f"{_processor()}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores, "
        f"load {load}; Python {platform.python_version()}, {', '.join(found)}"
    )


def _version(package: str) -> str:
    if package == "metaclip-dashboard":
        from metaclip_core import __version__

        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass
class Timing:
    """The best of the repeats: seconds of processor time of this process, and seconds on the clock."""

    cpu_s: float = float("inf")
    wall_s: float = float("inf")


def time_interleaved(tasks: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, Timing]:
    """Run the tasks in turn, `repeats` rounds, and keep each one's best.

    In turn, so that a neighbour's load falls on all of them; the best, because a load only ever adds; processor time,
    because waiting for a busy core is not the task's doing.
    """
    timings = {name: Timing() for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            timing = timings[name]
            timing.cpu_s = min(timing.cpu_s, time.process_time() - cpu)
            timing.wall_s = min(timing.wall_s, time.perf_counter() - wall)
    return timings


def resident_mb(peak: bool = False) -> float:
    """Memory of this process in MB from the operating system: now, or at its highest (Linux)."""
    name = "VmHWM" if peak else "VmRSS"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1000
    raise RuntimeError(f"no {name} in /proc/self/status")


def release_freed_memory() -> None:
    """Give freed memory back to the system, and let the peak begin anew: the next figures are of what is used."""
    import ctypes

    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def run_measured(command: Sequence[str], *, n_cores: int) -> tuple[Timing, float]:
    """Run a command to its end, on so many cores where the system can hold it to them (Linux).

    Returns (its time, its workers' included; the peak memory in MB of its largest process).
    """
    if taskset := shutil.which("taskset"):
        command = [taskset, "--cpu-list", f"0-{n_cores - 1}", *command]
    start = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode}: {' '.join(command)}")
    timing = Timing(cpu_s=usage.ru_utime + usage.ru_stime, wall_s=time.perf_counter() - start)
    return timing, usage.ru_maxrss / 1000


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """A Markdown table, as docs/performance.md has them."""
    lines = [" | ".join(str(cell) for cell in row) for row in (header, ["---"] * len(header), *rows)]
    return "\n".join(f"| {line} |" for line in lines)
