"""The search page: on a run of coloured cards, with the small CLIP that ships."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from metaclip_core import Run, curate, open_run
from metaclip_core.jobs import jobs_in
from metaclip_core.search import Filters, Searcher

from .conftest import OpenPage, texts


@pytest.fixture
def open_search(open_page: OpenPage, cards: Run, monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    monkeypatch.setenv("METACLIP_RUN", str(cards.path))

    def opened(**address: str) -> AppTest:
        return open_page("search", **address)

    return opened


def shown(app: AppTest) -> list[str]:
    """The captions of the wall, in order."""
    return [text for text in texts(app) if text.startswith("a ") and text.endswith(" card")]


def test_results_are_those_of_the_core(open_search: OpenPage, cards: Run) -> None:
    app = open_search(q="a red card", t="4", k="12")
    searcher = Searcher.open(cards)
    expected = searcher.search(searcher.text_vector("a red card"), balance=cards.balance(), t=4, k=12)
    assert shown(app) == expected["text"].to_list()
    kept = expected.filter(pl.col("status") == "kept").height
    assert any(f"12 results, {kept} of them kept" in caption.value for caption in app.caption)
    app.text_input(key="q").set_value("a blue card").run()
    again = searcher.search(searcher.text_vector("a blue card"), balance=cards.balance(), t=4, k=12)
    assert shown(app) == again["text"].to_list() != expected["text"].to_list()


def test_filters_act_inside_the_search(open_search: OpenPage, cards: Run) -> None:
    app = open_search(q="a red card", t="4")
    app.pills(key="show").set_value("dropped").run()
    dropped = int((cards.balance().keep_t >= 4).sum())
    assert len(shown(app)) == min(24, dropped)
    app.pills(key="show").set_value(None).run()
    app.text_input(key="entry_is").set_value("blue").run()
    assert shown(app) == ["a blue card"] * 10
    assert any("of its 10 pairs are kept at this t" in text for text in texts(app))
    app.text_input(key="has").set_value("green").run()
    assert "No picture passes these filters" in app.info[0].value
    app.text_input(key="entry_is").set_value("unicorn").run()
    assert any("no entry 'unicorn'" in text for text in texts(app))


def test_more_like_a_pair_and_back(open_search: OpenPage, cards: Run) -> None:
    app = open_search(like="2", k="12")  # a blue one
    expected = Searcher.open(cards).like(2, balance=cards.balance(), t=1, k=12, filters=Filters())
    assert shown(app) == expected["text"].to_list()
    assert shown(app)[:9] == ["a blue card"] * 9
    app.button(key="unlike").click().run()
    assert "Type what a picture should show" in app.info[0].value
    for wrong in ("x", "-1", "40", "9" * 30):
        assert any("there is no pair" in text for text in texts(open_search(like=wrong)))


def test_t_changes_what_is_kept_and_not_what_is_found(open_search: OpenPage) -> None:
    app = open_search(q="a red card", t="0")
    before = shown(app)
    assert any("24 results, 0 of them kept" in caption.value for caption in app.caption)
    app.number_input(key="t").set_value(1000.0).run()
    assert shown(app) == before
    assert any("24 results, 24 of them kept" in caption.value for caption in app.caption)


def test_a_query_that_cannot_be(open_search: OpenPage) -> None:
    app = open_search(q="   ")
    assert "Type what a picture should show" in app.info[0].value
    app = open_search(q="xyzzy ☃")
    assert not app.error
    assert len(shown(app)) == 24
    app = open_search(q="word " * 10_000)
    assert len(app.error) == 1
    assert any("at most 200 are read" in text for text in texts(app))


def test_a_run_that_is_not_embedded_is_embedded_from_the_page(
    open_page: OpenPage, cards: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = curate(cards.path.parent / "pool.tar", cards.path.parent / "metadata.parquet", workspace / "runs/fresh")
    monkeypatch.setenv("METACLIP_RUN", str(fresh.path))
    app = open_page("search")
    assert "not embedded yet" in app.info[0].value
    app.button(key="embed").click().run()
    deadline = time.monotonic() + 120
    while any(job.state == "running" for job in jobs_in(workspace.parent / "jobs")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert jobs_in(workspace.parent / "jobs")[0].state == "done"
    assert len(Searcher.open(open_run(fresh.path)).embeddings.present) == 40
    app = open_page("search", q="a green card")
    assert len(shown(app)) == 24
