"""The dashboard in a real browser, started as a reader starts it: the main path, a shared address, hostile captions."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from metaclip_core import Run, curate
from tests.dashboard.browsing import WAIT, metric, served, to_page, watched
from tests.dashboard.conftest import write_metadata, write_tar


def click_row(page: Page, row: int) -> None:
    """The box at the begin of a row of the first table; a table is a canvas, 35 px a row."""
    table = page.get_by_test_id("stDataFrame").first
    expect(table.locator("canvas").first).to_be_visible(timeout=WAIT)
    table.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = table.bounding_box()
    assert box
    page.mouse.click(box["x"] + 15, box["y"] + 35 * (row + 1) + 17)


def test_the_main_path(browser: Browser, small_run: Run, tmp_path: Path) -> None:
    balance = small_run.balance()
    root = tmp_path / "root"
    root.mkdir()
    with served(tmp_path, run=small_run, root=root) as address, watched(browser, address) as page:
        # open, move t by number, by arrow key, by a click on the curve
        page.goto(address)
        metric(page, "Pairs", "280")
        metric(page, "Curated at t", f"{balance.curated_size(41):,}")
        expect(page.locator(".js-plotly-plot")).to_have_count(4, timeout=WAIT)
        field = page.get_by_role("spinbutton", name="t, as a number")
        field.fill("120.5")
        field.press("Enter")
        metric(page, "Curated at t", f"{balance.curated_size(120.5):,}")
        expect(page).to_have_url(re.compile(r"[?&]t=120\.5(&|$)"))
        expect(page.locator(".js-plotly-plot").first).to_contain_text("t = 120.5")
        page.get_by_role("slider").focus()
        for t in (100, 70):  # the slider stands at t itself, and keeps the focus when its stops change
            page.keyboard.press("ArrowLeft")
            metric(page, "Curated at t", f"{balance.curated_size(t):,}")
        expect(page.locator(".js-plotly-plot").first).to_contain_text("t = 70")

        # switch a source off and on again
        page.get_by_role("button", name="wiki_unigram").click()
        metric(page, "Head entries", "3")
        page.get_by_role("button", name="wiki_unigram").click()
        metric(page, "Curated at t", f"{balance.curated_size(70):,}")

        # open an entry, then one of its pairs
        to_page(page, "Entries")
        click_row(page, 1)
        metric(page, "Before", "120")
        metric(page, "After", f"{balance.counts_after(70)[1]:,}")
        expect(page).to_have_url(re.compile(r"[?&]entry=dog(&|$)"))
        page.get_by_role("button", name="Why?").first.click()
        expect(page.get_by_text(re.compile("Kept, because of|Dropped: no entry"))).to_be_visible(timeout=WAIT)
        explanation = page.get_by_text(re.compile("Kept, because of|Dropped: no entry")).inner_text()

        # the same address in a new window shows the same
        link = page.url
        assert "t=70" in link
        assert f"run={small_run.fingerprint[:12]}" in link
        with watched(browser, address) as other:
            other.goto(link)
            expect(other.get_by_text(explanation)).to_be_visible(timeout=WAIT)
            expect(other.get_by_test_id("stImage").first).to_be_visible()

        # a table as CSV
        with page.expect_download() as download:
            page.get_by_test_id("stDownloadButton").first.get_by_role("button").click()
        assert Path(download.value.path()).read_text().startswith("entry_id,entry,sources")

        # export, and read the file back
        to_page(page, "Export")
        page.get_by_test_id("stRadio").get_by_text("jsonl", exact=True).click()
        expect(page.get_by_test_id("stCode").first).to_contain_text("--format jsonl")
        page.get_by_role("button", name="Export", exact=True).click()
        expect(page.get_by_role("button", name="Forget")).to_be_visible(timeout=60_000)
        (folder,) = (root / "exports").iterdir()
        lines = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
        assert len(lines) == balance.curated_size(70)


HOSTILE = [
    "a dog <script>document.title = 'gone'</script>",
    "a dog <style>* { display: none }</style>",
    "a dog ![x](https://example.com/x.png) [y](javascript:alert(1))",
    "a dog <img src=https://example.com/y.png onerror=alert(1)>",
    "a dog $\\frac{1}{0}$ :material/delete: :red[x]",
    "a dog \u202eSDRAWKCAB\u202c and on",
    "a dog " + "long " * 20_000,
    "a dog \ud7ff\u0000\u0007 " + "a" * 5_000,
]


def test_hostile_captions_do_nothing(browser: Browser, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_tar(tmp_path / "pool.tar", HOSTILE)
    entries = {"a": ["wordnet"], "dog": ["wordnet"], "<script>document.title": ["<b>mine</b>"]}
    run = curate(tmp_path / "pool.tar", write_metadata(tmp_path / "m.parquet", entries), tmp_path / "run<i>")
    with served(tmp_path, run=run, root=root) as address, watched(browser, address) as page:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        places = [f"pairs?t=100&pair={i}" for i in range(len(HOSTILE))]
        for place in [
            "",
            *places,
            "entries?entry=<script>document.title&t=100",
            "entries?entry=dog",
            "compare",
            "sql",
            "data",
        ]:
            page.goto(f"{address}/{place}")
            expect(page.get_by_role("heading").first).to_be_visible(timeout=WAIT)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(300)
            assert page.title() != "gone"
            assert (
                page.locator("img[src*='example.com'], img[onerror], main script, a[href^='javascript']").count() == 0
            )
            assert page.locator("main").evaluate("element => element.scrollWidth <= element.clientWidth + 1"), place
            expect(page.get_by_role("heading").first).to_be_visible()  # no style of a caption has hidden it
        page.goto(f"{address}/pairs?t=100&pair=0")
        expect(page.get_by_text("<script>document.title = 'gone'</script>").first).to_be_visible(timeout=WAIT)
        assert dialogs == []
