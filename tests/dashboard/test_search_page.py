"""The search page: on a run of coloured cards, with the small CLIP that ships."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from metaclip_core import Run, curate, open_run
from metaclip_core.cli import main
from metaclip_core.embedding import embed, model_named
from metaclip_core.embedding.encoder import Encoder
from metaclip_core.jobs import jobs_in
from metaclip_core.search import Filters, Searcher

from .conftest import REPOSITORY, OpenPage, texts, write_metadata


@pytest.fixture
def open_search(open_page: OpenPage, cards: Run, monkeypatch: pytest.MonkeyPatch) -> OpenPage:
    monkeypatch.setenv("METACLIP_RUN", str(cards.path))

    def opened(**address: str) -> AppTest:
        return open_page("search", **address)

    return opened


def shown(app: AppTest) -> list[str]:
    """The captions of the wall, in order."""
    return [text for text in texts(app) if text.startswith("a ") and text.endswith(" card")]


def rows(app: AppTest) -> list[int]:
    """The pairs of the wall, in order: those that its buttons explain."""
    found = [re.fullmatch(r"found_(\d+)", button.key or "") for button in app.button]
    return [int(match[1]) for match in found if match]


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


QUERIES = [
    {"q": "a red card", "t": "4", "k": "12"},
    {"q": "a red card", "t": "3.7", "show": "dropped"},
    {"q": 'it\'s a "blue" card; $HOME', "t": "0.1", "seed": str(2**64 - 1), "show": "kept"},
    {"q": "-v", "sources": "wiki_unigram", "entry_is": "green", "t": "1e6"},
    {"q": "a card", "of": "wordnet", "has": "YELLOW card", "t": "2"},
    {"like": "7", "t": "2.5", "k": "48"},
    {"entry_is": "blue", "t": "2", "show": "dropped"},
]


@pytest.mark.parametrize("address", QUERIES)
def test_the_command_line_gives_the_same(
    open_search: OpenPage, capsys: pytest.CaptureFixture[str], address: dict[str, str]
) -> None:
    """What the page shows, and what the command that it names prints."""
    app = open_search(**address)
    assert not app.error
    command = shlex.split(app.code[0].value)
    assert command[:2] == ["metaclip", "search"]
    capsys.readouterr()
    assert main(command[1:]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 < len(told) <= int(address.get("k", 24))
    assert [row["row"] for row in told] == rows(app)
    assert [row["text"] for row in told] == shown(app)
    scores = ["" if row["score"] is None else f"{row['score']:.3f}  ·  " for row in told]
    why = [f"“{row['entry']}”" if row["entry"] else "no entry matches" for row in told]
    assert [text for text in texts(app) if text.endswith(("”", "no entry matches"))] == [
        score + reason for score, reason in zip(scores, why, strict=True)
    ]
    badges = [element.value for element in app.markdown if "-badge[" in element.value]
    assert [re.search(r"kept|dropped", badge)[0] for badge in badges] == [row["status"] for row in told]  # type: ignore[index]


def test_a_query_is_encoded_once(open_search: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    real = Encoder.encode_query
    monkeypatch.setattr(Encoder, "encode_query", lambda self, text: encoded.append(text) or real(self, text))
    app = open_search(q="a red card", t="4")
    walls = {tuple(rows(app))}
    app.number_input(key="t").set_value(2.0).run()
    app.pills(key="show").set_value("dropped").run()
    walls.add(tuple(rows(app)))
    app.text_input(key="seed").set_value("5").run()
    app.pills(key="sources").set_value(["wordnet"]).run()
    walls.add(tuple(rows(app)))
    app.text_input(key="entry_is").set_value("blue").run()
    walls.add(tuple(rows(app)))
    app.selectbox(key="k").set_value(12).run()
    app.session_state["view"] = "Map"
    app.run()
    assert not app.exception
    assert len(walls) == 4
    assert [text for text in encoded if text != "a"] == ["a red card"]  # "a" shows how long a vector is


def test_torch_comes_after_the_page_and_only_for_this_page(cards: Run, tmp_path: Path) -> None:
    code = f"""
import sys, threading
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(REPOSITORY / "streamlit_app.py")!r}, default_timeout=60)
for page in ("overview", "pairs"):
    app.switch_page(f"dashboard/pages/{{page}}.py").run()
