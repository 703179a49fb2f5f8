"""Metadata files: what is read, what is dropped and reported, and what is refused with the file and the place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_core.errors import MetadataError, SettingsError
from metaclip_core.metadata import Metadata, load_metadata, metadata_argument
from metaclip_core.run import open_run

from .conftest import Command

TAGGED = {"entry": ["dog", "hot dog", "99"], "sources": [["wordnet", "wiki_title"], ["wiki_bigram"], ["wordnet"]]}


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def sources(metadata: Metadata) -> list[list[str]]:
    return metadata.source_lists().to_list()


# ---- what is read


def test_the_papers_json(tmp_path: Path) -> None:
    """A list of strings in ASCII escapes on one line, as the authors' metadata.json is."""
    entries = ["dog", "hot dog", "日本", "caf\u00e9", 'a "b"', "x\ty", "0", "\U0001f600"]
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    metadata = load_metadata(tmp_path / "metadata.json")
    assert metadata.entries == entries
    assert metadata.source_names == ("custom",)
    assert metadata.sources.tolist() == [1] * len(entries)
    assert metadata.original_ids.tolist() == list(range(len(entries)))
    assert len(metadata.dropped) == 0


@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (b"dog\nhot dog\n", ["dog", "hot dog"]),
        (b"dog\nhot dog", ["dog", "hot dog"]),
        (b"\xef\xbb\xbfdog\r\nhot dog\r\n", ["dog", "hot dog"]),
        (" dog\ndog \n日本\n".encode(), [" dog", "dog ", "日本"]),
        ("a\x0bb\nc\u2028d\n".encode(), ["a\x0bb", "c\u2028d"]),  # only line feeds end a line
    ],
)
@pytest.mark.parametrize("name", ["entries.txt", "entries", "entries.list"])
def test_text_has_an_entry_a_line(tmp_path: Path, name: str, data: bytes, entries: list[str]) -> None:
    (tmp_path / name).write_bytes(data)
    assert load_metadata(tmp_path / name).entries == entries


@pytest.mark.parametrize("name", ["m.parquet", "m.bin"])
def test_parquet_is_known_by_its_bytes(tmp_path: Path, name: str) -> None:
    metadata = load_metadata(write_parquet(tmp_path / name, TAGGED))
    assert metadata.entries == TAGGED["entry"]
    assert metadata.source_names == ("wordnet", "wiki_bigram", "wiki_title")
    assert metadata.sources.dtype == np.uint32
    assert metadata.sources.tolist() == [0b101, 0b010, 0b001]
    assert sources(metadata) == TAGGED["sources"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["dog", None, "cat"], pa.large_string()),
        pa.array(["dog", None, "cat"], pa.string_view()),
        pa.array(["dog", None, "cat"]).dictionary_encode(),
    ],
)
def test_strings_of_every_layout(tmp_path: Path, column: pa.Array) -> None:
    metadata = load_metadata(write_parquet(tmp_path / "m.parquet", {"entry": column}))
    assert metadata.entries == ["dog", "cat"]
    assert metadata.dropped.empty.tolist() == [1]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["wordnet", None, "birds"], [["wordnet"], ["custom"], ["birds"]]),
        ([["wordnet"], [], None], [["wordnet"], ["custom"], ["custom"]]),
        ([["wordnet", None, "wordnet"], [None], ["birds", "wordnet"]], [["wordnet"], ["custom"], ["wordnet", "birds"]]),
    ],
)
def test_sources_as_they_come(tmp_path: Path, column: list[Any], expected: list[list[str]]) -> None:
    path = write_parquet(tmp_path / "m.parquet", {"entry": ["a", "b", "c"], "sources": column})
    assert sources(load_metadata(path)) == expected


def test_save_and_load_are_inverse(tmp_path: Path) -> None:
    metadata = load_metadata(write_parquet(tmp_path / "m.parquet", TAGGED))
    metadata.save(tmp_path / "again.parquet")
    again = load_metadata(tmp_path / "again.parquet")
    assert again.fingerprint == metadata.fingerprint
    assert again.entries == metadata.entries
    saved = pq.read_schema(tmp_path / "again.parquet")
    assert saved.names == ["entry", "sources"]


# ---- several files, and what is dropped


