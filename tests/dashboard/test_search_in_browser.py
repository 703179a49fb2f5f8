"""Search in a real browser, on the embedded sample: what pictures show is known from the scenes they were drawn from."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from metaclip_core import Run, open_run

from .browsing import WAIT, metric, served, watched

SHARDS = Path(__file__).resolve().parents[2] / "data_samples" / "shards"
T = 12.0


@pytest.fixture(scope="module")
def address(sample_cache: Path) -> Iterator[str]:
    with served(sample_cache) as url:
        yield url


@pytest.fixture(scope="module")
def pairs(sample_cache: Path) -> pl.DataFrame:
    """The sample's pairs in the run's order, with `scene`: a JSON object, of what was drawn."""
    run = open_run(sample_cache / "metaclip-dashboard" / "sample")
    frame = run.pairs(["key", "text", "entry_ids", "keep_t", "image_path", "image_offset", "image_size"]).collect()
    scenes = {}
    for path in sorted(SHARDS.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    scenes[member.name.removesuffix(".json")] = json.loads(tar.extractfile(member).read())["scene"]  # type: ignore[union-attr]
    assert len(scenes) == len(frame) == 9_000
    return frame.with_columns(pl.Series("scene", [json.dumps(scenes[key]) for key in frame["key"]]))


def scenes_of(pairs: pl.DataFrame, rows: list[int]) -> list[dict]:
    return [json.loads(scene) for scene in pairs["scene"].gather(rows)]


def carriers(sample_cache: Path, pairs: pl.DataFrame, entry: str) -> pl.Series:
    """Which pairs an entry matches, by what the run's files say."""
    entries = open_run(sample_cache / "metaclip-dashboard" / "sample").entries["entry"].to_list()
    return pairs["entry_ids"].list.contains(entries.index(entry))


def wall(page: Page, name: str = "found") -> Locator:
    return page.locator(f"[class*=st-key-pictures_{name}]")


def settled(page: Page) -> None:
    """Wait until the page is drawn to its end."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_function("!document.querySelector('[data-stale=true]')")


def rows(page: Page, name: str = "found") -> list[int]:
    """The pairs on the wall, in order: those that its buttons explain."""
    settled(page)
    classes = wall(page, name).locator("[class*=st-key-]").evaluate_all("all => all.map(one => one.className)")
    found = [re.search(rf"st-key-{name}_(\d+)( |$)", names) for names in classes]
    return [int(match[1]) for match in found if match]


def badges(page: Page) -> list[str]:
    settled(page)
    return [
        text.split()[-1]
        for text in wall(page).get_by_text(re.compile(r"^(check|close)?\s*(kept|dropped)$")).all_inner_texts()
    ]


def search(page: Page, text: str) -> list[int]:
    """Type a query, and wait until the wall is another one."""
    before = rows(page)
    field = page.get_by_role("textbox", name="Search")
    field.fill(text)
    field.press("Enter")
    return changed(page, before)


def changed(page: Page, before: list[int]) -> list[int]:
    """The wall's pairs, once they are others than before."""
    for _ in range(300):
        now = rows(page)
        if now and now != before:
            return rows(page)  # once more: the first look may have met a wall that was still being drawn
        page.wait_for_timeout(100)
    raise AssertionError(f"the wall has stayed {before}")


def set_t(page: Page, t: float) -> None:
    field = page.get_by_role("spinbutton", name="t, as a number")
    field.fill(str(t))
    field.press("Enter")


def statuses(pairs: pl.DataFrame, found: list[int], t: float) -> list[str]:
    return ["kept" if keep_t < t else "dropped" for keep_t in pairs["keep_t"].gather(found)]


