"""The first page in a real browser, started as a reader starts it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from metaclip_core import Run

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def address(small_run: Run) -> Iterator[str]:
    if not Path(CHROMIUM).exists():
        if os.environ.get("CI"):
            pytest.fail("no chromium here: install it, the browser tests are part of CI")
        pytest.skip("no chromium here: `apt-get install chromium`")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = small_run.path.parent / "server.log"
    command = [str(Path(sys.executable).parent / "metaclip"), "dashboard", str(small_run.path), "--port", str(port)]
    with open(log, "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not _healthy(url):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
    assert "Traceback" not in log.read_text()


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
            return answer.read() == b"ok"
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def metric(page: Page, label: str, value: str) -> None:
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    expect(box.get_by_test_id("stMetricValue")).to_have_text(value, timeout=30_000)


def test_numbers_follow_the_address_and_the_field(address: str, small_run: Run) -> None:
    balance = small_run.balance()
    troubles: list[str] = []
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))

            page.goto(address)
            metric(page, "Pairs in the pool", "280")
            metric(page, "Curated at t", f"{balance.curated_size(41):,}")
            expect(page.locator(".js-plotly-plot")).to_have_count(4, timeout=30_000)

            page.goto(f"{address}/?t=120.5")
            metric(page, "Curated at t", f"{balance.curated_size(120.5):,}")

            field = page.get_by_role("spinbutton", name="Threshold t")
            field.fill("1000")
            field.press("Enter")
            metric(page, "Curated at t", "240")
            expect(page).to_have_url(re.compile(r"[?&]t=1000(\.0)?(&|$)"))

            expect(page.get_by_test_id("stImage").first).to_be_visible()
            assert page.locator("img[src*='example.com'], img[onerror]").count() == 0
        finally:
            browser.close()
    assert troubles == []
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
