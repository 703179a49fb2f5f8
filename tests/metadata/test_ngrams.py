"""Words, pairs of words and their PMI: from text, from a dump, from count files; against NLTK."""

from __future__ import annotations

import bz2
import gzip
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaclip_core.errors import MetadataError, SettingsError
from metaclip_core.metadata import ngrams
from metaclip_core.metadata.countfiles import read_count_files
from metaclip_core.metadata.ngrams import (
    NgramCounts,
    bigram_entries,
    count_ngrams,
    open_ngram_counts,
    unigram_entries,
)
from metaclip_core.metadata.wikipedia import articles, plain_text
from metaclip_core.metadata.words import count_words

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><sitename>Wikipedia</sitename></siteinfo>
  <page><title>Lobster</title><ns>0</ns><id>1</id><revision><id>2</id><text bytes="9" xml:space="preserve">'''Red''' [[lobster]]s eat [[fish|small fish]].&lt;ref&gt;{{cite|x}}&lt;/ref&gt; {{Infobox|a=b}} [[File:a.jpg|thumb|never this]]
    &lt;!-- nor this --&gt;Red lobsters.</text></revision></page>
  <page><title>Old</title><ns>0</ns><redirect title="Lobster" /><revision><text>#REDIRECT [[Lobster]]</text></revision></page>
  <page><title>Talk:Lobster</title><ns>1</ns><revision><text>talk talk</text></revision></page>
  <page><title>Empty</title><ns>0</ns><revision><text bytes="0" /></revision></page>