def test_a_query_its_filters_and_its_link(
    browser: Browser, address: str, sample_cache: Path, pairs: pl.DataFrame
) -> None:
    with watched(browser, address) as page:
        page.goto(f"{address}/search?t={T:g}")
        expect(page.get_by_text("Type what a picture should show")).to_be_visible(timeout=WAIT)

        # pictures that show what was asked for, each with its score and status
        found = search(page, "a cat")
        assert len(found) == 24
        assert sum("cat" in scene["concepts"] for scene in scenes_of(pairs, found[:10])) >= 8
        found = search(page, "on the beach")
        assert sum(scene["place"] == "beach" for scene in scenes_of(pairs, found[:10])) >= 8
        assert badges(page) == statuses(pairs, found, T)
        assert {"kept", "dropped"} == set(badges(page))
        scores = [float(text) for text in re.findall(r"\d\.\d{3}(?=  ·)", wall(page).inner_text())]
        assert len(scores) == 24
        assert scores == sorted(scores, reverse=True)

        # t moves the badges, not the pictures
        set_t(page, 0)
        expect(page.get_by_text("24 results, 0 of them kept at this t")).to_be_visible(timeout=WAIT)
        assert (rows(page), badges(page)) == (found, ["dropped"] * 24)
        set_t(page, 3)
        kept = statuses(pairs, found, 3).count("kept")
        expect(page.get_by_text(f"24 results, {kept} of them kept at this t")).to_be_visible(timeout=WAIT)
        assert badges(page) == statuses(pairs, found, 3)

        # filters act inside the search
        page.locator(".st-key-show").get_by_text("dropped", exact=True).click()
        dropped = changed(page, found)
        assert len(dropped) == 24
        assert statuses(pairs, dropped, 3) == ["dropped"] * 24
        set_t(page, T)
        still = changed(page, dropped)
        assert statuses(pairs, still, T) == ["dropped"] * 24
        page.get_by_label("Carries the entry").fill("cat")
        page.get_by_label("Carries the entry").press("Enter")
        cats = changed(page, still)
        carry = carriers(sample_cache, pairs, "cat")
        assert carry.gather(cats).all()
        assert statuses(pairs, cats, T) == ["dropped"] * len(cats)
        n, n_kept = int(carry.sum()), int((carry & (pairs["keep_t"] < T)).sum())
        sentence = f"“cat”: {n_kept:,} of its {n:,} pairs are kept at this t, {n - n_kept:,} are dropped."
        expect(page.get_by_text(sentence)).to_be_visible(timeout=WAIT)
        page.get_by_label("Caption has the words").fill("Beach")
        page.get_by_label("Caption has the words").press("Enter")
        left = changed(page, cats)
        captions = pairs["text"].gather(left)
        on_beach = pairs["text"].str.contains(r"(?i)\bbeach\b")
        assert on_beach.gather(left).all()
        n_left = int((carry & on_beach & (pairs["keep_t"] >= T)).sum())
        assert len(left) == min(24, n_left)

        # a colleague with the link sees the same
        link = page.url
        held = {name: values[0] for name, values in parse_qs(urlparse(link).query).items()}
        assert held.items() >= {"q": "on the beach", "show": "dropped", "entry_is": "cat", "has": "Beach"}.items()
        with watched(browser, address) as other:
            other.goto(link)
            expect(wall(other).get_by_test_id("stImage")).to_have_count(len(left), timeout=WAIT)
            assert rows(other) == left
            expect(other.get_by_role("textbox", name="Search")).to_have_value("on the beach")
            expect(other.get_by_text(sentence)).to_be_visible()

        # the results as a file
        with page.expect_download() as download:
            page.get_by_test_id("stDownloadButton").get_by_role("button").click()
        table = pl.read_csv(download.value.path())
        assert table["row"].to_list() == left
        assert table["key"].cast(pl.String).str.zfill(9).to_list() == pairs["key"].gather(left).to_list()
        assert table["text"].to_list() == captions.to_list()
        assert table["score"].is_sorted(descending=True)


