"""Two small runs for the pages, one of them embedded; the pages without a browser, and the browser."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import streamlit as st
from PIL import Image
from playwright.sync_api import Browser, Error, sync_playwright
from streamlit.testing.v1 import AppTest

from metaclip_core.curation import curate
from metaclip_core.embedding import embed, model_named
from metaclip_core.run import Run

from .browsing import ARGUMENTS

REPOSITORY = Path(__file__).resolve().parents[2]

HOSTILE = "a dog ![x](https://example.com/x.png) <img src=x onerror=alert(1)> $x^2$ **cat**"
CAPTIONS = [HOSTILE, "a dog", "a cat on a mat", "a small dog in a boat", "a cat", "a red boat", "nothing"] * 40
ENTRIES = {
    "a": ["wordnet"],
    "dog": ["wordnet"],
    "cat": ["wordnet", "wiki_unigram"],
    "boat": ["wiki_unigram"],
    "small dog": ["wiki_bigram"],
    "never seen": ["wiki_bigram"],
}


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """240 of 280 pairs match: `a` matches 240, `dog` 120, `cat` 80, `boat` 80, `small dog` 40 (560 matches)."""
    folder = tmp_path_factory.mktemp("pages")
    write_tar(folder / "pool.tar", CAPTIONS)
    return curate(folder / "pool.tar", write_metadata(folder / "metadata.parquet"), folder / "run")


COLOURS = ["red", "green", "blue", "yellow"]


@pytest.fixture(scope="session")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """40 pairs: plain cards of four colours, embedded with their captions by the model that ships."""
    folder = tmp_path_factory.mktemp("cards")
    captions = [f"a {COLOURS[i % 4]} card" for i in range(40)]
    write_tar(folder / "pool.tar", captions, colours=COLOURS)
    sources = [*[["wordnet"]] * 4, ["wiki_unigram"], ["wiki_unigram"]]
    metadata = write_metadata(folder / "metadata.parquet", dict(zip([*COLOURS, "card", "a"], sources, strict=True)))
    run = curate(folder / "pool.tar", metadata, folder / "run")
    embed(run, model_named())
    return run


def write_tar(path: Path, captions: list[str], *, colours: list[str] | None = None) -> None:
    """A picture of one colour a caption: of these in turn, else shades of blue."""
    with tarfile.open(path, "w") as tar:
        for i, caption in enumerate(captions):
            picture = io.BytesIO()
            colour = colours[i % len(colours)] if colours else (i * 7 % 256, 120, 200)
            Image.new("RGB", (48, 32), colour).save(picture, "PNG")
            for extension, content in (("png", picture.getvalue()), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{i:05}.{extension}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def write_metadata(path: Path, entries: dict[str, list[str]] = ENTRIES) -> Path:
    pl.DataFrame({"entry": list(entries), "sources": list(entries.values())}).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own."""
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=system, headless=True, args=ARGUMENTS)
        except Error as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no browser here: `apt-get install chromium` or `playwright install chromium` ({error})")
        yield chromium
        chromium.close()


@pytest.fixture
def fresh_caches() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def workspace(tmp_path: Path, small_run: Run, monkeypatch: pytest.MonkeyPatch, fresh_caches: None) -> Path:
    """The app's settings: the small run, and a folder that it may read and write."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("METACLIP_RUN", str(small_run.path))
    monkeypatch.setenv("METACLIP_ROOTS", str(root))
    monkeypatch.setenv("METACLIP_JOBS", str(tmp_path / "jobs"))
    return root


OpenPage = Callable[..., AppTest]


@pytest.fixture
def open_page(workspace: Path) -> OpenPage:
    """Open a page by the name of its file, with this in its address."""

    def opened(name: str = "overview", **address: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=60)
        for key, value in address.items():
            app.query_params[key] = value
        if name != "overview":
            app.switch_page(f"dashboard/pages/{name}.py")
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def figures(app: AppTest) -> dict[str, str]:
    """The boxes with numbers of a page."""
    assert not app.exception, app.exception
    return {metric.label: metric.value for metric in app.metric}


def texts(app: AppTest) -> list[str]:
    """All that the page shows literally."""
    return [text.value for text in app.text]
