"""The first page, run without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.state import t_ladder
from metaclip_core import Run

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CHARTS = ["rank_frequency", "cumulative_counts", "size_curve", "matches_per_pair"]


HOSTILE = "a dog ![x](https://example.com/x.png) <img src=x onerror=alert(1)> $x^2$ **cat**"


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def page(small_run: Run, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("METACLIP_RUN", str(small_run.path))
    return AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=60)


def figures(page: AppTest) -> dict[str, str]:
    assert not page.exception
    return {metric.label: metric.value for metric in page.metric}


def test_numbers_are_those_of_the_run(page: AppTest, small_run: Run) -> None:
    page.run()
    balance = small_run.balance()
    assert page.number_input(key="t").value == 41  # the tail share nearest to 6%: 40 of 560 matches
    shown = figures(page)
    assert shown == {
        "Pairs in the pool": "280",
        "Matched": "240",
        "Curated at t": f"{balance.curated_size(41):,}",
        "Expected at t": f"{balance.expected_size(41):,.1f}",
        "Tail share": "7.1%",
        "Head entries": "4",
    }
    assert not page.error


def test_every_chart_is_drawn_and_marks_t(page: AppTest) -> None:
    page.run()
    for name in CHARTS:
        chart = json.loads(page.get_by_key(f"chart_{name}").proto.spec)
        assert chart["layout"]["title"]["text"]
        assert chart["layout"]["xaxis"]["title"]["text"]
        assert chart["layout"]["yaxis"]["title"]["text"]
        if name != "matches_per_pair":
            assert len(chart["layout"]["shapes"]) == 1, name
            assert "t = 41" in chart["layout"]["annotations"][0]["text"]


def test_moving_t_changes_the_numbers(page: AppTest, small_run: Run) -> None:
    page.run()
    page.number_input(key="t").set_value(120.5).run()
    assert figures(page)["Curated at t"] == f"{small_run.balance().curated_size(120.5):,}"
    assert page.select_slider(key="t_slider").value == 100
    page.select_slider(key="t_slider").set_value(300.0).run()
    assert page.number_input(key="t").value == 300
    assert figures(page)["Curated at t"] == "240"
    assert figures(page)["Head entries"] == "0"


def test_the_address_sets_the_controls(page: AppTest, small_run: Run) -> None:
    page.query_params["t"] = "70.5"
    page.query_params["seed"] = str(2**64 - 1)
    page.query_params["sources"] = ["wiki_unigram"]
    page.run()
    balance = small_run.balance(["wiki_unigram"], 2**64 - 1)
    assert figures(page)["Matched"] == "160"
    assert figures(page)["Curated at t"] == f"{balance.curated_size(70.5):,}"


def test_switching_a_source_off_and_all(page: AppTest, small_run: Run) -> None:
    page.run()
    page.pills(key="sources").set_value(["wiki_unigram", "wiki_bigram"]).run()
    balance = small_run.balance(["wiki_unigram", "wiki_bigram"])
    assert figures(page)["Matched"] == f"{balance.matched_pairs:,}" == "160"
    page.pills(key="sources").set_value([]).run()
    assert figures(page)["Matched"] == "0"
    assert "switch a source on" in page.info[0].value


def test_captions_are_shown_literally(page: AppTest) -> None:
    page.query_params["t"] = "1000"  # keeps all that matches: the first pair is the hostile one
    page.run()
    assert HOSTILE in [text.value for text in page.text]
    assert not any("onerror" in element.value for kind in (page.markdown, page.caption) for element in kind)


@pytest.mark.parametrize(("seed", "message"), [("x", "whole number"), ("-1", "whole number"), ("", "whole number")])
def test_a_seed_that_cannot_be_is_an_error_on_the_page(page: AppTest, seed: str, message: str) -> None:
    page.run()
    page.text_input(key="seed").set_value(seed).run()
    assert not page.exception
    assert len(page.error) == 1
    assert any(message in text.value for text in page.text)


def test_without_a_run_the_page_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METACLIP_RUN", raising=False)
    page = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=60).run()
    assert not page.exception
    assert "metaclip dashboard RUN" in page.info[0].value
    assert not page.metric


def test_a_folder_that_is_no_run_is_an_error_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLIP_RUN", str(tmp_path))
    page = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=60).run()
    assert not page.exception
    assert len(page.error) == 1
    assert any("no manifest.json" in text.value for text in page.text)


def test_ladder_ends_above_the_largest_count() -> None:
    assert t_ladder(0) == [1.0, 1.5]
    assert t_ladder(12) == [1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0]