def test_what_t_costs_an_entry_without_a_query(
    browser: Browser, address: str, sample_cache: Path, pairs: pl.DataFrame
) -> None:
    carry = carriers(sample_cache, pairs, "cat")
    dropped = np.flatnonzero((carry & (pairs["keep_t"] >= T)).to_numpy()).tolist()
    with watched(browser, address) as page:
        page.goto(f"{address}/search?t={T:g}&entry_is=cat&show=dropped&k=96")
        expect(page.get_by_text(f"{len(dropped):,} are dropped")).to_be_visible(timeout=WAIT)
        assert rows(page) == dropped[:96]
        page.get_by_role("button", name="This entry").click()
        expect(page.get_by_role("heading", name="Entries", exact=True)).to_be_visible(timeout=WAIT)
        expect(page).to_have_url(re.compile(r"entries\?.*entry=cat"))
        metric(page, "Before", f"{int(carry.sum()):,}")
        settled(page)


def test_more_like_this_and_search_by_picture(
    browser: Browser, address: str, pairs: pl.DataFrame, tmp_path: Path
) -> None:
    with watched(browser, address) as page:
        page.goto(f"{address}/search?q=a+cat&t={T:g}")
        expect(wall(page).get_by_test_id("stImage")).to_have_count(24, timeout=WAIT)
        found = rows(page)
        page.get_by_role("button", name="More like this").nth(2).click()
        expect(page.get_by_text(f"More like pair {found[2]:,}")).to_be_visible(timeout=WAIT)
        like = changed(page, found)
        assert len(like) == 24
        assert found[2] not in like
        (wanted,) = scenes_of(pairs, [found[2]])
        same = [
            scene["place"] == wanted["place"] or "cat" in scene["concepts"] for scene in scenes_of(pairs, like[:10])
        ]
        assert sum(same) >= 8
        assert f"like={found[2]}" in page.url

        # back to the text by the button; and a new text is a new search
        page.get_by_role("button", name="Back to the text").click()
        assert changed(page, like) == found
        page.get_by_role("button", name="More like this").first.click()
        like = changed(page, found)
        found = search(page, "a dog")
        assert "like=" not in page.url
        assert sum("dog" in scene["concepts"] for scene in scenes_of(pairs, found[:10])) >= 8

        # by a picture of one's own: one of the pool's finds itself
        place = pairs.row(4321, named=True)
        data = Path(place["image_path"]).read_bytes()[place["image_offset"] :][: place["image_size"]]
        (tmp_path / "mine.webp").write_bytes(data)
        upload(page, tmp_path / "mine.webp")
        expect(page.get_by_text("Nearest to the picture you gave")).to_be_visible(timeout=WAIT)
        assert 4321 in changed(page, found)[:3]


def upload(page: Page, path: Path) -> None:
    page.get_by_role("button", name="By picture").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(path)


def test_bad_input_has_a_clear_message(browser: Browser, address: str, tmp_path: Path) -> None:
    from tests.embedding.test_embedding_pictures import png_that_claims

    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "huge.png").write_bytes(png_that_claims(20_000, 20_000))
    (tmp_path / "heavy.png").write_bytes(bytes(50 * 2**20))
    with watched(browser, address) as page:
        for name, message in [
            ("text.png", "the picture: not a picture that can be read"),
            ("huge.png", "too large to decode (more than 89,478,485 pixels); at most 64,000,000 pixels are read"),
            ("heavy.png", "File must be 20.0MB or smaller"),
        ]:
            page.goto(f"{address}/search")
            expect(page.get_by_text("Type what a picture should show")).to_be_visible(timeout=WAIT)
            upload(page, tmp_path / name)
            expect(page.get_by_text(message)).to_be_visible(timeout=WAIT)
        page.goto(f"{address}/search")
        field = page.get_by_role("textbox", name="Search")
        field.fill("word " * 10_000)
        field.press("Enter")
        too_many = page.get_by_text("the query has 10,000 words; at most 200 are read: shorten it")
        expect(too_many).to_be_visible(timeout=WAIT)
        page.reload()
        expect(too_many).to_be_visible(timeout=WAIT)
        page.goto(f"{address}/search?q=+&like=90000")
        expect(page.get_by_text("there is no pair 90,000; the run has 9,000, counted from 0")).to_be_visible(
            timeout=WAIT
        )
        field = page.get_by_role("textbox", name="Search")
        field.fill("zzyzx ☃ 日本")
        field.press("Enter")
        expect(wall(page).get_by_test_id("stImage")).to_have_count(24, timeout=WAIT)