def test_merging_keeps_all_sources_and_the_first_place(tmp_path: Path) -> None:
    (tmp_path / "birds.txt").write_text("robin\n\nhot dog\nrobin\n \t\n")
    (tmp_path / "more.json").write_text('["crow", "robin", "", "u.s."]')
    tagged = write_parquet(tmp_path / "m.parquet", TAGGED)
    metadata = load_metadata(tagged, ("birds", tmp_path / "birds.txt"), tmp_path / "more.json")
    assert metadata.entries == ["dog", "hot dog", "99", "robin", "crow", "u.s."]
    assert metadata.source_names == ("wordnet", "wiki_bigram", "wiki_title", "birds", "custom")
    assert sources(metadata) == [
        ["wordnet", "wiki_title"],
        ["wiki_bigram", "birds"],
        ["wordnet"],
        ["birds", "custom"],
        ["custom"],
        ["custom"],
    ]
    assert metadata.original_ids.tolist() == [0, 1, 2, 3, 8, 11]
    assert metadata.dropped.empty.tolist() == [4, 10]
    assert metadata.dropped.blank.tolist() == [7]
    assert metadata.dropped.doubled.tolist() == [5, 6, 9]
    assert len(metadata) + len(metadata.dropped) == 12
    assert [metadata.locate(row) for row in (0, 3, 7, 8, 11)] == [
        ("m.parquet", 0),
        ("birds.txt", 0),
        ("birds.txt", 4),
        ("more.json", 0),
        ("more.json", 3),
    ]
    assert metadata.never_matches.tolist() == [False] * 5 + [True]
    with pytest.raises(SettingsError, match="row 12 lies behind"):
        metadata.locate(12)


def test_a_name_takes_the_place_of_all_tags(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "m.parquet", TAGGED)
    metadata = load_metadata(("mine", path))
    assert metadata.source_names == ("mine",)
    assert sources(metadata) == [["mine"]] * 3


