"""What is left out before matching: by a filter, by language, as a duplicate; and the funnel that counts it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_core import repeats
from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.duplicates import DUPLICATES, find_duplicates
from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.languages import language_of_each
from metaclip_core.run import open_run
from metaclip_core.selection import Selection

ROWS = {
    "text": ["a dog", "a cat", "a dog", "a bird", "a fish"],
    "url": ["u/1", "u/2", None, "u/1", "u/5"],
    "similarity": [0.1, 0.5, 0.9, None, 0.4],
    "LANGUAGE": ["en", "de", "en", "en", None],
    "WIDTH": [10, 200, 300, 400, 500],
}


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "pool").mkdir()
    pl.DataFrame(ROWS).write_parquet(tmp_path / "pool/p.parquet")
    (tmp_path / "metadata.txt").write_text("dog\ncat\na\n")
    return tmp_path


def run_of(pool: Path, **options: Any):
    out = pool / f"run-{len(list(pool.iterdir()))}"
    return curate(pool / "pool", pool / "metadata.txt", out, **options)


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("similarity > 0.3", [1, 2, 4]),
        ("similarity > 0.3 AND LANGUAGE = 'en'", [2]),
        ("WIDTH BETWEEN 200 AND 400 OR similarity < 0.2", [0, 1, 2, 3]),
        ("LANGUAGE IN ('en', 'fr') AND NOT WIDTH = 10", [2, 3]),
        ("LANGUAGE IS NULL", [4]),
        ("LENGTH(text) > 5 AND url LIKE 'u/%'", [3, 4]),
        ("key <> '0'", [1, 2, 3, 4]),
        ("true", [0, 1, 2, 3, 4]),
        ("WIDTH > 10000", []),
    ],
)
def test_a_filter_keeps_the_pairs_for_which_it_is_true(pool: Path, expression: str, kept: list[int]) -> None:
    if not kept:
        with pytest.raises(PoolError, match="5 pairs were left out by --filter"):
            run_of(pool, filter=expression)
        return
    run = run_of(pool, filter=expression)
    assert run.pairs(["key"]).collect()["key"].to_list() == [str(i) for i in kept]
    totals = run.totals
    assert (totals["read"], totals["pairs"], totals["filtered"]) == (5, len(kept), 5 - len(kept))
    assert run.manifest["filtered"] == ({"filter": 5 - len(kept)} if len(kept) < 5 else {})
    texts = [ROWS["text"][i] for i in kept]
    counts = dict(run.entries.select("entry", "count").rows())
    assert counts == {word: sum(word in text.split() for text in texts) for word in ("dog", "cat", "a")}


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("similarity >", SettingsError, "not a condition in SQL: syntax error"),
        ("1; DROP TABLE pairs", SettingsError, "not a condition in SQL"),
        ("true) UNION SELECT (1", SettingsError, "judge each pair by its own columns"),
        ("similarity > (SELECT 1)", SettingsError, "judge each pair by its own columns"),
        ("similarity > AVG(similarity)", SettingsError, "WHERE clause cannot contain aggregates"),
        ("ROW_NUMBER() OVER () > 1", SettingsError, "WHERE clause cannot contain window functions"),
        (
            "LANGUAGE > 3",
            SettingsError,
            r"Cannot compare values of type VARCHAR .*; the columns are .*LANGUAGE \(.*string\)",
        ),
        ("image_path IS NULL", SettingsError, "a pair's image_path can't be asked for"),
        ("punsafe < 0.5", PoolError, r"no column 'punsafe'; its columns are text, url, similarity, .* --filter"),
    ],
)
def test_filters_that_can_not_be(pool: Path, expression: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run_of(pool, filter=expression)


def test_a_filter_reads_no_file(pool: Path) -> None:
    with pytest.raises(SettingsError, match="judge each pair by its own columns"):
        Selection(f"text IN (SELECT text FROM read_parquet('{pool}/pool/p.parquet'))")
    with pytest.raises(SettingsError, match="--filter"):
        run_of(pool, filter=f"text = read_text('{pool}/metadata.txt')")


def test_columns_of_the_pairs_own_names(pool: Path) -> None:
    assert Selection("TEXT = 'a' AND Url = 'b' AND \"similarity\" > 1 OR Similarity < 0").columns == (
        "similarity",
        "Similarity",
    )


TEXTS = {
    "en": "The quick brown fox jumps over the lazy dog near the river",
    "de": "Der schnelle braune Fuchs springt über den faulen Hund am Fluss",
    "fr": "Le renard brun rapide saute par-dessus le chien paresseux",
    "ja": "素早い茶色の狐がのろまな犬を飛び越える",
    "und": "12:30 -- 4,5\n!",
}


def test_the_language_of_a_text() -> None:
    assert language_of_each(list(TEXTS.values())) == list(TEXTS)
    assert language_of_each([f"\n{TEXTS['de']}\r\n\n"]) == ["de"]
    assert language_of_each([]) == []


def test_a_pool_without_a_column_of_languages(pool: Path) -> None:
    pl.DataFrame({"text": list(TEXTS.values())}).write_parquet(pool / "pool/p.parquet")
    run = run_of(pool, languages=["en", "fr"])
    assert run.pairs(["text"]).collect()["text"].to_list() == [TEXTS["en"], TEXTS["fr"]]
    assert run.manifest["filtered"] == {"language": 3}
    with pytest.raises(SettingsError, match=r"unknown language 'english'; there are: .*, en, "):
        run_of(pool, languages=["english"])


# ---- duplicates


def plain_duplicates(rows: list[tuple[str, str | None]], kind: str) -> list[int]:
    """The rows that repeat an earlier one, found one by one."""
    seen: set[Any] = set()
    found = []
    for i, (text, url) in enumerate(rows):
        shared = {"pair": (url, text), "url": url, "text": text}[kind]
        if kind != "text" and url is None:
            continue
        if shared in seen:
            found.append(i)
        seen.add(shared)
    return found


PAIRS = st.tuples(st.sampled_from(["a", "b", "", "a\0"]), st.sampled_from(["u", "v", None, "u\0a", ""]))


@settings(max_examples=80, derandomize=True, deadline=None)
@given(shards=st.lists(st.lists(PAIRS, max_size=8), min_size=1, max_size=4), at_once=st.integers(1, 40))
def test_duplicates_against_a_plain_search(shards: list[list[tuple[str, str | None]]], at_once: int) -> None:
    schema = pa.schema([("text", pa.large_string()), ("url", pa.large_string())])
    tables = [pa.table({"text": [t for t, _ in rows], "url": [u for _, u in rows]}, schema=schema) for rows in shards]
    rows = [row for shard in shards for row in shard]
    starts = np.cumsum([0, *(len(shard) for shard in shards)])
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "_AT_ONCE", at_once)
        staging = Path(folder)
        for number, table in enumerate(tables):
            hashes = repeats.hashes_of(table)
            repeats.write_hashes(staging, number, {kind: some for kind, (some, _) in hashes.items()})
        for kind in DUPLICATES:
            expected = plain_duplicates(rows, kind)
            ranges = list(repeats.ranges_of_hashes(kind, len(rows), which=True))
            assert len(ranges) == max(1, -(-len(rows) // at_once))
            context = repeats.RepeatContext(staging, len(shards))
            numbers, again = zip(*(repeats.repeats_in_range(context, each) for each in ranges), strict=True)
            assert sum(numbers) == len(expected)
            found = find_duplicates(tables.__getitem__, range(len(shards)), kind, np.concatenate(again))
            assert sorted(int(starts[n]) + row for n, where in found.items() for row in where.tolist()) == expected


@pytest.mark.parametrize(
    ("kind", "kept"),
    [(None, [0, 1, 2, 3, 4]), ("pair", [0, 1, 2, 3, 4]), ("url", [0, 1, 2, 4]), ("text", [0, 1, 3, 4])],
)
def test_duplicates_are_counted_and_dropped_on_request(pool: Path, kind: str | None, kept: list[int]) -> None:
    run = run_of(pool, drop_duplicates=kind)
    assert run.manifest["duplicates"] == {"pair": 0, "url": 1, "text": 1}
    assert run.pairs(["key"]).collect()["key"].to_list() == [str(i) for i in kept]
    totals = run.totals
    assert (totals["read"], totals["pairs"], totals["duplicates"]) == (5, len(kept), 5 - len(kept))
    texts = [ROWS["text"][i] for i in kept]
    assert dict(run.entries.select("entry", "count").rows())["dog"] == sum("dog" in text for text in texts)
    assert totals["matched_pairs"] == len(kept) == run.balance().matched_pairs
    np.testing.assert_array_equal(run.pairs(["keep_t"]).collect()["keep_t"].to_numpy(), run.balance().keep_t)


def test_which_duplicate_stays_is_no_matter_of_order(tmp_path: Path) -> None:
    rng = random.Random(5)
    (tmp_path / "m.txt").write_text("w1\nw2\nw3\n")
    names = [f"{i}.parquet" for i in range(4)]
    (tmp_path / "pool").mkdir()
    for name in names:
        texts = [f"w{rng.randrange(6)} {rng.randrange(9)}" for _ in range(40)]
        pl.DataFrame({"text": texts}).write_parquet(tmp_path / "pool" / name)
    one = curate([tmp_path / "pool" / n for n in names], tmp_path / "m.txt", tmp_path / "a", drop_duplicates="text")
    two = curate(
        [tmp_path / "pool" / n for n in reversed(names)], tmp_path / "m.txt", tmp_path / "b", drop_duplicates="text",
        workers=2,
    )  # fmt: skip
    columns = ["key", "text", "identity", "keep_t"]
    frames = [run.pairs(columns).collect().sort(columns) for run in (one, two)]
    assert frames[0].equals(frames[1])
    assert frames[0]["text"].is_unique().all()
    assert one.totals["duplicates"] == one.manifest["duplicates"]["text"] > 0
    assert one.totals["read"] == 160


def test_repeated_ids_among_dropped_duplicates_are_not_counted(tmp_path: Path) -> None:
    rows = {"uid": ["x", "x", "x"], "text": ["a", "a", "b"]}
    pl.DataFrame(rows).write_parquet(tmp_path / "p.parquet")
    (tmp_path / "m.txt").write_text("a\n")
    run = curate(tmp_path / "p.parquet", tmp_path / "m.txt", tmp_path / "run", drop_duplicates="text")
    assert (run.totals["pairs"], run.totals["repeated_ids"], run.totals["duplicates"]) == (2, 1, 1)
    assert run.pairs(["identity"]).collect()["identity"].n_unique() == 2


def test_the_funnel_of_the_command_line(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["curate", str(pool / "pool"), "--metadata", str(pool / "metadata.txt"), "--workers", "1"]
    options = ["--filter", "WIDTH > 10", "--language", "en", "--drop-duplicates", "text"]
    pl.DataFrame(
        {"text": [TEXTS["en"]] * 3 + [TEXTS["de"], TEXTS["en"], None], "WIDTH": [20, 30, 40, 50, 5, 60]}
    ).write_parquet(pool / "pool/p.parquet")
    assert main([*arguments, *options, "--on-error", "skip", "--out", str(pool / "run")]) == 0
    shown = capsys.readouterr().out
    assert "1 pairs of 6 records" in shown
    assert "filtered: 2 (left out by 1 filter, 1 language)" in shown
    assert "duplicates: 2 text, 2 dropped" in shown
    totals = open_run(pool / "run").totals
    assert totals["read"] == totals["pairs"] + totals["skipped"] + totals["duplicates"] + totals["filtered"] == 6
    assert Counter(open_run(pool / "run").manifest["skipped"]) == {"no_text": 1}
    assert main([*arguments, *options, "--on-error", "skip", "--out", str(pool / "run")]) == 0
    assert main([*arguments, "--on-error", "skip", "--out", str(pool / "run")]) == 1
    assert "(drop_duplicates, filter, languages differ)" in capsys.readouterr().err
