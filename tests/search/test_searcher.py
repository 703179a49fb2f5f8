"""Queries to results, in Python and on the command line."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metaclip_core.cli import main
from metaclip_core.distribution import default_t
from metaclip_core.errors import EmbeddingError, PictureError, SettingsError
from metaclip_core.search import Filters, Searcher, list_pairs, map_density, map_places, map_points, searcher
from metaclip_core.search import points as points_module
from metaclip_core.search.searcher import RESULT_SCHEMA

from .worlds import N, World


def test_results_say_what_and_why(world: World) -> None:
    balance = world.run.balance()
    t = float(np.median(balance.keep_t[np.isfinite(balance.keep_t)]))
    found = Searcher.open(world.run).search(world.vectors[9], balance=balance, t=t, k=200)
    assert found.schema == pl.Schema(RESULT_SCHEMA)
    rows = found["row"].to_numpy()
    assert len(rows) == 200
    assert found["score"].is_sorted(descending=True)
    assert found["text"].to_list() == [world.texts[i] for i in rows]
    np.testing.assert_array_equal(found["keep_t"], balance.keep_t[rows])
    assert found["status"].to_list() == ["kept" if balance.keep_t[i] < t else "dropped" for i in rows]
    names = world.run.entries["entry"].to_list()
    deciding = [names[i] if i >= 0 else None for i in balance.deciding_entry[rows]]
    assert found["entry"].to_list() == deciding
    assert {"kept", "dropped"} == set(found["status"])
    assert None in deciding


def test_more_like_this_leaves_this_out(world: World) -> None:
    search = Searcher.open(world.run)
    row = int(np.flatnonzero(world.present)[4])
    balance = world.run.balance()
    like = search.like(row, balance=balance, t=5, k=N, filters=Filters(words="dog"))
    assert row not in like["row"]
    everything = search.search(search.row_vector(row), balance=balance, t=5, k=3)
    assert everything["row"][0] == row
    assert search.like(row, balance=balance, t=5, k=2)["row"].to_list() == everything["row"][1:].to_list()


def test_twenty_kept_are_twenty_kept(world: World) -> None:
    search, balance = Searcher.open(world.run), world.run.balance()
    kept = np.sort(balance.keep_t)[24] + 1e-9  # 25 pairs are kept
    found = search.search(
        world.vectors[0], balance=balance, t=float(kept), k=20, filters=Filters(status="kept")
    )  # fmt: skip
    n_kept = int((world.present & (balance.keep_t < kept)).sum())
    assert n_kept >= 20
    assert found["status"].to_list() == ["kept"] * 20


def test_what_an_entry_costs_is_listed_without_a_query(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    balance = world.run.balance()
    of_entry = np.array([" boat " in f" {text} " for text in world.texts])
    for status, mask in (("kept", balance.keep_t < 300), ("dropped", balance.keep_t >= 300)):
        filters = Filters(entry="boat", status=status)
        found = list_pairs(world.run, balance=balance, t=300, filters=filters, k=N)
        assert found["row"].to_list() == np.flatnonzero(of_entry & mask).tolist()
        assert len(found) > 20
        assert found.schema == pl.Schema(RESULT_SCHEMA)
        assert found["score"].null_count() == len(found)
        page = list_pairs(world.run, balance=balance, t=300, filters=filters, k=5, start=10)
        assert page.equals(found[10:15])
    assert main(["search", str(world.run.path), "--entry", "boat", "--status", "dropped", "-t", "300", "--json"]) == 0
    assert [row["row"] for row in json.loads(capsys.readouterr().out)] == found["row"][:20].to_list()


def test_a_row_that_can_not_be_asked_for(world: World) -> None:
    search = Searcher.open(world.run)
    absent = int(np.flatnonzero(~world.present)[0])
    with pytest.raises(SettingsError, match=f"the picture of pair {absent} could not be embedded"):
        search.row_vector(absent)
    with pytest.raises(SettingsError, match="there is no pair 1,500; the run has 1,500"):
        search.row_vector(N)
    with pytest.raises(SettingsError, match="k must be from 1 to 10,000, got 0"):
        search.search(world.vectors[0], balance=world.run.balance(), t=1, k=0)


@pytest.mark.parametrize("part_rows", [65_536, 7])
def test_pairs_are_read_in_the_order_asked_for(tmp_path: Path, world: World, part_rows: int) -> None:
    for path in world.run.part_paths:
        (tmp_path / "parts").mkdir(exist_ok=True)
        pl.read_parquet(path).write_parquet(tmp_path / "parts" / path.name, row_group_size=part_rows)
    run = type(world.run)(tmp_path, world.run.manifest)
    rows = np.random.default_rng(0).permutation(N)[:300]
    frame = run.rows(rows, ["text", "identity"])
    assert frame.columns == ["text", "identity"]
    assert frame["text"].to_list() == [world.texts[i] for i in rows]
    assert run.rows(np.zeros(0, np.int64), ["text"]).shape == (0, 1)
    assert run.rows(np.array([5, 5]), ["text"])["text"].to_list() == [world.texts[5]] * 2


def test_threads_share_one_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    class Model:
        dim = world.embeddings.dim

    class Spec:
        label, fingerprint = "x", world.embeddings.fingerprint

    search = Searcher.open(world.run)
    monkeypatch.setattr(searcher, "load_encoder", lambda spec: loaded.append(spec) or Model())
    monkeypatch.setattr(type(world.embeddings), "model", Spec())
    threads = [threading.Thread(target=lambda: search.encoder) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1


def test_a_model_whose_files_changed_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        label, fingerprint = "own", "0" * 32

    monkeypatch.setattr(type(world.embeddings), "model", Spec())
    with pytest.raises(EmbeddingError, match="own: its files are not those that made"):
        Searcher.open(world.run).text_vector("a dog")


def test_the_command_line_gives_what_python_gives(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", str(world.run.path), "--like", "9", "-k", "30", "--words", "dog", "--json"]
    assert main([*arguments, "-t", "3", "--sources", "wordnet", "--seed", "4", "--status", "dropped"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = Searcher.open(world.run).like(
        9, balance=world.run.balance(sources=["wordnet"], seed=4), t=3, k=30,
        filters=Filters(status="dropped", words="dog"),
    )  # fmt: skip
    assert [row["row"] for row in told] == found["row"].to_list()
    assert {"key", "text", "score", "status", "keep_t"} <= set(told[0])
    assert {row["status"] for row in told} == {"dropped"}
    assert [row["keep_t"] for row in told] == found["keep_t"].to_list()


@pytest.mark.parametrize("order", [("{run}", "-t", "3", ""), ("-t", "3", "{run}", ""), ("{run}", "", "-t", "3")])
def test_options_may_stand_anywhere(world: World, capsys: pytest.CaptureFixture[str], order: tuple[str, ...]) -> None:
    """An empty query gets as far as being refused for that; one that begins with a dash follows `--`."""
    arguments = [part.format(run=world.run.path) for part in order]
    assert main(["search", *arguments]) == 2
    assert capsys.readouterr().err == "metaclip: the query is empty; describe what the pictures should show\n"
    assert main(["search", *(part for part in arguments if part), "--", "-dog"]) == 1
    assert "nobody said which model" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["search", str(world.run.path), "a dog", "-t", "3", "another"])
    assert "unrecognized arguments: another" in capsys.readouterr().err


def test_without_t_the_command_line_takes_the_pages(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(world.run.path), "--like", "9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[-1] == f"t = {default_t(world.run.balance()):g}"


def test_an_infinite_keep_t_is_null_in_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(world.run.path), "--like", "9", "-k", "900", "--sources", "", "-t", "9", "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert {(row["keep_t"], row["entry"], row["status"]) for row in told} == {(None, None, "dropped")}


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ([], 2, "one query, please"),
        (["a dog", "--like", "3"], 2, "one query, please"),
        (["--like", "99999"], 2, "there is no pair 99,999"),
        (["--picture", "nowhere.jpg"], 1, "nowhere.jpg: No such file"),
        (["a dog"], 1, "nobody said which model"),
        (["a dog", "--model", "metaclip-sample"], 1, "no embeddings by metaclip-sample"),
        (["--like", "3", "--entry", "unicorn"], 2, "has no entry 'unicorn'"),
    ],
)
def test_what_the_command_line_refuses(
    world: World, capsys: pytest.CaptureFixture[str], query: list[str], status: int, message: str
) -> None:
    assert main(["search", str(world.run.path), *query]) == status
    assert message in capsys.readouterr().err


def test_an_uploaded_text_file_is_no_picture(world: World) -> None:
    with pytest.raises(PictureError, match="the picture: not a picture that can be read"):
        Searcher.open(world.run).picture_vector(b"hello")


def test_a_map_is_made_once_and_keeps_neighbours_together(fresh_world: World) -> None:
    points = map_points(fresh_world.embeddings, 300)
    assert points.schema == pl.Schema({"row": pl.Int64, "x": pl.Float32, "y": pl.Float32})
    rows = points["row"].to_numpy()
    assert len(set(rows.tolist())) == 300
    assert fresh_world.present[rows].all()
    places = points.select("x", "y").to_numpy()
    flat = np.linalg.norm(places[:, None] - places[None], axis=2)
    scores = fresh_world.vectors[rows] @ fresh_world.vectors[rows].T
    near = np.argsort(flat, axis=1)[:, 1:6]
    assert scores[np.arange(300)[:, None], near].mean() > scores.mean() + 0.3
    assert map_points(fresh_world.embeddings, 300).equals(points)
    assert len(list(fresh_world.embeddings.path.glob("map-*"))) == 1
    assert len(map_points(fresh_world.embeddings, 3)) == 3


def test_pairs_that_are_not_on_the_map_lie_amid_their_nearest(fresh_world: World) -> None:
    points = map_points(fresh_world.embeddings, 300)
    drawn = points["row"].to_numpy()
    rows = np.flatnonzero(fresh_world.present)[::-1]  # in any order
    places = map_places(fresh_world.embeddings, points, rows)
    assert (places.dtype, places.shape) == (np.float32, (len(rows), 2))
    at = {int(row): place for row, place in zip(rows, places, strict=True)}
    for row, x, y in points.iter_rows():
        assert tuple(at[row]) == (np.float32(x), np.float32(y))
    scores = fresh_world.vectors @ fresh_world.vectors[drawn].T
    for row in set(rows.tolist()) - set(drawn.tolist()):
        nearest = np.argsort(-scores[row], kind="stable")[:5]
        np.testing.assert_allclose(at[row], np.median(points.select("x", "y").to_numpy()[nearest], axis=0), atol=1e-5)
    assert map_places(fresh_world.embeddings, points, np.zeros(0, np.int64)).shape == (0, 2)


def test_the_density_counts_all_pictures(fresh_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    points = map_points(fresh_world.embeddings, 300)
    n = int(fresh_world.present.sum())
    for most in (50_000, 400):  # all of them, and a sample that stands for all
        monkeypatch.setattr(points_module, "_DENSITY_PAIRS", most)
        density = map_density(fresh_world.embeddings, points)
        assert density.schema == pl.Schema({"x": pl.Float64, "y": pl.Float64, "pictures": pl.Float64})
        assert density["pictures"].min() >= 0
        assert density["pictures"].sum() == pytest.approx(n, rel=0.01)
    grid = density["pictures"].to_numpy().reshape(density["x"].n_unique(), density["y"].n_unique())
    xs, ys = density["x"].unique().sort().to_numpy(), density["y"].unique().sort().to_numpy()
    heights = [grid[np.abs(xs - x).argmin(), np.abs(ys - y).argmin()] for x, y in points.select("x", "y").iter_rows()]
    assert np.mean(heights) > 2 * grid.mean()  # it is high where points are
