"""Titles, Open English WordNet, merging and importing; the commands that make them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaclip_core.cli import main
from metaclip_core.errors import MetadataError, SettingsError
from metaclip_core.metadata import load_metadata
from metaclip_core.metadata.merging import merge_sources
from metaclip_core.metadata.pageviews import read_pageviews, title_entries
from metaclip_core.metadata.published import counts_for, import_metadata, lay_over, load_reference
from metaclip_core.metadata.wordnet import wordnet_entries

HOUR_1 = """\
aa Main_Page 900 0
en Homarus_gammarus 60 0
en Main_Page 5000 0
en Special:Search 9000 0
en Rare 49 0
en Twice 50 0
en.m Homarus_gammarus 800 0
en AC/DC 69 0
en ! 500 0
en "quoted" 71 0
en broken line here 70 0
en No_number x 0
fr Twice 50 0
"""
HOUR_2 = "en Twice 50 0\nen Rare 49 0\nen Homarus_gammarus 10 0\nen Caf\xe9 100 0\n"


@pytest.fixture
def hours(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "pageviews-20220116-000000.gz", tmp_path / "pageviews-20220116-010000"]
    paths[0].write_bytes(gzip.compress(HOUR_1.encode(), mtime=0))
    paths[1].write_bytes(HOUR_2.encode())
    return paths


def test_titles_by_views(tmp_path: Path, hours: list[Path]) -> None:
    views = read_pageviews(hours)
    assert views == {
        "Homarus gammarus": 60, "Main Page": 5000, "Twice": 100, "AC/DC": 69, "!": 500, '"quoted"': 71, "Café": 100
    }  # fmt: skip
    assert title_entries(views, tmp_path / "t.parquet") == 4
    assert pl.read_parquet(tmp_path / "t.parquet").to_dicts() == [
        {"entry": entry, "sources": ["wiki_title"], "count": count}
        for entry, count in [("Main Page", 5000), ("Café", 100), ("Twice", 100), ('"quoted"', 71)]
    ]


def test_other_thresholds_and_projects(hours: list[Path]) -> None:
    assert read_pageviews(hours, min_hourly_views=10)["Homarus gammarus"] == 70
    assert read_pageviews(hours, min_hourly_views=1)["Rare"] == 98
    assert read_pageviews(hours[:1], project="en.m") == {"Homarus gammarus": 800}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a pageview file; none of its 0 lines"),
        (b"{}\n\0\0\n", "not a pageview file; none of its 2 lines is like `en Main_Page 42 0`"),
        (b"x" * 200_000, "not a pageview file"),
        (gzip.compress(HOUR_1.encode(), mtime=0)[:-12], "cut off"),
        (gzip.compress(HOUR_1.encode(), mtime=0)[:12] + b"xxxxxxxxxxxxxxxxxx", ": "),
    ],
)
def test_a_file_that_is_no_pageview_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(MetadataError, match=f"^{tmp_path / 'p'}: .*{message}"):
        read_pageviews([tmp_path / "p"])


@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.lists(st.sampled_from([b"en ", b"A_b", b" ", b"70", b"0", b"\n", b"\0", b"\xff", b":"]), max_size=40))
def test_any_bytes_give_views_or_a_metadata_error(tmp_path: Path, data: list[bytes]) -> None:
    (tmp_path / "p").write_bytes(b"".join(data))
    try:
        views = read_pageviews([tmp_path / "p"])
    except MetadataError:
        return
    assert all(title == title.strip() and ":" not in title and count >= 50 for title, count in views.items())


LMF = """<?xml version="1.0" encoding="UTF-8"?>
<LexicalResource><Lexicon id="oewn" language="en">
  <LexicalEntry id="e-fish-n"><Lemma writtenForm="Fish" partOfSpeech="n"/><Sense id="1" synset="s1"/></LexicalEntry>
  <LexicalEntry id="e-pisces-n"><Lemma writtenForm="pisces" partOfSpeech="n"/><Sense id="2" synset="s1"/></LexicalEntry>
  <LexicalEntry id="e-swim-v"><Lemma writtenForm="swim" partOfSpeech="v"/><Sense id="3" synset="s2"/></LexicalEntry>
  <LexicalEntry id="e-red-a"><Lemma writtenForm="red(p)" partOfSpeech="s"/><Sense id="4" synset="s3"/></LexicalEntry>
  <LexicalEntry id="e-hot_dog-n"><Lemma writtenForm="hot dog" partOfSpeech="n"/><Sense id="5" synset="s4"/></LexicalEntry>
  <Synset id="s2" ili="i2" partOfSpeech="v" MEMBERS2/><Synset id="s3" ili="i3" partOfSpeech="s" MEMBERS3/>
  <Synset id="s1" ili="i1" partOfSpeech="n" MEMBERS1/><Synset id="s4" ili="i4" partOfSpeech="n" MEMBERS4/>
