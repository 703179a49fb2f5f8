"""Single entries and pairs, against plain Python over the same texts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_core import Run, comparison, distribution, inspection, load_metadata, match_texts
from metaclip_core.errors import SettingsError
from metaclip_core.metadata import Metadata


def spaced(text: str) -> str:
    """The definition, spelled out."""
    out = ""
    for character in text:
        out += f" {character} " if character in ",.;:?!`" else " " if character in "\t\n\r" else character
    return f" {out} "


def test_rows_are_those_of_pairs_in_the_order_asked_for(parted_run: Run) -> None:
    everything = parted_run.pairs().collect(engine="in-memory")
    numbers = np.array([239, 0, 81, 81, 160, 79, 80])
    assert parted_run.rows(numbers).equals(everything[numbers])
    assert parted_run.rows(numbers, ["url"])["url"].to_list() == [f"https://example.com/{i}" for i in numbers]
    assert parted_run.rows(np.array([], np.int64), ["text", "keep_t"]).shape == (0, 2)
    for wrong in ([-1], [240], [0, 10**9]):
        with pytest.raises(SettingsError, match="numbered from 0 to 239"):
            parted_run.rows(np.array(wrong))


def test_pairs_of_an_entry_are_those_whose_text_has_it(parted_run: Run) -> None:
    texts = parted_run.pairs(["text"]).collect(engine="in-memory")["text"].to_list()
    for entry in parted_run.entries["entry"]:
        entry_id = inspection.entry_id_of(parted_run, entry)
        expected = [i for i, text in enumerate(texts) if f" {entry} " in spaced(text)]
        assert inspection.pairs_of_entry(parted_run.matches(), entry_id).tolist() == expected
    with pytest.raises(SettingsError, match="no entry 'zebra'"):
        inspection.entry_id_of(parted_run, "zebra")


@pytest.mark.parametrize("sources", [None, ["wordnet"], ["wiki_bigram"]])
def test_companions_are_counted_pair_by_pair(parted_run: Run, sources: list[str] | None) -> None:
    balance = parted_run.balance(sources)
    hot_dog = inspection.entry_id_of(parted_run, "hot dog")
    pairs = inspection.pairs_of_entry(balance.matches, hot_dog)
    found = inspection.companions(balance, hot_dog, pairs)
    expected = {
        entry: sum(entry in set(balance.matches.of(pair).tolist()) for pair in pairs.tolist())
        for entry in range(5)
        if entry != hot_dog and balance.enabled[entry]
    }
    assert dict(found.select("entry_id", "together").iter_rows()) == {e: n for e, n in expected.items() if n}
    assert found["together"].is_sorted(descending=True)
    assert found["share"].to_list() == [n / 60 for n in found["together"]]
    assert len(inspection.companions(balance, hot_dog, pairs, 1)) == min(1, len(found))
    assert len(inspection.companions(balance, hot_dog, pairs[:0])) == 0


def test_the_curve_of_an_entry_counts_its_kept_pairs(parted_run: Run) -> None:
    balance = parted_run.balance()
    dog = inspection.entry_id_of(parted_run, "dog")
    pairs = inspection.pairs_of_entry(balance.matches, dog)
    curve = inspection.entry_curve(balance, pairs, len(pairs), n_points=40)
    for t, cap, after in curve.iter_rows():
        assert after == balance.counts_after(t)[dog]
        assert cap == min(len(pairs), t)
    assert curve["after"][-1] == len(pairs)
    off = parted_run.balance([])
    assert inspection.entry_curve(off, pairs, len(pairs))["after"].to_list() == [0] * 200


@pytest.mark.parametrize(("sources", "seed", "t"), [(None, 0, 20.0), (["wordnet"], 5, 3.5), ([], 0, 9.0)])
def test_an_explanation_ends_in_keep_t(parted_run: Run, sources: list[str] | None, seed: int, t: float) -> None:
    balance = parted_run.balance(sources, seed)
    for pair in range(0, 240, 7):
        table = inspection.explain(parted_run, balance, pair, t)
        assert sorted(table["entry_id"]) == balance.matches.of(pair).tolist()
        on = table.filter("enabled")
        assert on.height == 0 or table["enabled"][0]
        expected = balance.keep_t[pair]
        assert (on["says_yes_above"].min() if len(on) else np.inf) == expected
        assert on["says_yes"].any() == bool(expected < t)
        if len(on):
            assert on["entry_id"][0] == balance.deciding_entry[pair]
            assert (on["u"] * on["count"]).to_list() == on["says_yes_above"].to_list()
            p = 1 - np.prod(1 - on["yes_probability"].to_numpy())
            assert p == pytest.approx(balance.keep_probability(t)[pair], abs=1e-12)
        assert table.filter(~pl.col("enabled"))["u"].null_count() == len(table) - len(on)


def test_spans_of_a_caption() -> None:
    text = "A hot dog, u.s. dog\tcat"
    spans = inspection.match_spans(text, ["hot dog", "dog", "u . s .", "dog cat", ",", "zebra"])
    assert [(text[span.start : span.stop], span.entry) for span in spans] == [
        ("hot dog", "hot dog"),
        ("dog", "dog"),
        (",", ","),
        ("u.s.", "u . s ."),
        ("dog\tcat", "dog cat"),
        ("dog", "dog"),
    ]
    assert inspection.match_spans("", ["a"]) == []


@given(st.text("ab ,.\t!é", max_size=20), st.lists(st.text("ab ,.!é", min_size=1, max_size=5), max_size=4, unique=True))
def test_an_entry_has_a_span_exactly_where_it_matches(text: str, entries: list[str]) -> None:
    spans = inspection.match_spans(text, entries)
    assert {span.entry for span in spans} == {entry for entry in entries if f" {entry} " in spaced(text)}
    for span in spans:
        assert 0 <= span.start <= span.stop <= len(text)
        inner = [c for c in text[span.start : span.stop] if c not in " \t"]
        assert inner == [c for c in span.entry if c != " "]


def test_matches_and_spans_agree_on_the_sample_texts(sample_texts: list[str], tmp_path) -> None:
    entries = ["dog", "hot dog", "new york", "99", ",", ". dog", "é", "日本", "end ."]
    (tmp_path / "m.txt").write_text("\n".join(entries))
    metadata: Metadata = load_metadata(tmp_path / "m.txt")
    matches = match_texts(sample_texts, metadata)
    for i, text in enumerate(sample_texts):
        names = [metadata.entries[e] for e in matches.of(i)]
        assert {span.entry for span in inspection.match_spans(text, entries)} == set(names)


def test_comparison_of_two_settings(parted_run: Run) -> None:
    a, b = parted_run.balance(), parted_run.balance(["wordnet"], 3)
    result = comparison.compare(a, 10.0, b, 25.0)
    kept_a, kept_b = set(np.flatnonzero(a.keep_t < 10.0)), set(np.flatnonzero(b.keep_t < 25.0))
    assert set(result.entered) == kept_b - kept_a
    assert set(result.left) == kept_a - kept_b
    assert (result.size_a, result.size_b, result.both) == (len(kept_a), len(kept_b), len(kept_a & kept_b))
    assert result.overlap == len(kept_a & kept_b) / len(kept_a | kept_b)
    nested = comparison.compare(a, 10.0, a, 25.0)
    assert len(nested.left) == 0
    assert comparison.compare(a, 0.0, b, 0.0).overlap == 1.0

    after_a, after_b = a.counts_after(10.0), b.counts_after(25.0)
    changes = comparison.entry_changes(parted_run.entries, after_a, after_b)
    assert dict(changes.select("entry_id", "change").iter_rows()) == {
        e: int(after_b[e] - after_a[e]) for e in range(5) if after_b[e] != after_a[e]
    }
    assert changes["change"].abs().is_sorted(descending=True)
    hot_dog = changes.row(by_predicate=pl.col("entry") == "hot dog", named=True)
    assert (hot_dog["after_b"], hot_dog["status"]) == (0, "left")


@pytest.mark.parametrize(
    ("counts", "entropy", "effective", "gini"),
    [
        ([5, 5, 5, 5], 2.0, 4.0, 0.0),
        ([7], 0.0, 1.0, 0.0),
        ([0, 3, 0, 3], 1.0, 2.0, 0.0),
        ([], 0.0, 0.0, 0.0),
        ([1, 3], 0.8112781244591328, 1.7547653506033863, 0.25),
    ],
)
def test_flatness(counts: list[int], entropy: float, effective: float, gini: float) -> None:
    found = distribution.flatness(np.array(counts, np.int64))
    assert found["entropy_bits"] == pytest.approx(entropy)
    assert found["effective_entries"] == pytest.approx(effective)
    assert found["gini"] == pytest.approx(gini)


def test_gini_is_the_mean_difference(parted_run: Run) -> None:
    counts = np.array([1, 4, 9, 100, 2, 2], np.int64)
    mean_difference = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert distribution.flatness(counts)["gini"] == pytest.approx(mean_difference)


@pytest.mark.parametrize("sources", [None, ["wordnet"]])
def test_entry_table(parted_run: Run, sources: list[str] | None) -> None:
    balance = parted_run.balance(sources)
    table = distribution.entry_table(parted_run.entries, balance, 100.0)
    assert table["entry"].to_list() == ["a", "dog", "cat", "hot dog", "unseen"][: 3 if sources else 5]
    status = dict(table.select("entry", "status").iter_rows())
    assert (status["a"], status["dog"], status["cat"]) == ("head", "head", "tail")
    assert table["rank"].to_list()[:3] == [2, 1, 3]
    assert table["before"].to_list()[:3] == [120, 150, 90]
    assert table["cap"].to_list()[:3] == [100, 100, 90]
    assert table["yes_probability"].to_list()[:3] == [100 / 120, 100 / 150, 1.0]
    assert table["after"].to_list()[:3] == balance.counts_after(100.0)[:3].tolist()
    if sources is None:
        assert (status["hot dog"], status["unseen"]) == ("tail", "never matched")
        assert table["rank"][4] is None


def test_t_by_the_size_of_the_pool(parted_run: Run) -> None:
    assert distribution.t_for_pool_size(parted_run.balance()) == 20_000 * 210 / 1.6e9