</mediawiki>
"""


def counts_of(frame: pl.DataFrame) -> dict[str, int]:
    return {" ".join(row[:-1]): row[-1] for row in frame.rows()}


def read(path: Path) -> dict[str, int]:
    return counts_of(pl.read_parquet(path))


@pytest.mark.parametrize(
    ("text", "unigrams", "bigrams"),
    [
        ("", {}, {}),
        (" .,!? -- ' ", {}, {}),
        ("the cat  the\tcat", {"the": 2, "cat": 2}, {"the cat": 2, "cat the": 1}),
        ("a b, c d", {"a": 1, "b": 1, "c": 1, "d": 1}, {"a b": 1, "c d": 1}),
        ("a b\nc", {"a": 1, "b": 1, "c": 1}, {"a b": 1}),
        ("Don't well-known -x- 'y'", {"Don't": 1, "well-known": 1, "x": 1, "y": 1}, {"Don't well-known": 1}),
        ("1,000 3.5", {"1": 1, "000": 1, "3": 1, "5": 1}, {"000 3": 1}),
        ("हिन्दी é 日本", {"हिन्दी": 1, "é": 1, "日本": 1}, {"हिन्दी é": 1, "é 日本": 1}),
        ('<doc id="1">a</doc> b a_c', {"a": 2, "b": 1, "c": 1}, {"b a": 1}),
        ("a\u00a0b\0c", {"a": 1, "b": 1, "c": 1}, {"a b": 1}),
    ],
)
def test_words_and_neighbours(text: str, unigrams: dict[str, int], bigrams: dict[str, int]) -> None:
    found = count_words([text])
    assert (counts_of(found[0]), counts_of(found[1])) == (unigrams, bigrams)


def test_words_of_two_texts_are_no_neighbours() -> None:
    assert counts_of(count_words(["a b", "c d"])[1]) == {"a b": 1, "c d": 1}


def test_the_markup_of_a_page_leaves_its_text() -> None:
    markup = (
        "[[File:a.jpg|thumb|see [[Image:b|c]] [[link|this]]]] '''x''' [[y|z]] {{t}} [[category:q]] __TOC__ &amp; ''w''"
    )
    assert plain_text(markup).split() == ["x", "z", "&", "w"]


@pytest.mark.parametrize(
    ("name", "packed"), [("d.xml", bytes), ("d.xml.bz2", bz2.compress), ("d.xml.gz", gzip.compress)]
)
def test_a_dump(tmp_path: Path, name: str, packed) -> None:
    (tmp_path / name).write_bytes(packed(DUMP.encode()))
    assert len(list(articles(tmp_path / name))) == 1
    read_bytes: list[int] = []
    counts = count_ngrams([tmp_path / name], tmp_path / "counts", on_bytes=read_bytes.append)
    assert read(counts.unigrams) == {"Red": 2, "lobsters": 2, "eat": 1, "small": 1, "fish": 1}
    assert read(counts.bigrams) == {"Red lobsters": 2, "lobsters eat": 1, "eat small": 1, "small fish": 1}
    assert counts.total == 7
    assert sum(read_bytes) == (tmp_path / name).stat().st_size
    assert sorted(path.name for path in counts.folder.iterdir()) == [
        "bigrams.parquet",
        "plan.json",
        "unigrams.parquet",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "XML is broken or cut off"),
        (b"no xml", "XML is broken"),
        (b"<feed></feed>", "not a MediaWiki dump, its root is <feed>"),
        (DUMP.encode()[:700], "XML is broken or cut off"),
        (bz2.compress(DUMP.encode())[:-20], "cut off"),
        (gzip.compress(DUMP.encode(), mtime=0)[:-20], "cut off"),
        (DUMP.replace("Red lobsters.", "\0").encode(), "XML is broken"),
    ],
)
def test_a_file_that_is_no_dump(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "d.xml").write_bytes(content)
    with pytest.raises(MetadataError, match=rf"d\.xml: .*{message}"):
        count_ngrams([tmp_path / "d.xml"], tmp_path / "counts")


def test_a_page_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip_core.metadata.wikipedia._LARGEST_PAGE_BYTES", 1 << 20)
    (tmp_path / "d.xml").write_text("<mediawiki><page><revision><text>" + "a " * (3 << 20))
    with pytest.raises(MetadataError, match="a page of more than"):
        list(articles(tmp_path / "d.xml"))


def test_plain_text_is_cut_into_batches_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"word{i % 7} other{i % 3} é, x\n" for i in range(500)]
    (tmp_path / "a.txt").write_text("".join(lines), encoding="utf-8")
    whole = count_ngrams([tmp_path / "a.txt"], tmp_path / "whole")
    monkeypatch.setattr(ngrams, "_BATCH_CHARS", 100)
    monkeypatch.setattr(ngrams, "_BLOCK_BYTES", 7)
    cut = count_ngrams([tmp_path / "a.txt"], tmp_path / "cut")
    assert read(cut.unigrams) == read(whole.unigrams)
    assert read(cut.bigrams) == read(whole.bigrams)
    assert cut.total == 500 * 4


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_BATCH_CHARS", 1000)
    monkeypatch.setattr(ngrams, "_BLOCK_BYTES", 100)
    (tmp_path / "a.txt").write_text("x" * 5000 + " ab" * 3000)
    blocks = list(ngrams._paragraphs(tmp_path / "a.txt", None))
    assert max(len(block) for block in blocks) <= 1100
    assert "".join(blocks) == (tmp_path / "a.txt").read_text()
    counts = count_ngrams([tmp_path / "a.txt"], tmp_path / "counts")
    assert read(counts.unigrams)["ab"] == 3000


def test_two_workers_count_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_BATCH_CHARS", 1000)
    (tmp_path / "a.txt").write_text("a b c\n" * 1000)
    one = count_ngrams([tmp_path / "a.txt"], tmp_path / "one")
    two = count_ngrams([tmp_path / "a.txt"], tmp_path / "two", workers=2)
    assert read(one.bigrams) == read(two.bigrams) == {"a b": 1000, "b c": 1000}


def test_a_broken_off_count_goes_on_after_its_last_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("a b")
    bad.write_bytes(b"a b\xff")
    with pytest.raises(MetadataError, match=r"bad\.txt: not UTF-8 near byte 3"):
        count_ngrams([good, bad], tmp_path / "counts")
    with pytest.raises(MetadataError, match=r"unigrams\.parquet: missing"):
        open_ngram_counts(tmp_path / "counts")
    bad.write_bytes(b"a bc")
    monkeypatch.setattr(ngrams, "_paragraphs", lambda path, on_bytes: iter([path.read_text()] if path == bad else []))
    counts = count_ngrams([good, bad], tmp_path / "counts")
    assert read(counts.bigrams) == {"a b": 1, "a bc": 1}
    assert count_ngrams([good, bad], tmp_path / "counts") == open_ngram_counts(tmp_path / "counts")


def test_a_folder_of_other_counts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b b")
    count_ngrams([tmp_path / "a.txt"], tmp_path / "counts")
    with pytest.raises(MetadataError, match="counts of other files"):
        count_ngrams([tmp_path / "b.txt"], tmp_path / "counts")
    with pytest.raises(MetadataError, match="not empty and no folder of counts"):
        count_ngrams([tmp_path / "b.txt"], tmp_path)
    with pytest.raises(SettingsError, match="unknown text format 'pdf'; there are: auto, dump, text"):
        count_ngrams([tmp_path / "b.txt"], tmp_path / "new", format="pdf")


def test_unigrams_by_count(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("b " * 5 + "a " * 5 + "c " * 4 + "d " * 7)
    counts = count_ngrams([tmp_path / "a.txt"], tmp_path / "counts")
    assert unigram_entries(counts, tmp_path / "u.parquet", min_count=5) == 3
    assert pl.read_parquet(tmp_path / "u.parquet").to_dicts() == [
        {"entry": entry, "sources": ["wiki_unigram"], "count": count} for entry, count in [("d", 7), ("a", 5), ("b", 5)]
    ]


def nltk_scores(texts: list[str]) -> dict[str, float]:
    from nltk.collocations import BigramAssocMeasures, BigramCollocationFinder
    from nltk.probability import FreqDist

    unigrams, bigrams = count_words(texts)
    finder = BigramCollocationFinder(
        FreqDist(dict(unigrams.rows())), FreqDist({(a, b): count for a, b, count in bigrams.rows()})
    )
    return {" ".join(pair): score for pair, score in finder.score_ngrams(BigramAssocMeasures.pmi)}


TEXT = "the red lobster and the red fish eat the small fish\n" * 3 + "a rare bird, the rare bird\nhapax legomenon"


def test_pmi_is_nltks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    counts = count_ngrams([tmp_path / "a.txt"], tmp_path / "counts")
    bigram_entries(counts, tmp_path / "b.parquet", min_pmi=2.0)
    table = pl.read_parquet(tmp_path / "b.parquet")
    expected = {pair: score for pair, score in nltk_scores([TEXT]).items() if score >= 2}
    assert 3 < len(expected) < len(nltk_scores([TEXT]))
    assert dict(table.select("entry", "pmi").rows()) == pytest.approx(expected)
    assert max(table["pmi"]) == pytest.approx(math.log2(counts.total))
    assert table["count"].to_list() == sorted(table["count"], reverse=True)
    assert table["sources"].to_list() == [["wiki_bigram"]] * len(table)


def test_pmi_is_nltks_on_real_text(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "data/wiki_text/wikitext2_valid.txt"
    bigram_entries(count_ngrams([path], tmp_path / "counts"), tmp_path / "b.parquet", min_pmi=12.0)
    expected = {pair: score for pair, score in nltk_scores([path.read_text("utf-8")]).items() if score >= 12}
    table = pl.read_parquet(tmp_path / "b.parquet")
    assert len(expected) > 1000
    assert dict(table.select("entry", "pmi").rows()) == pytest.approx(expected)


def test_a_threshold_that_nothing_can_reach_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b " * 512)
    counts = count_ngrams([tmp_path / "a.txt"], tmp_path / "counts")
    out = tmp_path / "b.parquet"
    with pytest.raises(MetadataError, match=r"with 1,024 words counted the highest possible .* 10\.00\. Count more"):
        bigram_entries(counts, out, min_pmi=10.5)
    assert not out.exists()
    assert bigram_entries(counts, out, min_pmi=10.5, force=True) == 0
    assert pl.read_parquet(out).columns == ["entry", "sources", "count", "pmi"]
    assert bigram_entries(counts, out, min_pmi=1.0) == 1


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())
    return path


def test_count_files_of_the_authors_layout(tmp_path: Path) -> None:
    unigrams = write(tmp_path / "1gram.txt.gz", "5\tthe\n3\tcat\n3\tcat\n0\tnever\n2\t\n1\t2020\n")
    bigrams = write(tmp_path / "2gram.txt.gz", "4\tthe\tcat\n9\tthe\tunknown\n")
    counts = read_count_files([unigrams], [bigrams], tmp_path / "counts")
    assert read(counts.unigrams) == {"the": 5, "cat": 6, "2020": 1}
    assert read(counts.bigrams) == {"the cat": 4, "the unknown": 9}
    assert bigram_entries(counts, tmp_path / "b.parquet", min_pmi=0.0) == 1
    assert pl.read_parquet(tmp_path / "b.parquet")["pmi"].item() == pytest.approx(math.log2(4 * 12 / (5 * 6)))


def test_count_files_with_the_count_behind(tmp_path: Path) -> None:
    unigrams = write(tmp_path / "enwiki-unigram.txt", "the 5\n2020 3\n\ncat 7\r\n")
    bigrams = write(tmp_path / "b.txt", "the cat\t4\n1 2 3\n")
    counts = read_count_files([unigrams], [bigrams], tmp_path / "counts")
    assert read(counts.unigrams) == {"the": 5, "2020": 3, "cat": 7}
    assert read(counts.bigrams) == {"the cat": 4, "1 2": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\nb\n", "neither end of all its lines is a whole number"),
        (b"1 2\n3 4\n", "both ends of all its lines are a whole number"),
        (b"a 1\n" * 10_001 + b"a b 3\n", r"line 10002: expected 1 words and a count, got 'a\\\\tb\\\\t3'"),
        (b"a 1\n" * 10_001 + b"b c\n", r"line 10002: expected 1 words and a count"),
        (b"a 1\n\xff 2\n", "line 2: not UTF-8"),
        (b"x" * 70_000, "line 1: longer than 65,536 bytes"),
        (gzip.compress(b"a 1\n" * 100, mtime=0)[:-10], "cut off"),
    ],
)
def test_a_file_that_is_no_count_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c.txt").write_bytes(content)
    with pytest.raises(MetadataError, match=rf"c\.txt.*{message}"):
        read_count_files([tmp_path / "c.txt"], [], tmp_path / "counts")


def test_bigrams_need_counted_pairs(tmp_path: Path) -> None:
    counts = read_count_files([write(tmp_path / "u.txt", "a 1\n")], [], tmp_path / "counts")
    with pytest.raises(MetadataError, match=r"bigrams\.parquet: nothing is counted"):
        bigram_entries(counts, tmp_path / "b.parquet")


bounded = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@bounded
@given(texts=st.lists(st.text(alphabet="ab é'-\n\t,<>\u0301日", max_size=30), max_size=4))
def test_neighbours_are_fewer_than_words(texts: list[str]) -> None:
    unigrams, bigrams = count_words(texts)
    words = counts_of(unigrams)
    assert all(pair.split(" ")[0] in words and pair.split(" ")[1] in words for pair in counts_of(bigrams))
    assert bigrams["count"].sum() <= max(0, unigrams["count"].sum() - 1)


@pytest.mark.parametrize("name", ["f.xml", "f.txt", "f.counts"])
@bounded
@given(data=st.one_of(st.binary(max_size=300), st.binary(max_size=40).map(lambda b: DUMP.encode()[:400] + b)))
def test_any_bytes_give_counts_or_a_metadata_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    folder = tmp_path / f"counts-{hash(data)}"
    try:
        if name == "f.counts":
            counts: NgramCounts = read_count_files([path], [], folder)
        else:
            counts = count_ngrams([path], folder)
        message = ""
    except MetadataError as error:
        message = str(error)
    assert str(path) in message or counts.total >= 0
