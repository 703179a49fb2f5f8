"""The dashboard served and opened in headless Chromium, for the benchmark and the pictures of the docs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["chromium", "memory_bytes", "processor_seconds", "served"]

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
              "--disable-component-update", "--disable-sync"]  # fmt: skip


@contextmanager
def served(arguments: Sequence[str]) -> Iterator[tuple[str, int]]:
    """`metaclip dashboard ARGUMENTS...`: its address, and the number of its process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "metaclip_core.cli", "dashboard", *arguments, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        while not _healthy(address):
            if server.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with {server.returncode}")
            time.sleep(0.1)
        yield address, server.pid
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
            return bool(answer.read() == b"ok")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def chromium() -> Iterator[Any]:
    """A Playwright browser: the system's Chromium, else Playwright's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=system, headless=True, args=_ARGUMENTS)
        yield browser
        browser.close()


def memory_bytes(group: int) -> int:
    """Resident memory of the processes of a group (Linux)."""
    return sum(int(_of_process(process, "statm").split()[1]) for process in _group(group)) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(group: int) -> float:
    """Processor time of the processes of a group so far (Linux)."""
    ticks = [_of_process(process, "stat").rpartition(")")[2].split()[11:13] for process in _group(group)]
    return sum(int(user) + int(system) for user, system in ticks) / os.sysconf("SC_CLK_TCK")


def _group(group: int) -> list[str]:
    return [process for process in os.listdir("/proc") if process.isdigit() and _group_of(process) == group]


def _group_of(process: str) -> int:
    try:
        return os.getpgid(int(process))
    except ProcessLookupError:
        return -1


def _of_process(process: str, file: str) -> str:
    with open(f"/proc/{process}/{file}") as opened:
        return opened.read()
