"""The dashboard started as a reader starts it, and a window that watches what the page does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from metaclip_core import Run

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
WAIT = 30_000


@contextmanager
def served(cache: Path, *, run: Run | None = None, root: Path | None = None) -> Iterator[str]:
    """`metaclip dashboard [RUN] [--root ROOT]`, its address; it must not have printed a traceback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ([str(run.path)] if run else []) + (["--root", str(root)] if root else [])
    command = [str(Path(sys.executable).parent / "metaclip"), "dashboard", *arguments]
    log = cache / "server.log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        )
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


@contextmanager
def watched(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """A new window; in the end it must have had no error, and asked nobody but the app."""
    troubles: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)

    def note(line) -> None:
        # Below a page's own address Streamlit first asks for its endpoints there, and then at the root.
        if line.type == "error" and "404" not in line.text:
            troubles.append(line.text)

    page.on("console", note)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    yield page
    # A picture may be gone from the server before a slow browser asks for it, when another has taken its place.
    # Those that are on the page in the end must be there.
    shown = set(page.evaluate("[...document.images].map(picture => picture.src)"))
    broken = (
        "[...document.images].filter(picture => picture.complete && !picture.naturalWidth).map(picture => picture.src)"
    )
    assert page.evaluate(broken) == []
    lost = [re.compile(r"Image source error - (\S+)").search(trouble) for trouble in troubles]
    troubles = [line for line, url in zip(troubles, lost, strict=True) if url is None or url[1] in shown]
    context.close()
    assert not troubles, troubles
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


def metric(page: Page, label: str, value: str) -> None:
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    expect(box.get_by_test_id("stMetricValue")).to_have_text(value, timeout=WAIT)


def to_page(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WAIT)
