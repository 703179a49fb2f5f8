"""Boundary mode `script`, against a plain scan and Unicode's own names."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_core.curation import curate
from metaclip_core.errors import RunError
from metaclip_core.matching import Matcher, match_texts
from metaclip_core.metadata import Metadata
from metaclip_core.scripts import SCRIPT_RANGES

NAMES = (
    *("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL", "KANGXI RADICAL", "HANGZHOU NUMERAL"),
    *("IDEOGRAPHIC DESCRIPTION", "IDEOGRAPHIC ITERATION", "IDEOGRAPHIC CLOSING", "IDEOGRAPHIC NUMBER"),
    *("VERTICAL IDEOGRAPHIC ITERATION", "VERTICAL KANA REPEAT", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA"),
    *("HENTAIGANA", "BOPOMOFO", "THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER", "TAI LE", "NEW TAI LUE", "TAI THAM", "TAI VIET"),
)  # fmt: skip
MIDDLE_DOTS_AND_HYPHENS = "\u30a0\u30fb\uff65"


def needs_no_space(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.startswith(NAMES) and character not in MIDDLE_DOTS_AND_HYPHENS


def make_metadata(entries: list[str]) -> Metadata:
    return Metadata(
        entry_array=pa.array(entries, pa.large_string()),
        sources=np.ones(len(entries), np.uint32),
        source_names=("custom",),
        original_ids=np.arange(len(entries)),
    )


def scan(text: str, entries: list[str]) -> list[int]:
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    spaced = f" {text} "
    return [
        i
        for i, entry in enumerate(entries)
        if f"{'' if needs_no_space(entry[0]) else ' '}{entry}{'' if needs_no_space(entry[-1]) else ' '}" in spaced
    ]


def matched(texts: list[str], entries: list[str]) -> list[list[int]]:
    matches = match_texts(texts, make_metadata(entries), boundaries="script")
    return [matches.of(i).tolist() for i in range(len(matches))]


def test_the_ranges_are_those_of_the_scripts_named() -> None:
    ranges = {code for first, last, _ in SCRIPT_RANGES for code in range(first, last + 1)}
    assigned = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.name(c, "")]
    inside = {c for c in assigned if ord(c) in ranges}
    # Enclosed and squared kana are signs, not words; the letters' own blocks must agree with the names.
    assert {c for c in assigned if needs_no_space(c)} - inside == set()
    strangers = {c for c in inside if not needs_no_space(c)}
    assert {unicodedata.name(c).split()[0] for c in strangers} <= {"COMBINING", "LEFT-FACING", "RIGHT-FACING", "SQUARE"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("日本語", ["日本", "日本語"]),
        ("私は日本が好き", ["日本"]),
        ("日 本", []),
        ("日,本", []),
        ("写真:ねこです", ["ねこ"]),
        ("新しいカメラ。", ["カメラ"]),
        ("カメラマン", ["カメラ"]),
        ("ｶﾒﾗ", []),
        ("ภาพแมวน่ารัก", ["แมว"]),
        ("ຮູບແມວ", ["ແມວ"]),
        ("រូបឆ្មា", ["ឆ្មា"]),
        ("ကြောင်ပုံ", ["ကြောင်"]),
        ("བྱི་ལ་དཀར་པོ", ["བྱི་ལ"]),
        ("고양이가", []),
        ("고양이", ["고양이"]),
        ("東日本 map", ["日本", "日本 map"]),
        ("日本 maps", ["日本"]),
        ("my日本", ["日本"]),
        ("T恤", ["恤"]),
        ("T恤衫", ["恤"]),
        ("a T恤衫", ["恤", "T恤"]),
        ("aT恤衫", ["恤"]),
        ("dog日本dog", ["日本"]),
        ("it's", []),
        ("人々", ["人々"]),
    ],
)  # fmt: skip
def test_literal_table(text: str, expected: list[str]) -> None:
    entries = ["日本", "日本語", "ねこ", "カメラ", "แมว", "ແມວ", "ឆ្មា", "ကြောင်", "བྱི་ལ", "고양이", "日本 map", "恤", "T恤", "dog", "'s", "人々"]  # fmt: skip
    if text in ("T恤", "T恤衫"):
        expected = [*expected, "T恤"]
    assert [entries[i] for i in matched([text], entries)[0]] == expected
    assert scan(text, entries) == matched([text], entries)[0]


PIECES = st.text(st.sampled_from("ab ,.\tは日本カ国แม고"), max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES.filter(str.strip), min_size=1, max_size=12, unique=True),
    st.lists(st.text() | PIECES, max_size=6),
)
def test_equals_a_plain_scan(entries: list[str], texts: list[str]) -> None:
    assert matched(texts, entries) == [scan(text, entries) for text in texts]


def test_threads_and_batches_change_nothing(sample_texts: list[str]) -> None:
    texts = [f"{text}日本{i % 7}ねこ" if i % 3 else text for i, text in enumerate(sample_texts * 20)]
    entries = ["日本", "a", "ねこ", "new york", "99", "本", ","]
    metadata = make_metadata(entries)
    whole = match_texts(texts, metadata, boundaries="script")
    threads = Matcher(metadata, boundaries="script").match(texts, n_threads=3)
    np.testing.assert_array_equal(whole.indptr, threads.indptr)
    np.testing.assert_array_equal(whole.entry_ids, threads.entry_ids)
    assert [whole.of(i).tolist() for i in range(60)] == [scan(text, entries) for text in texts[:60]]


def test_mode_space_is_untouched(sample_texts: list[str]) -> None:
    entries = ["a", "new york", "99", ",", "the"]
    space, script = (match_texts(sample_texts, make_metadata(entries), boundaries=mode) for mode in ("space", "script"))
    np.testing.assert_array_equal(space.entry_ids, script.entry_ids)
    metadata = make_metadata(["日本"])
    assert len(match_texts(["日本語"], metadata, boundaries="space").entry_ids) == 0
    assert len(match_texts(["日本語"], metadata, boundaries="script").entry_ids) == 1


def test_a_run_remembers_its_mode(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["日本語", "a dog"]}).write_parquet(tmp_path / "pool.parquet")
    pl.DataFrame({"entry": ["日本", "dog"]}).write_parquet(tmp_path / "metadata.parquet")

    def run(boundaries: str, **options):
        return curate(
            tmp_path / "pool.parquet", tmp_path / "metadata.parquet", tmp_path / "run", boundaries=boundaries, **options
        )

    assert run("script").totals["matches"] == 2
    assert run("script").manifest["settings"]["boundaries"] == "script"
    with pytest.raises(RunError, match="boundaries differ"):
        run("space")
    assert run("space", overwrite=True).totals["matches"] == 1
