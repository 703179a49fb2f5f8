"""The command line, the recipe that repeats an export, and the data card that says what it is."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.export import CURATED_SCHEMA, FORMATS, export
from metaclip_core.export.card import literal
from metaclip_core.storage import file_digest

from .conftest import METADATA, REPOSITORY, Pool
from .oracle import expected

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")


@pytest.mark.parametrize("t", [0.1 + 0.2, 5e-324, 20000.0, 1.7976931348623157e308, math.inf, 0.0])
@pytest.mark.parametrize(
    ("sources", "seed", "size"), [(None, None, None), (["wordnet", "wiki_title"], 7, 9), ([], 0, 9)]
)
def test_the_recipes_command_gives_the_same_bytes(
    pool: Pool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    t: float,
    sources: list[str] | None,
    seed: int | None,
    size: int | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    first = export(pool.run, "out", t=t, format="jsonl", sources=sources, seed=seed, pairs_per_file=size)
    recipe = json.loads(first.recipe_path.read_text(encoding="utf-8"))
    assert float(recipe["settings"]["t"]) == t
    assert recipe == first.recipe
    (tmp_path / "out").rename(tmp_path / "first")
    assert recipe["command"][0] == "metaclip"
    assert main(recipe["command"][1:]) == 0
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_recipe_knows_the_files_the_run_and_the_figures(pool: Pool, tmp_path: Path) -> None:
    result = export(pool.run, tmp_path / "out", t=12.5, format="metaclip", sources=["wordnet"])
    recipe = result.recipe
    named = {file["name"]: {"size_bytes": file["size_bytes"], "xxh3_128": file["xxh3_128"]} for file in recipe["files"]}
    present = {path.relative_to(result.path).as_posix() for path in result.path.rglob("*") if path.is_file()}
    assert set(named) == present - {"recipe.json", "data_card.md"}
    assert named == {name: file_digest(result.path / name) for name in named}
    assert recipe["run"]["fingerprint"] == pool.run.fingerprint
    assert [file["name"] for file in recipe["run"]["settings"]["inputs"]] == ["0.tar", "1.tar"]
    pairs = expected(pool.pairs, METADATA, 12.5, ["wordnet"])
    figures = recipe["figures"]
    assert figures["pool_pairs"] == 210
    assert figures["matched_pairs"] == sum(bool(pair.entries) for pair in pairs)
    assert figures["curated_pairs"] == figures["pairs"] == sum(pair.keep_t < 12.5 for pair in pairs)
    assert figures["expected_curated_pairs"] == pytest.approx(sum(pair.keep_probability for pair in pairs))
    assert figures["matches"] == sum(len(pair.entries) for pair in pairs)


def test_a_files_recipe_and_card_stand_beside_it(pool: Pool, tmp_path: Path) -> None:
    result = export(pool.run, tmp_path / "kept.jsonl", t=12.5, format="jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "kept.jsonl",
        "kept.jsonl.data_card.md",
        "kept.jsonl.recipe.json",
    ]
    assert [file["name"] for file in result.recipe["files"]] == ["kept.jsonl"]
    assert result.files == [tmp_path / "kept.jsonl"]


def test_the_command_line(pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(pool.run.path), "-t", "40", "--format", "webdataset", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    captured = capsys.readouterr()
    kept = sum(pair.keep_t < 40 for pair in expected(pool.pairs, METADATA, 40))
    assert captured.out == f"{tmp_path / 'out'}: {kept - 1} of 210 pairs, left out: 1 no_picture\n"
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    for wrong in (["-t", "-1"], ["--sources", "wordnat"], ["--format", "tfrecord"]):
        assert main([*command, "--overwrite", *wrong]) == 2
    for wrong in ([*command, "--pairs-per-file", "0"], command[:4] + command[6:]):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)


def test_the_help_and_the_docs_know_every_format_and_column(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["export", "--help"])
    shown = capsys.readouterr().out
    docs = (REPOSITORY / "docs/export.md").read_text(encoding="utf-8")
    for name in FORMATS:
        assert name in shown
        assert f"| `{name}` |" in docs
    for column in CURATED_SCHEMA.names:
        assert re.search(rf"^\| .*`{column}`.* \| .* \|.*\|$", docs, re.MULTILINE), column


def tables_of(path: Path) -> list[list[list[str]]]:
    """The text of every cell, as a reader of the rendered card sees it."""
    tables: list[list[list[str]]] = []
    tokens = MARKDOWN.parse(path.read_text(encoding="utf-8"))
    for i, token in enumerate(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            children = tokens[i + 1].children or []
            assert all(child.type == "text" for child in children), f"not literal: {tokens[i + 1].content}"
            tables[-1][-1].append("".join(child.content for child in children))
    return tables


def test_the_cards_figures(pool: Pool, tmp_path: Path) -> None:
    result = export(pool.run, tmp_path / "out", t=40, format="parquet")
    pairs = expected(pool.pairs, METADATA, 40)
    kept = [pair for pair in pairs if pair.keep_t < 40]
    funnel, distribution, sources, entries = tables_of(result.card_path)
    assert [row[:2] for row in funnel[1:]] == [
        ["pool", "210"],
        ["matched", "180"],
        ["curated", str(len(kept))],
        ["exported", str(len(kept))],
    ]
    before = {entry: sum(entry in pair.entries for pair in pairs) for entry in METADATA}
    after = {entry: sum(entry in pair.entries for pair in kept) for entry in METADATA}
    assert distribution[1][1:] == [str(sum(before.values())), str(sum(after.values()))]
    assert [row[0] for row in sources[1:]] == list(pool.run.source_names)
    for row in sources[1:]:
        own = [entry for entry, names in METADATA.items() if row[0] in names]
        first = [entry for entry in own if METADATA[entry][0] == row[0]]
        assert row[1:3] == [str(len(own)), str(len(first))]
        assert row[4:6] == [str(sum(before[entry] for entry in own)), str(sum(after[entry] for entry in own))]
        assert row[6:] == [
            f"{sum(counts[entry] for entry in own) / sum(counts.values()):.1%}" for counts in (before, after)
        ]
    assert {row[0]: [int(row[1]), int(row[2])] for row in entries[1:]} == {
        entry: [before[entry], after[entry]] for entry in METADATA if before[entry]
    }
    counts = [int(row[1]) for row in entries[1:]]
    assert counts == sorted(counts, reverse=True)


HOSTILE = [
    "![x](https://example.com/x.png)",
    "<script>alert(1)</script>",
    "a | b",
    "**bold** _it_ ~~no~~ `code`",
    "$x^2$",
    "https://example.com",
    "<https://example.com>",
    "&amp; &#65;",
    "back\\slash \\| \\\\",
    "[a]: b",
    "# no heading",
    "- no list",
    "1. none either",
    "日本 é",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(text: str) -> None:
    (paragraph,) = [token for token in MARKDOWN.parse(f"| {literal(text)} |\n| -- |") if token.type == "inline"]
    assert [child.type for child in paragraph.children or []] == ["text"]
    assert paragraph.children[0].content == text
    html = MARKDOWN.render(literal(text))
    assert (
        re.sub("<[^>]*>", "", html.replace("\n", ""))
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", '"')
        .replace("&amp;", "&")
        == text
    )


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1).map(str.strip).filter(bool))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    (paragraph,) = [token for token in MARKDOWN.parse(f"| {literal(text)} |\n| -- |") if token.type == "inline"]
    assert [(child.type, child.content) for child in paragraph.children or []] == [("text", text)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x07", r"\x07"),
        ("\u202eabc", r"\u202eabc"),
        ("a\u200bb", r"a\u200bb"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_can_not_be_seen_is_named(text: str, shown: str) -> None:
    assert MARKDOWN.render(literal(text)) == f"<p>{shown}</p>\n"


def test_hostile_entries_in_a_card(tmp_path: Path) -> None:
    entries = [*HOSTILE[:5], "x\u202ey"]
    pl.DataFrame({"text": [entry for entry in entries for _ in range(2)]}).write_parquet(tmp_path / "pool.parquet")
    metadata = pl.DataFrame({"entry": entries, "sources": [["<b>"], *[["wordnet"]] * (len(entries) - 1)]})
    metadata.write_parquet(tmp_path / "metadata.parquet")
    run = curate(tmp_path / "pool.parquet", tmp_path / "metadata.parquet", tmp_path / "a*b*|<i>run")
    result = export(run, tmp_path / "out", t=5, format="jsonl")
    shown = [row[0] for row in tables_of(result.card_path)[-1][1:]]
    never = {HOSTILE[0], HOSTILE[3]}  # a spaced text sets `!` and the backtick apart
    assert set(shown) == {entry.replace("\u202e", r"\u202e") for entry in entries} - never
    html = MARKDOWN.render(result.card_path.read_text(encoding="utf-8"))
    assert set(re.findall("<([a-z][a-z0-9]*)", html)) <= {
        *("h1", "h2", "h3", "p", "a", "ul", "li", "code", "em"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert "&lt;i&gt;run" in html
