"""Matching against literal tables, a plain sub-string scan, pyahocorasick, and the authors' own results."""

from __future__ import annotations

import ahocorasick
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_core.errors import SettingsError
from metaclip_core.kernels.table import find_entry, insert_entry, lay_records, same_bytes
from metaclip_core.kernels.threads import map_ranges
from metaclip_core.kernels.tokens import tokenize_block
from metaclip_core.matching import Matcher, match_texts
from metaclip_core.metadata import Metadata
from metaclip_core.strings import string_buffers


def make_metadata(entries: list[str]) -> Metadata:
    return Metadata(
        entry_array=pa.array(entries, pa.large_string()),
        sources=np.ones(len(entries), np.uint32),
        source_names=("custom",),
        original_ids=np.arange(len(entries)),
    )


def spacing(text: str) -> str:
    """The design's words, literally."""
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    return f" {text} "


def scan(text: str, entries: list[str]) -> list[int]:
    return [i for i, entry in enumerate(entries) if f" {entry} " in spacing(text)]


def rows(matches) -> list[list[int]]:
    return [matches.of(i).tolist() for i in range(len(matches))]


ENTRIES = ["a", "dog", "a dog", "dog house", "hot dog", ",", "99", "new york , ny", " b", "b ", "x  y", "u.s.", "日本"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("dog", ["dog"]),
        ("Dog", []),
        ("dogs", []),
        ("a dog house", ["a", "dog", "a dog", "dog house"]),
        ("a\tdog\nhouse", ["a", "dog", "a dog", "dog house"]),
        ("a  dog", ["a", "dog"]),
        ("dog,dog", ["dog", ","]),
        ("hot dog!", ["dog", "hot dog"]),
        ("$19.99", ["99"]),
        ("new york,ny", [",", "new york , ny"]),
        ("new york, ny", [","]),
        ("x  b", [" b"]),
        ("b", []),
        ("b  ", ["b "]),
        ("x  y", ["x  y"]),
        ("x y", []),
        ("u.s.", []),
        ("日本 dog", ["dog", "日本"]),
        ("日本語", []),
        ("dog\u00a0house", []),
    ],
)
def test_literal_table(text: str, expected: list[str]) -> None:
    matches = match_texts([text], make_metadata(ENTRIES))
    assert [ENTRIES[i] for i in matches.of(0)] == expected
    assert scan(text, ENTRIES) == matches.of(0).tolist()


def test_shapes_and_kinds_of_input() -> None:
    metadata = make_metadata(["dog", "cat"])
    texts = ["a dog and a cat", None, "cat"]
    expected = [[0, 1], [], [1]]
    large = pa.array(texts, pa.large_string())
    for given_texts in (
        texts,
        pl.Series(texts),
        pa.array(texts),
        large,
        large.dictionary_encode(),
        pa.chunked_array([large]),
    ):
        matches = match_texts(given_texts, metadata)
        assert rows(matches) == expected
        assert matches.indptr.dtype == np.int64
        assert matches.entry_ids.dtype == np.int32
    assert rows(match_texts(large.slice(1), metadata)) == expected[1:]
    assert rows(match_texts([], metadata)) == []


@pytest.mark.parametrize("texts", ["dog", 7, [1, 2], ["\ud800"], [b"dog", 1]])
def test_what_is_no_text_is_refused(texts) -> None:
    with pytest.raises(SettingsError, match="strings"):
        match_texts(texts, make_metadata(["dog"]))


def test_unknown_boundaries() -> None:
    with pytest.raises(SettingsError, match="unknown boundary mode 'word'; there are: space, script"):
        match_texts(["a"], make_metadata(["a"]), boundaries="word")


ALPHABET = st.text(st.sampled_from("ab ,.!\t日é"), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ALPHABET.filter(str.strip), min_size=1, max_size=12, unique=True),
    st.lists(st.text() | ALPHABET, max_size=6),
)
def test_equals_a_plain_substring_scan(entries: list[str], texts: list[str]) -> None:
    assert rows(match_texts(texts, make_metadata(entries))) == [scan(text, entries) for text in texts]


# Around every border of eight bytes, twins that differ in their last byte alone.
LONG_WORDS = st.sampled_from(
    [letter * n + end for letter in "ab" for n in (6, 7, 8, 14, 15, 16, 23) for end in ("x", "y", "日", "@", "0")]
)
LONG_TEXT = st.lists(st.tuples(LONG_WORDS, st.sampled_from([" ", " ", ",", " , ", "\t", ""])), max_size=6)
LONG_TEXT = LONG_TEXT.map(lambda parts: "".join(word + separator for word, separator in parts))


@settings(max_examples=300, deadline=None)
@given(st.lists(LONG_TEXT, min_size=1, max_size=6), st.data())
def test_long_words_equal_a_plain_substring_scan(texts: list[str], data: st.DataObject) -> None:
    words = sorted({w for text in texts for w in spacing(text).split(" ") if w} | {"a"})
    grams = st.lists(st.sampled_from(words), min_size=1, max_size=3).map(" ".join)
    entries = data.draw(st.lists(grams, min_size=1, max_size=20, unique=True))
    assert rows(match_texts(texts, make_metadata(entries))) == [scan(text, entries) for text in texts]