def test_the_map_and_the_agreement(browser: Browser, cards: Run, tmp_path: Path) -> None:
    """On 40 cards of four colours, 10 each, whose places on the map are few."""
    (tmp_path / "root").mkdir()
    with served(tmp_path, run=cards, root=tmp_path / "root") as address, watched(browser, address) as page:
        page.goto(f"{address}/search?q=a+red+card&k=12&t=4")
        expect(wall(page).get_by_test_id("stImage")).to_have_count(12, timeout=WAIT)
        found = rows(page)
        page.get_by_role("tab", name="Map").click()
        plot = page.locator(".st-key-chart_map .js-plotly-plot")
        expect(plot.locator(".legendtext", has_text="results (12)")).to_be_visible(timeout=60_000)
        kept = int((cards.balance().keep_t < 4).sum())
        assert plot.evaluate("plot => Object.fromEntries(plot._fullData.filter(one => one.type == 'scatter')"
                             ".map(one => [one.name, one.x.length]))") == {
            "kept": kept, "dropped": 40 - kept, "results (12)": 12
        }  # fmt: skip
        assert "view=Map" in page.url

        # a lasso around everything, then a box around the left half
        def drag(*corners: tuple[float, float]) -> None:
            area = plot.locator(".nsewdrag").bounding_box()
            assert area
            points = [(area["x"] + area["width"] * x, area["y"] + area["height"] * y) for x, y in corners]
            page.mouse.move(*points[0])
            page.mouse.down()
            for point in points[1:]:
                page.mouse.move(*point, steps=8)
            page.mouse.up()

        plot.scroll_into_view_if_needed()
        drag((0.001, 0.001), (0.999, 0.001), (0.999, 0.999), (0.001, 0.999), (0.001, 0.002))
        expect(page.get_by_text("40 pairs chosen on the map")).to_be_visible(timeout=WAIT)
        assert len(rows(page, "lassoed")) == 24
        plot.scroll_into_view_if_needed()
        middle = plot.locator(".nsewdrag").bounding_box()
        assert middle
        page.mouse.dblclick(middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2)
        expect(page.get_by_text("chosen on the map")).to_have_count(0, timeout=WAIT)

        xs = plot.evaluate(
            "plot => { const axis = plot._fullLayout.xaxis;"
            "return plot._fullData.filter(one => one.type == 'scatter').flatMap("
            "one => Array.from(one.x, (x, i) => [one.customdata[i], axis.d2p(x) / axis._length])) }"
        )
        ordered = sorted({(round(x, 6), int(pair)) for pair, x in xs})
        gap, edge = max((b[0] - a[0], (a[0] + b[0]) / 2) for a, b in pairwise(ordered))
        assert gap > 0.02
        inside = sorted({pair for x, pair in ordered if x < edge})
        page.locator(".st-key-chart_map [data-title='Box Select']").click()
        drag((0.001, 0.001), (edge, 0.999))
        expect(page.get_by_text(re.compile(rf"^{len(inside)} pairs chosen on the map$"))).to_be_visible(timeout=WAIT)
        shown = rows(page, "lassoed")
        assert shown == inside if len(inside) <= 24 else set(shown) < set(inside)

        # another tab and back: the search is still there; kept against dropped
        page.get_by_role("tab", name="Agreement").click()
        agreement = page.locator(".st-key-chart_agreement .js-plotly-plot")
        expect(agreement.locator(".legendtext", has_text=f"kept ({kept})")).to_be_visible(timeout=WAIT)
        expect(agreement.locator(".legendtext", has_text=f"dropped ({40 - kept})")).to_be_visible()
        expect(page.get_by_text(re.compile(r"Mean CLIP score: -?0\.\d{3} of the kept pairs"))).to_be_visible()
        page.get_by_role("tab", name="Pictures").click()
        expect(wall(page).get_by_test_id("stImage")).to_have_count(12, timeout=WAIT)
        assert rows(page) == found
