"""Every page, run without a browser: filled, empty, and after a reader has done something."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.components.sidebar import _labels
from dashboard.data.runs import KnownRun
from dashboard.state import t_ladder
from metaclip_core import Run, curate, open_run
from metaclip_core.comparison import compare
from metaclip_core.jobs import jobs_in, start

from .conftest import HOSTILE, OpenPage, figures, texts, write_metadata, write_tar

PAGES = ["overview", "balance", "entries", "pairs", "search", "compare", "sql", "data", "metadata", "export"]
DISTRIBUTION = ["rank_frequency", "cumulative_counts", "size_curve"]


def chart(app: AppTest, name: str) -> dict:
    return json.loads(app.get_by_key(f"chart_{name}").proto.spec)


def frame(app: AppTest, key: str) -> pl.DataFrame:
    """A table in which rows can be chosen."""
    return pl.DataFrame(app.get_by_key(key).value)


def table_with(app: AppTest, *columns: str) -> pl.DataFrame:
    """The one table that has these columns; tables without a choice carry no key."""
    (found,) = [table.value for table in app.dataframe if set(columns) <= set(table.value.columns)]
    return pl.DataFrame(found)


# The controls of the sidebar


def test_numbers_are_those_of_the_run(open_page: OpenPage, small_run: Run) -> None:
    app = open_page()
    balance = small_run.balance()
    assert app.number_input(key="t").value == 41  # the tail share nearest to 6%: 40 of 560 matches
    assert figures(app) == {
        "Pairs": "280",
        "Matched": "240",
        "Curated at t": f"{balance.curated_size(41):,}",
        "Expected at t": f"{balance.expected_size(41):,.1f}",
        "Tail share": "7.1%",
        "Head entries": "4",
    }
    assert not app.error


def test_moving_t_changes_the_numbers(open_page: OpenPage, small_run: Run) -> None:
    app = open_page()
    app.number_input(key="t").set_value(120.5).run()
    assert figures(app)["Curated at t"] == f"{small_run.balance().curated_size(120.5):,}"
    assert app.select_slider(key="t_slider").value == 120.5  # a stop of its own
    app.select_slider(key="t_slider").set_value(300.0).run()
    assert app.number_input(key="t").value == 300
    assert figures(app)["Curated at t"] == "240"
    assert figures(app)["Head entries"] == "0"


def test_the_address_sets_the_controls(open_page: OpenPage, small_run: Run) -> None:
    app = open_page(t="70.5", seed=str(2**64 - 1), sources=["wiki_unigram"], run=small_run.fingerprint)
    balance = small_run.balance(["wiki_unigram"], 2**64 - 1)
    assert figures(app)["Matched"] == "160"
    assert figures(app)["Curated at t"] == f"{balance.curated_size(70.5):,}"
    assert app.query_params["run"] == small_run.fingerprint[:12]


def test_switching_sources_off(open_page: OpenPage, small_run: Run) -> None:
    app = open_page()
    app.pills(key="sources").set_value(["wiki_unigram", "wiki_bigram"]).run()
    balance = small_run.balance(["wiki_unigram", "wiki_bigram"])
    assert figures(app)["Matched"] == f"{balance.matched_pairs:,}" == "160"
    app.pills(key="sources").set_value([]).run()
    assert figures(app)["Matched"] == "0"
    assert "switch a source on" in app.info[0].value


@pytest.mark.parametrize("seed", ["x", "-1", "", str(2**64)])
def test_a_seed_that_cannot_be_is_an_error_at_its_field(open_page: OpenPage, seed: str) -> None:
    app = open_page()
    shown = figures(app)
    app.text_input(key="seed").set_value(seed).run()
    assert not app.exception
    (error,) = app.sidebar.error
    assert "seed must be a whole number" in error.value
    assert figures(app) == shown  # those of the run's own seed


def test_an_address_of_a_run_that_is_not_here_says_so_and_shows_the_one_that_is(open_page: OpenPage) -> None:
    app = open_page(run="0123456789ab")
    assert "0123456789ab" in app.sidebar.warning[0].value
    assert figures(app)["Pairs"] == "280"


def test_another_run_of_the_folder_can_be_opened(open_page: OpenPage, workspace: Path) -> None:
    write_tar(workspace / "two.tar", ["a dog", "a boat"])
    entries = write_metadata(workspace / "entries.parquet", {"dog": ["mine"], "boat": ["mine"]})
    other = curate(workspace / "two.tar", entries, workspace / "runs/other")
    app = open_page(t="7.5")
    box = app.selectbox(key="_run_chosen")
    assert [option.split(" · ")[0] for option in box.options] == ["run", "other"]
    box.set_value(other.fingerprint[:12]).run()
    assert figures(app)["Pairs"] == "2"
    assert app.pills(key="sources").options == ["mine"]
    assert app.number_input(key="t").value == 7.5
    app = open_page(run=other.fingerprint[:12])
    assert figures(app)["Pairs"] == "2"


@pytest.mark.parametrize("page", PAGES)
def test_without_a_run_every_page_says_how_to_start(
    page: str, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METACLIP_RUN")
    monkeypatch.setenv("METACLIP_ROOTS", "")
    app = open_page(page)
    assert any("metaclip dashboard" in info.value or "No run" in info.value for info in app.info)
    assert not app.metric


@pytest.mark.parametrize("page", PAGES)
def test_a_folder_that_is_no_run_is_an_error_on_every_page(
    page: str, open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("METACLIP_RUN", str(tmp_path / "empty"))
    app = open_page(page)
    assert len(app.error) == 1
    assert any("no manifest.json" in text for text in texts(app))


@pytest.mark.parametrize("page", PAGES)
def test_with_all_sources_off_every_page_stands(page: str, open_page: OpenPage) -> None:
    app = open_page(page, sources="wiki_bigram", t="1")
    app.pills(key="sources").set_value([]).run()
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_a_run_without_a_pair_that_matches_stands_on_every_page(
    page: str, open_page: OpenPage, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.DataFrame({"text": ["x", "y"]}).write_parquet(workspace / "pool.parquet")
    run = curate(workspace / "pool.parquet", write_metadata(workspace / "m.parquet"), workspace / "runs/none")
    monkeypatch.setenv("METACLIP_RUN", str(run.path))
    app = open_page(page)
    assert not app.error
    assert app.number_input(key="t").value == 1


# Overview


def test_the_overview_draws_its_charts_with_title_axes_and_t(open_page: OpenPage) -> None:
    app = open_page()
    for name in [*DISTRIBUTION, "matches_per_pair"]:
        layout = chart(app, name)["layout"]
        assert layout["title"]["text"]
        assert layout["xaxis"]["title"]["text"]
        assert layout["yaxis"]["title"]["text"]
        if name in DISTRIBUTION:
            assert len(layout["shapes"]) == 1, name
            assert "t = 41" in layout["annotations"][0]["text"]
    assert (
        "16.7% of the 6 enabled entries never match. 33.3% of the matched pairs hang on a single entry."
        not in texts(app)
    )
    (shares,) = [text for text in texts(app) if "never" in text]
    assert shares.startswith("16.7% of the 6 enabled entries never match.")


def test_captions_are_shown_literally(open_page: OpenPage) -> None:
    app = open_page("pairs", t="1000")  # keeps all that matches: the first pair is the hostile one
    assert HOSTILE in texts(app)
    assert not any("onerror" in element.value for kind in (app.markdown, app.caption) for element in kind)


# Balance


def test_t_by_size_by_tail_share_and_by_the_size_of_the_pool(open_page: OpenPage, small_run: Run) -> None:
    balance = small_run.balance()
    app = open_page("balance")
    app.number_input(key="by_size").set_value(100).run()
    app.button(key="use_size").click().run()
    assert app.number_input(key="t").value == balance.t_for_size(100)
    assert figures(app)["Curated at t"] == "100"
    app.number_input(key="by_tail").set_value(20.0).run()
    app.button(key="use_tail").click().run()
    assert app.number_input(key="t").value == balance.t_for_tail_share(0.2)
    app.button(key="use_pool").click().run()
    assert app.number_input(key="t").value == 20_000 * 240 / 1.6e9
    assert app.select_slider(key="t_slider").value == 20_000 * 240 / 1.6e9


def test_the_balance_page_shows_composition_and_flatness(open_page: OpenPage, small_run: Run) -> None:
    app = open_page("balance")
    table = table_with(app, "gini")
    assert table["curve"].to_list() == ["before", "after"]
    assert table["entries"].to_list() == [5, 5]
    bars = chart(app, "composition")["data"]
    assert [bar["name"] for bar in bars] == ["before", "after"]
    assert not app.error


# Entries


def test_entries_can_be_found_filtered_sorted_and_opened(open_page: OpenPage, small_run: Run) -> None:
    app = open_page("entries")
    assert frame(app, "entries_table")["entry"].to_list() == ["a", "dog", "cat", "boat", "small dog", "never seen"]
    app.text_input(key="find").set_value("DOG").run()
    assert frame(app, "entries_table")["entry"].to_list() == ["dog", "small dog"]
    app.selectbox(key="order").set_value("smallest first").run()
    assert frame(app, "entries_table")["entry"].to_list() == ["small dog", "dog"]
    app.text_input(key="find").set_value("").run()
    app.pills(key="is").set_value("never matched").run()
    assert frame(app, "entries_table")["entry"].to_list() == ["never seen"]
    app.pills(key="is").set_value(None).run()
    app.selectbox(key="of").set_value("wiki_unigram").run()
    assert frame(app, "entries_table")["entry"].to_list() == ["cat", "boat"]  # equal counts stay in the order of ids
    app.text_input(key="find").set_value("zebra").run()
    assert "No entry is like that" in app.info[0].value


def test_an_entry_shows_its_figures_its_pairs_and_its_companions(open_page: OpenPage, small_run: Run) -> None:
    app = open_page("entries", entry="dog", t="60")
    balance = small_run.balance()
    after = balance.counts_after(60)[1]
    shown = figures(app)
    assert (shown["Status at t"], shown["Before"], shown["Cap"], shown["After"]) == ("head", "120", "60", f"{after:,}")
    assert shown["Says yes"] == "50.0%"
    assert table_with(app, "together")["entry"].to_list() == ["a", "boat", "small dog"]
    headings = [element.value for element in app.markdown]
    assert f"**Kept: {after:,} pairs**" in headings
    assert f"**Dropped: {120 - after:,} pairs**" in headings
    assert chart(app, "entry_curve")["layout"]["shapes"]
    app.button(key="close_entry").click().run()
    assert not app.exception
    assert "entry" not in app.query_params


def test_an_entry_that_is_off_or_is_not_there_says_so(open_page: OpenPage) -> None:
    app = open_page("entries", entry="small dog", sources="wordnet")
    assert any("None of this entry's sources is on" in info.value for info in app.info)
    app = open_page("entries", entry="<b>zebra</b>")
    assert any("no entry '<b>zebra</b>'" in text for text in texts(app))


# Pairs


def test_pairs_are_filtered_by_status_entry_and_words(open_page: OpenPage, small_run: Run) -> None:
    kept = small_run.balance().curated_size(41)
    app = open_page("pairs", t="41")

    def counted() -> str:
        return next(caption.value for caption in app.caption if " pairs" in caption.value and "shown" in caption.value)

    assert counted().startswith("280 pairs; 24 of them shown, the first ones")
    for status, n in (("kept", kept), ("dropped", 240 - kept), ("unmatched", 40)):
        app.pills(key="status").set_value(status).run()
        assert counted().startswith(f"{n:,} pairs")
    app.pills(key="status").set_value(None).run()
    app.text_input(key="carries").set_value("boat").run()
    assert counted().startswith("80 pairs")
    app.text_input(key="words").set_value("RED").run()
    assert counted().startswith("40 pairs")
    app.button(key="reshuffle").click().run()
    assert "drawn at random" in counted()
    app.text_input(key="words").set_value("zebra").run()
    assert "No pair is like that" in app.info[0].value
    app.text_input(key="carries").set_value("zebra").run()
    assert any("no entry 'zebra'" in text for text in texts(app))


def test_a_pair_explains_itself(open_page: OpenPage, small_run: Run) -> None:
    balance = small_run.balance()
    pair = 3  # a small dog in a boat
    t = float(balance.keep_t[pair]) * 1.01
    decisive = small_run.entries["entry"][int(balance.deciding_entry[pair])]
    app = open_page("pairs", pair="3", t=repr(t))
    (why,) = [text for text in texts(app) if "P(keep)" in text]
    assert why.startswith(f"Kept, because of “{decisive}”")
    table = frame(app, "explained")
    assert sorted(table["entry"]) == ["a", "boat", "dog", "small dog"]
    assert table["entry"][0] == decisive
    app = open_page("pairs", pair="3", t=repr(float(balance.keep_t[pair])))
    assert any(text.startswith("Dropped: no entry says yes") for text in texts(app))
    app = open_page("pairs", pair="6")
    assert any("matches no enabled entry" in text for text in texts(app))
    app.button(key="close_pair").click().run()
    assert "pair" not in app.query_params


@pytest.mark.parametrize("pair", ["280", "-1", "x", "9" * 400, "٣"])
def test_a_pair_that_cannot_be_is_an_error_on_the_page(open_page: OpenPage, pair: str) -> None:
    app = open_page("pairs", pair=pair)
    assert any("there is no pair" in text for text in texts(app))


# Compare


def test_two_settings_side_by_side(open_page: OpenPage, small_run: Run) -> None:
    app = open_page("compare", t="30")
    app.number_input(key="t_b").set_value(80.0).run()
    balance = small_run.balance()
    expected = compare(balance, 30, balance, 80)
    shown = figures(app)
    assert shown["A keeps"] == f"{expected.size_a:,}"
    assert shown["B keeps"] == f"{expected.size_b:,}"
    assert shown["Entered"] == f"{len(expected.entered):,}"
    assert shown["Left"] == "0"
    app.pills(key="sources_b").set_value(["wiki_unigram"]).run()
    app.text_input(key="seed_b").set_value("9").run()
    other = compare(balance, 30, small_run.balance(["wiki_unigram"], 9), 80)
    assert figures(app)["Left"] == f"{len(other.left):,}"
    assert {trace["name"] for trace in chart(app, "two_settings")["data"]} == {"before (c)", "after A", "after B"}
    assert table_with(app, "after_b").height


# SQL


def test_a_query_is_answered_and_a_forbidden_one_refused(open_page: OpenPage) -> None:
    app = open_page("sql")
    assert not app.error
    app.text_area(key="query").set_value("SELECT entry, count FROM entries ORDER BY count DESC, entry LIMIT 2").run()
    assert table_with(app, "entry", "count").rows() == [("a", 240), ("dog", 120)]
    app.text_area(key="query").set_value("SELECT pair, entry_ids, {'a': 1} AS s FROM pairs LIMIT 1").run()
    assert not app.exception
    app.selectbox(key="example").set_value("Captions that match nothing").run()
    assert table_with(app, "pair", "text")["text"].to_list() == ["nothing"] * 40
    app.text_area(key="query").set_value("SELECT * FROM read_text('/etc/hostname')").run()
    assert len(app.error) == 1
    app.text_area(key="query").set_value(" ").run()
    assert "Write a SELECT" in app.info[0].value


# Data and Export


def done(jobs: Path) -> str:
    deadline = time.monotonic() + 60
    while any(job.state == "running" for job in jobs_in(jobs)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return jobs_in(jobs)[0].state


def button_of(app: AppTest, key: str) -> Any:
    """The one button whose key begins so."""
    (found,) = [button for button in app.button if str(button.key).startswith(key)]
    return found


def test_data_tells_where_a_run_comes_from(open_page: OpenPage, small_run: Run) -> None:
    app = open_page("data")
    assert table_with(app, "size_bytes")["name"].to_list() == ["pool.tar"]
    settings = dict(table_with(app, "what", "value").rows())
    assert settings["boundaries"] == "space"
    assert any(small_run.fingerprint in text for text in texts(app))
    assert any("read 280 = pairs 280 + skipped 0" in text for text in texts(app))


def test_a_curation_is_started_from_the_page_and_its_run_opened(open_page: OpenPage, workspace: Path) -> None:
    write_tar(workspace / "new.tar", ["a dog", "a cat", "nothing at all"])
    write_metadata(workspace / "entries.parquet")
    app = open_page("data")
    assert app.multiselect(key="c_pool").options == ["root/new.tar"]
    assert app.multiselect(key="c_metadata").options == ["root/entries.parquet"]
    app.multiselect(key="c_pool").set_value(["root/new.tar"])
    app.multiselect(key="c_metadata").set_value(["root/entries.parquet"]).run()
    assert table_with(app, "identity", "text")["text"].to_list() == ["a dog", "a cat", "nothing at all"]
    app.text_input(key="c_name").set_value("../evil").run()
    assert "letters, digits" in app.warning[0].value
    app.selectbox(key="c_boundaries").select_index(1)
    app.text_input(key="c_name").set_value("mine").run()
    app.button(key="c_go").click().run()
    assert not app.exception
    assert done(workspace.parent / "jobs") == "done"
    st.cache_data.clear()  # the list of runs is looked through anew every few seconds
    app = open_page("data")
    assert frame(app, "runs_table")["name"].to_list() == ["run", "mine"]
    button_of(app, "open_").click().run()
    assert "120" not in figures(open_page("overview", run=app.query_params["run"][0]))["Pairs"]
    mine = open_run(workspace / "runs/mine")
    assert app.session_state["_run"] == mine.fingerprint[:12]
    assert (mine.manifest["settings"]["boundaries"], mine.manifest["settings"]["on_error"]) == ("script", "skip")
    button_of(app, "forget_").click().run()
    assert jobs_in(workspace.parent / "jobs") == []


def test_a_job_that_failed_goes_on_by_the_same_command(open_page: OpenPage, workspace: Path) -> None:
    jobs, out = workspace.parent / "jobs", workspace / "runs/late"
    arguments = [
        "curate",
        str(workspace / "late.tar"),
        "--metadata",
        str(workspace / "entries.parquet"),
        "--out",
        str(out),
    ]
    start(jobs, arguments, title="Curate late", out=str(out))
    assert done(jobs) == "failed"
    write_tar(workspace / "late.tar", ["a dog", "a cat"])
    write_metadata(workspace / "entries.parquet")
    app = open_page("data")
    button_of(app, "again_").click().run()
    assert done(jobs) == "done"
    assert len(jobs_in(jobs)) == 1
    assert open_run(out).n_pairs == 2


def test_a_broken_pool_is_an_error_before_anything_is_started(open_page: OpenPage, workspace: Path) -> None:
    (workspace / "broken.parquet").write_bytes(b"PAR1 nonsense")
    write_metadata(workspace / "entries.parquet")
    app = open_page("data")
    app.multiselect(key="c_pool").set_value(["root/broken.parquet"]).run()
    assert not app.exception
    assert len(app.error) == 1
    assert any("broken.parquet" in text for text in texts(app))


def test_an_export_is_started_from_the_page(open_page: OpenPage, workspace: Path, small_run: Run) -> None:
    app = open_page("export", t="50.5", format="jsonl")
    size = small_run.balance().curated_size(50.5)
    assert figures(app)["To be exported"] == f"{size:,}"
    assert "-t 50.5" in app.code[0].value
    app.button(key="go").click().run()
    assert done(workspace.parent / "jobs") == "done"
    (folder,) = (workspace / "exports").iterdir()
    lines = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == size
    assert all(line["keep_t"] < 50.5 for line in lines)


def test_without_a_folder_the_pages_say_what_to_do(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACLIP_ROOTS", "")
    assert any("--root DIR" in info.value for info in open_page("data").info)
    assert any("--root DIR" in info.value for info in open_page("export").info)


# Metadata


def test_the_metadata_page_shows_sources_overlaps_and_another_pool(
    open_page: OpenPage, workspace: Path, small_run: Run
) -> None:
    write_tar(workspace / "two.tar", ["a dog", "a boat", "a boat"])
    curate(workspace / "two.tar", write_metadata(workspace / "entries.parquet"), workspace / "runs/other")
    app = open_page("metadata")
    shared = {row["source"]: row for row in table_with(app, "source", "wordnet", "wiki_bigram").iter_rows(named=True)}
    assert (shared["wordnet"]["wordnet"], shared["wordnet"]["wiki_unigram"], shared["wiki_bigram"]["wordnet"]) == (
        3,
        1,
        0,
    )
    assert any("6 entries; rows dropped: none" in text for text in texts(app))
    app.selectbox(key="beside").set_value("run other").run()
    table = table_with(app, "entry", "mine", "published")
    counts = {row["entry"]: (row["mine"], row["published"]) for row in table.iter_rows(named=True)}
    assert counts == {"a": (240, 3), "dog": (120, 1), "cat": (80, 0), "boat": (80, 2), "small dog": (40, 0)}
    assert {trace["name"] for trace in chart(app, "against_reference")["data"]} == {"entries", "equal shares"}


def test_a_list_is_added_from_the_page_as_a_new_run(open_page: OpenPage, workspace: Path, small_run: Run) -> None:
    app = open_page("metadata")
    app.text_area(key="m_entries").set_value("mat\nred boat\n\n")
    app.text_input(key="m_source").set_value("mine")
    app.text_input(key="m_run").set_value("larger").run()
    app.button(key="m_add").click().run()
    assert not app.exception
    assert done(workspace.parent / "jobs") == "done"
    run = open_run(workspace / "runs/larger")
    assert run.source_names == (*small_run.source_names, "mine")
    counts = dict(run.entries.select("entry", "count").iter_rows())
    assert (counts["mat"], counts["red boat"], counts["dog"]) == (40, 40, 120)
    app.text_input(key="m_run").set_value("../x").run()
    assert "letters, digits" in app.warning[0].value


# Functions


def test_runs_of_one_name_are_told_apart() -> None:
    """An option of a select box is known by its label alone."""
    runs = [
        KnownRun(id=i, path=f"{folder}/cap", pairs=n)
        for i, folder, n in (("ab", "x", 5), ("cd", "y", 5), ("ef", "z", 6))
    ]
    assert _labels(runs) == {"ab": "cap · 5 pairs · ab", "cd": "cap · 5 pairs · cd", "ef": "cap · 6 pairs"}


def test_the_ladder_starts_below_1_and_ends_above_the_largest_count() -> None:
    assert t_ladder(0)[:7] == [0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1]
    assert t_ladder(0)[-2:] == [1.0, 1.5]
    assert t_ladder(12)[-2:] == [10.0, 15.0]