@settings(max_examples=300, deadline=None)
@given(ALPHABET.filter(str.strip), st.lists(ALPHABET, max_size=5))
def test_entries_that_never_match(entry: str, texts: list[str]) -> None:
    never = bool(make_metadata([entry]).never_matches[0])
    shortest = entry
    for mark in ",.!":  # undo the spacing, so that spacing it gives the entry again
        shortest = shortest.replace(f" {mark} ", mark).removeprefix(f"{mark} ").removesuffix(f" {mark}")
    witnesses = [entry, shortest, *texts]
    for mark in ",.!":
        witnesses += [
            entry.replace(f" {mark} ", mark),
            entry.replace(f" {mark}", mark),
            entry.replace(f"{mark} ", mark),
        ]
    if never:
        assert not any(scan(text, [entry]) for text in witnesses)


@pytest.mark.parametrize(("entry", "never"), [("u.s.", True), ("a\tb", True), (", ,", True), (",  ,", False), ("a , b", False),
                                               (",", False), ("a ,", False), ("?b", True), ("b?", True), ("a", False)])  # fmt: skip
def test_never_matches_table(entry: str, never: bool) -> None:
    assert make_metadata([entry]).never_matches.tolist() == [never]


def test_long_texts_cross_blocks() -> None:
    entries = ["w1 w2 w3 w4 w5 w6 w7", "w7 w1", "w3", ", w1"]
    text = "w1 w2 w3 w4 w5 w6 w7 " * 3000
    texts = [text, "w3", text + ",w1", ",", text]
    assert rows(match_texts(texts, make_metadata(entries))) == [scan(t, entries) for t in texts]


def test_many_entries_in_one_text_are_sorted_once_each() -> None:
    entries = [f"e{i}" for i in range(5000)]
    text = " ".join(reversed(entries)) + " " + " ".join(entries)
    assert rows(match_texts([text], make_metadata(entries))) == [list(range(5000))]


def test_threads_give_the_same(sample_texts) -> None:
    metadata = make_metadata(sorted({word for text in sample_texts for word in text.split()})[:2000])
    texts = sample_texts * 40
    one, three = (Matcher(metadata).match(texts, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.indptr, three.indptr)
    np.testing.assert_array_equal(one.entry_ids, three.entry_ids)


def test_ranges_cover_all_in_order() -> None:
    assert map_ranges(lambda a, b: (a, b), 10, n_threads=3, smallest=2) == [(0, 3), (3, 6), (6, 10)]
    assert map_ranges(lambda a, b: (a, b), 0) == [(0, 0)]


def test_equals_pyahocorasick(sample_texts) -> None:
    entries = sorted({" ".join(words[i : i + n]) for t in sample_texts for words in [t.split(" ")] for n in (1, 2, 3)
                      for i in range(len(words) - n + 1)} - {""})  # fmt: skip
    entries = [entry for entry in entries if entry.strip()]
    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(entries):
        automaton.add_word(f" {entry} ", i)
    automaton.make_automaton()
    expected = [sorted({i for _, i in automaton.iter(spacing(text))}) for text in sample_texts]
    assert rows(match_texts(sample_texts, make_metadata(entries))) == expected


def test_equals_the_authors_matches_on_real_captions(shared_data) -> None:
    from metaclip_core.balancing import entry_counts, keep_probability
    from metaclip_core.metadata import load_metadata

    metadata = load_metadata(shared_data / "data/metadata_500k.parquet")
    captions = pl.read_parquet(shared_data / "data/captions.parquet")
    reference = pl.read_parquet(shared_data / "golden/reference_matches.parquet")
    matches = match_texts(captions["text"], metadata)
    np.testing.assert_array_equal(np.diff(matches.indptr), reference["entry_ids"].list.len().to_numpy())
    expected = reference["entry_ids"].list.explode(keep_nulls=False, empty_as_null=False)
    np.testing.assert_array_equal(matches.entry_ids, expected.to_numpy())
    counts = entry_counts(matches, len(metadata))
    assert (int(counts.sum()), int((counts > 0).sum())) == (776_719, 37_642)
    for t, size in ((20, 65_498.9), (200, 82_840.6), (2000, 91_007.7)):
        probs = keep_probability(matches, counts, t)
        assert np.abs(probs - reference[f"keep_prob_t{t}"].to_numpy()).max() < 1e-9
        assert round(float(probs.sum()), 1) == size


def test_entries_of_equal_hash_are_told_apart_by_their_bytes() -> None:
    entries = ["a", "aaaaaaab", "aaaaaaaa", "aaaaaaaaa", "aaaaaaaab", "b , c", "b", "日本", "x y"]
    data, offsets = string_buffers(pa.array(entries, pa.large_string()))
    records, places = lay_records(data, offsets)
    table, key = np.zeros(64, np.uint64), np.uint64(0xABCD_0000_0000_003F)  # the last slot: the others wrap around
    for place in places:
        insert_entry(table, key, place)
    cases = [(entry, i, i) for i, entry in enumerate(entries)] + [("b,c", 5, -1), ("c", -1, -1), ("x,y", -1, -1)]
    cases[5] = ("b , c", -1, 5)  # spacing it gives "b  ,  c": the same bytes, other tokens
    for text, by_tokens, by_bytes in cases:
        text_data = np.frombuffer(text.encode(), np.uint8)
        starts, stops, owners = (np.zeros(64, np.int64) for _ in range(3))
        bounds, hashes = np.array([0, len(text_data)]), np.zeros(64, np.uint64)
        n, _, _ = tokenize_block(text_data, bounds, 0, 1, -1, 0, starts, stops, hashes, owners)
        assert find_entry(table, key, text_data, starts, stops, 0, n, records) == by_tokens
        found = [i for i, p in enumerate(places) if same_bytes(text_data, 0, len(text_data), records, np.uint64(p))]
        assert found == [by_bytes] * (by_bytes >= 0)