</Lexicon></LexicalResource>
"""
MEMBERS = {"1": "e-pisces-n e-fish-n", "2": "e-swim-v", "3": "e-red-a", "4": "e-hot_dog-n"}


@pytest.mark.parametrize(("with_members", "fish"), [(True, "pisces"), (False, "fish")])
def test_open_english_wordnet(tmp_path: Path, with_members: bool, fish: str) -> None:
    text = LMF
    for number, members in MEMBERS.items():
        text = text.replace(f"MEMBERS{number}", f'members="{members}"' if with_members else "")
    (tmp_path / "oewn.xml.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    entries = wordnet_entries(tmp_path / "oewn.xml.gz")
    assert entries[:4] == [fish, "hot dog", "swim", "red"]
    assert entries[4:] == [str(number) for number in range(100)]


@pytest.mark.parametrize(("text", "message"), [(LMF[:300], "broken or cut off"), ("<x/>", "holds no synset")])
def test_a_file_that_is_no_wordnet(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.xml").write_text(text)
    with pytest.raises(MetadataError, match=rf"w\.xml: .*{message}"):
        wordnet_entries(tmp_path / "w.xml")


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.integers(0, len(LMF) - 1), st.sampled_from('<>"= aé&')), max_size=5),
    stop=st.integers(0, len(LMF)),
)
def test_any_damage_gives_entries_or_a_metadata_error(tmp_path: Path, places: list[tuple[int, str]], stop: int) -> None:
    text = list(LMF)
    for place, character in places:
        text[place] = character
    (tmp_path / "w.xml").write_text("".join(text[:stop] if stop else text), encoding="utf-8")
    try:
        entries = wordnet_entries(tmp_path / "w.xml")
    except MetadataError:
        return
    assert len(set(entries)) == len(entries) > 100


def test_the_dict_folder_is_found_below(tmp_path: Path) -> None:
    (tmp_path / "dict").mkdir()
    for name in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"dict/data.{name}").write_text(f"00001740 03 n 01 {name} 0 000 | x\n")
    assert wordnet_entries(tmp_path)[:4] == ["noun", "verb", "adj", "adv"]


def write_source(path: Path, source: str, counts: dict[str, int | None]) -> Path:
    frame = pl.DataFrame({"entry": list(counts), "sources": [[source]] * len(counts), "count": list(counts.values())})
    frame.cast({"count": pl.Int64}).write_parquet(path)
    return path


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    return [
        write_source(tmp_path / "w.parquet", "wordnet", {"dog": None, "cat": None}),
        write_source(tmp_path / "u.parquet", "wiki_unigram", {"the": 9, "dog": 8, "an": 5, "a": 5, ",": 99}),
        write_source(tmp_path / "t.parquet", "wiki_title", {"Dog": 3, "cat": 2, "the": 1, "  ": 7}),
    ]


def test_merging_in_order_up_to_a_budget(tmp_path: Path, sources: list[Path]) -> None:
    table = merge_sources(sources, tmp_path / "m.parquet", budget=5)
    merged = pl.read_parquet(tmp_path / "m.parquet")
    assert dict(merged.rows()) == {
        "cat": ["wordnet", "wiki_title"],
        "dog": ["wordnet", "wiki_unigram"],
        "the": ["wiki_unigram", "wiki_title"],
        "a": ["wiki_unigram"],
        "an": ["wiki_unigram"],
    }
    assert merged["entry"].to_list() == ["cat", "dog", "the", "a", "an"]
    assert table.rows() == [("wordnet", 2, 2, 2, 2), ("wiki_unigram", 4, 4, 3, 5), ("wiki_title", 3, 2, 0, 5)]
    assert table.columns == ["source", "given", "members", "new", "total"]
    again = load_metadata(tmp_path / "m.parquet")
    assert (again.entries, again.source_names) == (
        merged["entry"].to_list(), ("wordnet", "wiki_unigram", "wiki_title")
    )  # fmt: skip


def test_a_list_of_ones_own_is_a_source_of_its_name(tmp_path: Path, sources: list[Path]) -> None:
    (tmp_path / "birds.txt").write_text("wren\ndog\n")
    table = merge_sources([*sources, ("birds", tmp_path / "birds.txt")], tmp_path / "m.parquet")
    assert table.rows()[-1] == ("birds", 2, 2, 1, 7)
    assert dict(pl.read_parquet(tmp_path / "m.parquet").rows())["dog"] == ["wordnet", "wiki_unigram", "birds"]


def test_what_can_not_be_merged(tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text("\n,\n")
    with pytest.raises(MetadataError, match="no file has an entry"):
        merge_sources([tmp_path / "blank.txt"], tmp_path / "m.parquet")
    with pytest.raises(SettingsError, match="a budget must be 1 or more"):
        merge_sources([tmp_path / "blank.txt"], tmp_path / "m.parquet", budget=0)
    pl.DataFrame({"entry": ["a"], "count": ["many"]}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(MetadataError, match="column 'count' holds String"):
        merge_sources([tmp_path / "c.parquet"], tmp_path / "m.parquet")


@pytest.mark.parametrize("as_object", [True, False])
def test_importing_a_published_list(tmp_path: Path, sources: list[Path], as_object: bool) -> None:
    entries = ["the", "dog", "zebra", "cat"]
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    counts = {"cat": 7, "the": 900, "dog": 80} if as_object else [900, 80, 0, 7]
    (tmp_path / "counts.json").write_text(json.dumps(counts))
    table = import_metadata(
        tmp_path / "metadata.json", tmp_path / "p.parquet", sources=sources, counts=tmp_path / "counts.json"
    )
    assert pl.read_parquet(tmp_path / "p.parquet").rows() == [
        ("the", ["wiki_unigram", "wiki_title"], 900),
        ("dog", ["wordnet", "wiki_unigram"], 80),
        ("zebra", ["custom"], 0),
        ("cat", ["wordnet", "wiki_title"], 7),
    ]
    assert table.rows() == [
        ("wordnet", 2, 2, 2),
        ("wiki_unigram", 2, 1, 3),
        ("wiki_title", 2, 0, 3),
        ("custom", 1, 1, 4),
    ]
    reference = load_reference(tmp_path / "p.parquet")
    assert counts_for(pl.Series(["dog", "unknown", "the"]), reference).to_list() == [80, 0, 900]


def test_importing_without_counts_or_sources(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('["b", "a"]')
    import_metadata(tmp_path / "metadata.json", tmp_path / "p.parquet")
    assert pl.read_parquet(tmp_path / "p.parquet").rows() == [("b", ["custom"]), ("a", ["custom"])]
    with pytest.raises(MetadataError, match="not a reference, it has no count for 2 entries"):
        load_reference(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("[1]", "1 counts for 2 entries"),
        ("[1, true]", "element 1 is True"),
        ("[1, -1]", "element 1 is -1"),
        ("[1, ", "not JSON"),
        ('{"a": 1.5}', "the count of 'a' is 1.5"),
        ('{"z": 1}', "none of its 1 entries is in the metadata"),
        ("3", "got int"),
    ],
)
def test_counts_that_do_not_fit(tmp_path: Path, counts: str, message: str) -> None:
    (tmp_path / "metadata.json").write_text('["b", "a"]')
    (tmp_path / "counts.json").write_text(counts)
    with pytest.raises(MetadataError, match=rf"counts\.json: .*{message}"):
        import_metadata(tmp_path / "metadata.json", tmp_path / "p.parquet", counts=tmp_path / "counts.json")
    assert not (tmp_path / "p.parquet").exists()


def test_a_pool_laid_over_a_reference() -> None:
    mine = pl.DataFrame({"entry": ["dog", "cat", "wren", "none"], "count": [50, 50, 0, 0]})
    reference = pl.DataFrame({"entry": ["dog", "cat", "zebra"], "count": [100, 800, 100]})
    table = lay_over(mine, reference)
    assert table["entry"].to_list() == ["dog", "zebra", "cat"]
    dog = table.row(0, named=True)
    assert (dog["mine"], dog["published"], dog["my_share"], dog["published_share"]) == (50, 100, 0.5, 0.1)
    assert dog["log2_ratio"] == pytest.approx(2.321928, abs=1e-6)
    # 2 * (50 ln(50 / (150 * 100 / 1100)) + 100 ln(100 / (150 * 1000 / 1100)))
    assert dog["g2"] == pytest.approx(67.8974, abs=1e-3)
    assert table.row(1, named=True)["log2_ratio"] == float("-inf")


def test_the_commands_one_after_the_other(tmp_path: Path, hours: list[Path], capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "dict").mkdir()
    for name in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"dict/data.{name}").write_text(f"00001740 03 n 01 {name} 0 000 | x\n")
    (tmp_path / "wiki.txt").write_text("red fish\n" * 200)

    def run(*arguments: object) -> int:
        return main(["metadata", *map(str, arguments)])

    w, u, b, t, m = (tmp_path / f"{name}.parquet" for name in "wubtm")
    kept = tmp_path / "kept"
    assert run("wordnet", tmp_path / "dict", "--out", w) == 0
    assert run("unigrams", tmp_path / "wiki.txt", "--keep-counts", kept, "--out", u) == 0
    assert run("bigrams", kept, "--out", b) == 1
    assert "no pair can have a PMI of 30: with 400 words counted" in capsys.readouterr().err
    assert run("bigrams", kept, "--min-pmi", 1, "--out", b) == 0
    assert run("titles", *hours, "--out", t) == 0
    capsys.readouterr()
    assert run("merge", w, u, b, t, "--out", m, "--json") == 0
    table = {row["source"]: row["new"] for row in json.loads(capsys.readouterr().out)}
    assert table == {"wordnet": 104, "wiki_unigram": 2, "wiki_bigram": 1, "wiki_title": 4}
    assert run("import", m, "--sources", w, "--out", tmp_path / "i.parquet") == 0
    assert load_metadata(m).entries[-5:] == ["red fish", "Main Page", "Café", "Twice", '"quoted"']
    assert {path.name for path in tmp_path.glob(".*")} == set()


def test_counts_of_words_are_needed_with_those_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "2gram.txt").write_text("4\ta\tb\n")
    (tmp_path / "1gram.txt").write_text("4\ta\n4\tb\n")
    arguments = ["metadata", "bigrams", str(tmp_path / "2gram.txt"), "--format", "counts", "--min-pmi", "1"]
    out = str(tmp_path / "b.parquet")
    assert main([*arguments, "--out", out]) == 2
    assert "give --unigrams" in capsys.readouterr().err
    assert main([*arguments, "--unigrams", str(tmp_path / "1gram.txt"), "--out", out]) == 0
    assert pl.read_parquet(out).rows() == [("a b", ["wiki_bigram"], 4, 1.0)]