def test_the_fingerprint_is_of_entries_their_order_and_sources(tmp_path: Path) -> None:
    def fingerprint(entries: list[str], name: str = "s") -> str:
        (tmp_path / "m.txt").write_text("\n".join(entries))
        return load_metadata((name, tmp_path / "m.txt")).fingerprint

    base = fingerprint(["ab", "c"])
    assert base == fingerprint(["ab", "c", "ab", ""])
    assert (
        len(
            {
                base,
                fingerprint(["c", "ab"]),
                fingerprint(["a", "bc"]),
                fingerprint(["ab"]),
                fingerprint(["ab", "c"], "z"),
            }
        )
        == 5
    )


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("birds.txt", (None, "birds.txt")),
        ("species=birds.txt", ("species", "birds.txt")),
        ("species=a=b.txt", ("species", "a=b.txt")),
        ("=birds.txt", (None, "=birds.txt")),
        ("a/b=c.txt", (None, "a/b=c.txt")),
        ("is=there.txt", (None, "is=there.txt")),
    ],
)
def test_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, expected: tuple[Any, str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("is=there.txt").touch()
    name, path = metadata_argument(argument)
    assert (name, str(path)) == expected


def test_the_run_reports_what_was_dropped(tmp_path: Path, metaclip: Command) -> None:
    (tmp_path / "birds.txt").write_text("robin\n\nrobin\n \nu.s.\n")
    (tmp_path / "more.json").write_text('["crow"]')
    (tmp_path / "pool.jsonl").write_text('{"text": "a robin and a crow"}\n')
    files = [f"species={tmp_path / 'birds.txt'}", tmp_path / "more.json"]
    done = metaclip("curate", tmp_path / "pool.jsonl", "--metadata", *files, "--out", tmp_path / "run", "--workers", 1)
    assert done.status == 0
    run = open_run(tmp_path / "run")
    assert run.manifest["metadata"] == {
        "entries": 3,
        "sources": ["species", "custom"],
        "files": [{"name": "birds.txt", "n_rows": 5}, {"name": "more.json", "n_rows": 1}],
        "dropped": {"empty": 1, "blank": 1, "doubled": 1},
        "never_matches": 1,
    }
    assert "entries: 3, of which 1 can never match; rows dropped: 3 (1 empty, 1 blank, 1 doubled)" in done.out
    assert run.entries.to_dict(as_series=False) == {
        "entry": ["robin", "u.s.", "crow"],
        "sources": [["species"], ["species"], ["custom"]],
        "count": [1, 0, 1],
    }


# ---- what is refused

NOT_PARQUET = "not a readable parquet file: "

BAD_FILES: list[tuple[str, bytes | dict[str, Any], str]] = [
    ("text.parquet", b"dog\ncat\n", NOT_PARQUET),
    ("empty.parquet", b"", NOT_PARQUET),
    ("cut.parquet", b"PAR1 and no more", NOT_PARQUET),
    ("other.parquet", {"text": ["dog"], "n": [1]}, "no column 'entry' among text, n"),
    ("numbers.parquet", {"entry": [1, 2]}, "column 'entry' holds Int64, expected strings"),
    ("bytes.parquet", {"entry": [b"dog"]}, "column 'entry' holds Binary, expected strings"),
    ("lists.parquet", {"entry": [["dog"]]}, "column 'entry' holds List(String), expected strings"),
    ("masks.parquet", {"entry": ["dog"], "sources": [3]}, "column 'sources' holds Int64, expected lists of names"),
    ("blank.parquet", {"entry": ["", " ", None]}, "no usable entry in 3 rows"),
    ("none.parquet", {"entry": pa.array([], pa.string())}, "no usable entry in 0 rows"),
    ("number.json", b"7", "expected a JSON list of strings"),
    ("string.json", b'"dog"', "expected a JSON list of strings"),
    ("mixed.json", b'["dog", 7]', "element 1 is int, expected a string"),
    ("nested.json", b'[["dog"]]', "element 0 is list, expected a string"),
    ("null.json", b'["dog", null]', "element 1 is NoneType, expected a string"),
    ("cut.json", b'["dog", "ca', "not JSON: "),
    ("empty.json", b"", "not JSON: "),
    ("latin.json", b'["caf\xe9"]', "not JSON: "),
    ("deep.json", b"[" * 100_000, "not JSON: "),
    ("half.json", b'["dog", "\\ud800"]', "an entry has half a surrogate pair, which is no text"),
    ("nothing.json", b"[]", "no usable entry in 0 rows"),
    ("latin.txt", b"dog\ncaf\xe9\n", "line 2 is not UTF-8; expected parquet, .json or UTF-8 text"),
    ("nul.txt", b"dog\ncat\nb\x00c\n", "line 3 has a NUL byte; expected parquet, .json or UTF-8 text"),
    ("picture.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "line 1 is not UTF-8; expected parquet, .json or UTF-8 text"),
    ("empty.txt", b"", "no usable entry in 0 rows"),
    ("blank.txt", b"\n \n\t\n", "no usable entry in 3 rows"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES, ids=[name for name, _, _ in BAD_FILES])
def test_files_that_do_not_do(
    tmp_path: Path, metaclip: Command, name: str, content: bytes | dict[str, Any], message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else write_parquet(path, content)
    with pytest.raises(MetadataError) as caught:
        load_metadata(path)
    assert re.match(f"metadata (.*/)?{re.escape(name)}: {re.escape(message)}", str(caught.value))
    (tmp_path / "pool.jsonl").write_text('{"text": "a dog"}\n')
    done = metaclip("curate", tmp_path / "pool.jsonl", "--metadata", path, "--out", tmp_path / "run")
    assert done.complaint == str(caught.value)
    assert not (tmp_path / "run").exists()


def test_strings_that_are_not_utf8(tmp_path: Path) -> None:
    bad = pa.array([b"dog", b"caf\xe9"]).view(pa.string())
    with pytest.raises(MetadataError, match=r"m\.parquet: .*UTF8"):
        load_metadata(write_parquet(tmp_path / "m.parquet", {"entry": bad}))


def test_a_page_that_is_damaged(tmp_path: Path, metaclip: Command) -> None:
    path = write_parquet(tmp_path / "m.parquet", {"entry": [f"entry {i}" for i in range(5000)]})
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with pytest.raises(MetadataError, match=r"m\.parquet: "):
        load_metadata(path)
    complaint = metaclip("curate", tmp_path, "--metadata", path, "--out", tmp_path / "run").complaint
    assert complaint.startswith(f"metadata {path}: ")


@pytest.mark.parametrize(("name", "message"), [("gone.json", "No such file or directory"), (".", "Is a directory")])
def test_files_that_are_not_there(tmp_path: Path, metaclip: Command, name: str, message: str) -> None:
    path = tmp_path / name
    done = metaclip("curate", tmp_path, "--metadata", path, "--out", tmp_path / "run")
    assert done.complaint == f"metadata {path}: {message}"


def test_the_bad_one_of_several_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("dog\n")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    with pytest.raises(MetadataError, match=r"bad\.txt: line 1"):
        load_metadata(tmp_path / "good.txt", tmp_path / "bad.txt")


@pytest.mark.parametrize("name", ["", "1st", "a b", "a,b", "-a"])
def test_names_of_sources(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.txt").write_text("dog\n")
    with pytest.raises(SettingsError, match=r"source name .*use letters, digits"):
        load_metadata((name, tmp_path / "m.txt"))


def test_at_most_32_sources(tmp_path: Path) -> None:
    for n_sources in (32, 33):
        path = write_parquet(tmp_path / "m.parquet", {"entry": ["a"], "sources": [[f"s{i}" for i in range(n_sources)]]})
        if n_sources == 32:
            assert load_metadata(path).sources.tolist() == [2**32 - 1]
        else:
            with pytest.raises(MetadataError, match=r"m\.parquet: 33 sources, at most 32"):
                load_metadata(path)


def test_no_file_at_all() -> None:
    with pytest.raises(SettingsError, match="no metadata file given"):
        load_metadata()


def test_usage(tmp_path: Path, metaclip: Command) -> None:
    done = metaclip("curate", tmp_path, "--out", tmp_path / "run")
    assert done.status == 2
    assert "--metadata" in done.err


def test_the_real_metadata(shared_data: Path) -> None:
    metadata = load_metadata(shared_data / "data/metadata_500k.parquet")
    assert len(metadata) == 500_000
    assert metadata.source_names == ("wordnet", "wiki_unigram", "wiki_bigram", "wiki_title")
    assert len(metadata.dropped) == 0
    first = metadata.source_lists().list.first().value_counts()
    assert dict(first.iter_rows()) == {
        "wordnet": 86_654,
        "wiki_unigram": 251_465,
        "wiki_bigram": 100_646,
        "wiki_title": 61_235,
    }