assert not app.exception
assert not {{"torch", "open_clip"}} & set(sys.modules)
assert "preload" not in {{thread.name for thread in threading.enumerate()}}
from dashboard.data import searches
searches.preload = lambda: print("open_clip" in sys.modules, "torch" in sys.modules)
app.switch_page("dashboard/pages/search.py").run()
app.run()
assert "Type what a picture should show" in app.info[0].value
"""
    environment = {**os.environ, "METACLIP_RUN": str(cards.path), "METACLIP_ROOTS": "", "METACLIP_JOBS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert done.stdout == "False False\n"  # once, for both times that the page is drawn


def test_what_preload_imports_is_what_a_model_needs() -> None:
    code = (
        "import sys; from metaclip_core.embedding.encoder import load_encoder, preload\n"
        "from metaclip_core.embedding.models import model_named\n"
        "preload(); before = set(sys.modules); load_encoder(model_named())\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert not {"torch", "torchvision", "timm", "open_clip"} & set(done.stdout.split())


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


def test_pictures_without_captions_can_be_searched_and_the_captions_added(
    open_page: OpenPage, cards: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = curate(cards.path.parent / "pool.tar", cards.path.parent / "metadata.parquet", workspace / "runs/fresh")
    embed(fresh, texts=False)
    monkeypatch.setenv("METACLIP_RUN", str(fresh.path))
    app = open_page("search", view="Agreement")
    assert "Only the pictures of this run are embedded" in app.info[0].value
    app.button(key="embed_captions").click().run()
    wait_for_jobs(workspace)
    app = open_page("search", view="Agreement", t="4")
    assert any("Mean CLIP score" in text for text in texts(app))
    traces = json.loads(app.get_by_key("chart_agreement").proto.spec)["data"]
    kept = int((cards.balance().keep_t < 4).sum())
    assert [trace["name"] for trace in traces] == [f"kept ({kept})", f"dropped ({40 - kept})"]


def test_models_to_choose_from(open_search: OpenPage) -> None:
    app = open_search(view="Models")
    assert any("Embedded by metaclip-sample: 40 pictures, 128 dimensions." in text for text in texts(app))
    options = app.selectbox(key="embed_with").options
    assert options[:2] == ["metaclip-sample", "ViT-B-32-quickgelu · metaclip_400m (151M parameters)"]
    app.selectbox(key="embed_with").set_value(options[1]).run()
    assert any("Its weights, about 0.6 GB at most, are downloaded when you start it" in c.value for c in app.caption)
    app.toggle(key="all_models").set_value(True).run()
    every = app.selectbox(key="embed_with").options
    assert every[: len(options)] == options
    assert "ViT-B-32 · openai" in every


def test_a_run_without_pictures_says_so(open_page: OpenPage, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.DataFrame({"text": ["a red card"]}).write_parquet(workspace / "pool.parquet")
    run = curate(workspace / "pool.parquet", write_metadata(workspace / "m.parquet"), workspace / "runs/none")
    monkeypatch.setenv("METACLIP_RUN", str(run.path))
    app = open_page("search", q="a red card")
    assert any("none of its 1 pairs has a picture on this machine" in text for text in texts(app))
    assert not [button for button in app.button if button.key == "embed"]


def test_embeddings_of_the_wrong_length_are_named(
    open_page: OpenPage, cards: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cards.path, workspace / "damaged")
    (part,) = (workspace / "damaged").glob("embeddings/*/image/*.npy")
    np.save(part, np.load(part)[:-1])
    monkeypatch.setenv("METACLIP_RUN", str(workspace / "damaged"))
    app = open_page("search", q="a red card")
    assert any(f"{part}: float16 of shape (39, 128), but the run's part has 40 pairs" in text for text in texts(app))


def test_a_model_whose_weights_are_gone_or_do_not_fit_is_named(
    open_page: OpenPage, cards: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures can be searched by each other all the same."""
    model = workspace / "model"
    shutil.copytree(model_named().folder or Path(), model, ignore=shutil.ignore_patterns("embeddings"))
    fresh = curate(cards.path.parent / "pool.tar", cards.path.parent / "metadata.parquet", workspace / "runs/fresh")
    embed(fresh, model_named(f"local-dir:{model}"))
    (model / "open_clip_model.safetensors").unlink()
    monkeypatch.setenv("METACLIP_RUN", str(fresh.path))
    app = open_page("search", q="a red card")
    assert any("open_clip_model.safetensors: No such file or directory; no such model" in text for text in texts(app))
    assert len(rows(open_page("search", like="3"))) == 24


def wait_for_jobs(workspace: Path) -> None:
    """Until the jobs started from the page are done."""
    deadline = time.monotonic() + 120
    while any(job.state == "running" for job in jobs_in(workspace.parent / "jobs")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {job.state for job in jobs_in(workspace.parent / "jobs")} == {"done"}


def test_a_run_that_is_not_embedded_is_embedded_from_the_page(
    open_page: OpenPage, cards: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = curate(cards.path.parent / "pool.tar", cards.path.parent / "metadata.parquet", workspace / "runs/fresh")
    monkeypatch.setenv("METACLIP_RUN", str(fresh.path))
    app = open_page("search")
    assert "not embedded yet" in app.info[0].value
    app.button(key="embed").click().run()
    wait_for_jobs(workspace)
    assert len(Searcher.open(open_run(fresh.path)).embeddings.present) == 40
    app = open_page("search", q="a green card")
    assert len(shown(app)) == 24
