"""The sample's metadata, and the rule that gives WordNet's part of it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from data_samples import METADATA
from data_samples.make_metadata import build_metadata, stand_in_bigrams, stand_in_titles, stand_in_unigrams
from data_samples.plain_match import PlainMatcher, spacing
from metaclip_core.errors import MetadataError
from metaclip_core.metadata.wordnet import wordnet_entries

DEBIAN_WORDNET = Path("/usr/share/wordnet")
needs_wordnet = pytest.mark.skipif(
    not (DEBIAN_WORDNET / "data.noun").exists(), reason="no /usr/share/wordnet here (Debian: wordnet-base)"
)

LICENCE = "  1 This software and database is being provided to you\n"
SYNSETS = {
    "data.noun": "00001740 03 n 01 Entity 0 003 ~ 00001930 n 0000 | that which is\n"
    "00002000 03 n 01 hot_dog 0 000 | a sausage\n"
    "00002001 03 n 02 U.S. 0 America 0 000 | a country\n",
    "data.verb": "00001741 29 v 01 breathe 0 000 01 + 02 00 | draw air\n00001742 29 v 01 entity 0 000 | again\n",
    "data.adj": "00001743 00 a 01 awake(p) 0 000 | not asleep\n00001744 00 a 01 .22_caliber 0 000 | of a gun\n",
    "data.adv": "00001745 02 r 01 A_cappella 0 000 | without instruments\n00001746 02 r 01 ! 0 000 | a mark\n",
}


@pytest.fixture
def small_wordnet(tmp_path: Path) -> Path:
    for name, synsets in SYNSETS.items():
        (tmp_path / name).write_text(LICENCE + synsets, encoding="utf-8")
    return tmp_path


def test_the_rule_on_a_small_wordnet(small_wordnet: Path) -> None:
    numbers = [str(number) for number in range(100)]
    assert wordnet_entries(small_wordnet) == ["entity", "hot dog", "u", "breathe", "awake", "a cappella", *numbers]


def test_a_missing_file_is_named(small_wordnet: Path) -> None:
    (small_wordnet / "data.adj").unlink()
    with pytest.raises(MetadataError, match=r"data\.adj: can't be read .* wordnet-base"):
        wordnet_entries(small_wordnet)


def test_a_foreign_file_is_refused_with_its_line(small_wordnet: Path) -> None:
    (small_wordnet / "data.verb").write_text(LICENCE + "breathe\n", encoding="utf-8")
    with pytest.raises(MetadataError, match=r"data\.verb, line 2: not a synset"):
        wordnet_entries(small_wordnet)


def test_an_empty_file_is_refused(small_wordnet: Path) -> None:
    (small_wordnet / "data.adv").write_text(LICENCE, encoding="utf-8")
    with pytest.raises(MetadataError, match=r"data\.adv: holds no synset"):
        wordnet_entries(small_wordnet)


@needs_wordnet
def test_wordnet_gives_the_papers_number() -> None:
    entries = wordnet_entries(DEBIAN_WORDNET)
    assert len(entries) == len(set(entries)) == 86_654
    assert entries[:3] == ["entity", "physical entity", "abstraction"]
    assert entries[-100:] == [str(number) for number in range(100)]


@needs_wordnet
def test_the_committed_file_is_what_the_command_makes(metadata: pl.DataFrame) -> None:
    assert build_metadata(DEBIAN_WORDNET).equals(metadata)


def test_committed_wordnet_part(metadata: pl.DataFrame) -> None:
    part = metadata.filter(pl.col("sources").list.contains("wordnet"))["entry"]
    assert part.len() == part.n_unique() == 86_654
    assert part.to_list() == metadata["entry"].head(86_654).to_list()
    assert part[0] == "entity"
    assert part.tail(100).to_list() == [str(number) for number in range(100)]
    assert {"dog", "soccer ball", "a", "i"} <= set(part)


def test_committed_table(metadata: pl.DataFrame) -> None:
    assert metadata.schema == {"entry": pl.String, "sources": pl.List(pl.String)}
    assert metadata["entry"].n_unique() == metadata.height
    assert not metadata["entry"].str.strip_chars().eq("").any()
    order = ["wordnet", "wiki_unigram", "wiki_bigram", "wiki_title"]
    assert set(metadata["sources"].explode()) == set(order)
    for sources in metadata["sources"].unique():
        assert sources.to_list() == [name for name in order if name in set(sources)]
    first = [order.index(name) for name in metadata["sources"].list.first()]
    assert first == sorted(first)


def test_each_source_adds_entries_and_some_are_shared(metadata: pl.DataFrame) -> None:
    new = metadata["sources"].list.first().value_counts()
    assert dict(new.iter_rows()).keys() == {"wordnet", "wiki_unigram", "wiki_bigram", "wiki_title"}
    assert new["count"].min() > 200
    by_entry = dict(metadata.iter_rows())
    assert by_entry["dog"] == ["wordnet", "wiki_unigram"]
    assert by_entry["dogs"] == ["wiki_unigram"]
    assert by_entry["soccer ball"] == ["wordnet", "wiki_bigram"]
    assert by_entry["Tokyo Tower"] == ["wiki_title"]


def test_titles_are_sorted_and_distinct() -> None:
    titles = stand_in_titles()
    assert titles == sorted(set(titles))
    assert len(titles) >= 400


def test_some_titles_are_matched(members, matcher: PlainMatcher, metadata: pl.DataFrame) -> None:
    titles = set(metadata.filter(pl.col("sources").list.contains("wiki_title"))["entry"])
    found = {entry for member in members for entry in matcher.matches(member.text)}
    assert found & titles & {"Statue of Liberty", "Mount Fuji", "Tokyo Tower", "Santa Claus"}


def test_licences_lie_beside_the_data() -> None:
    licence = (METADATA.parent / "WORDNET_LICENSE").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
    readme = (METADATA.parent / "README.md").read_text(encoding="utf-8")
    assert "SIL Open Font License" in readme
    assert "stand-in" in readme


def test_unigrams_need_three_sightings() -> None:
    entries = stand_in_unigrams(["Zebra zebra, zebra", "a jack-o'-lantern", "okapi"])
    assert entries[0] == "zebra"
    assert "okapi" not in entries
    assert "the" in entries


def test_bigrams_are_exclusive_pairs_that_no_mark_parts() -> None:
    others = [f"{first} {second}" for first in "abcdefgh" for second in "ijklmnop"] * 3
    texts = ["soccer ball"] * 3 + ["cat, dog"] * 3 + ["lone pair"] * 2 + others
    assert stand_in_bigrams(texts) == ["soccer ball"]


@pytest.mark.parametrize(
    ("text", "spaced"),
    [
        ("a dog, a cat", " a dog ,  a cat "),
        ("$19.99", " $19 . 99 "),
        ("a\tb\nc", " a b c "),
        ("`x`?!", "  ` x `  ?  !  "),
        ("", "  "),
    ],
)
def test_spacing(text: str, spaced: str) -> None:
    assert spacing(text) == spaced


def test_plain_matcher_is_the_substring_rule() -> None:
    matcher = PlainMatcher(["hot dog", "dog", "hot", "99", "a  b", "og"])
    for text in ("a hot dog.", "hot  dog", "$19.99", "a  b", "Dog", "dog's", "hotdog"):
        assert matcher.matches(text) == {e for e in matcher.entries if f" {e} " in spacing(text)}, text
