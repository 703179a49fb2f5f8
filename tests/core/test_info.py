"""`metaclip info`: every figure of the contract, against plain Python and the authors' reference results."""

from __future__ import annotations

import json
import math
import tarfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from metaclip_core.cli.output import json_text
from metaclip_core.run import open_run

from .conftest import Command
from .oracle import plain_counts, plain_keep_t, plain_matches, plain_probability

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACT = ["read", "pairs", "skipped", "duplicates", "filtered", "entries", "matched_pairs", "matches", "matched_entries",
            "tail_share", "head_entries", "curated_pairs", "expected_curated_pairs", "t", "sources", "seed"]  # fmt: skip

TEXTS = [*["a dog"] * 30, *["a hot dog, a cat"] * 9, *["a cat"] * 6, *["nothing"] * 5]
ENTRIES = {
    "a": ["wiki_unigram"],
    "dog": ["wordnet", "wiki_unigram"],
    "cat": ["wordnet"],
    "hot dog": ["wiki_bigram"],
    "never": ["wordnet"],
    "u.s.": ["wiki_title"],
}
SEED = 7


def make_pool(folder: Path) -> None:
    lines = [json.dumps({"uid": f"id {i}", "text": text}) for i, text in enumerate(TEXTS)]
    (folder / "pool.jsonl").write_text("\n".join([*lines, "no JSON"]))
    pl.DataFrame({"entry": list(ENTRIES), "sources": list(ENTRIES.values())}).write_parquet(folder / "metadata.parquet")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from metaclip_core.curation import curate

    folder = tmp_path_factory.mktemp("info")
    make_pool(folder)
    return curate(folder / "pool.jsonl", folder / "metadata.parquet", folder / "run", seed=SEED, on_error="skip").path


def expected(t: float, *, sources: list[str] | None = None, seed: int = SEED) -> dict[str, Any]:
    on = {entry for entry, names in ENTRIES.items() if sources is None or set(names) & set(sources)}
    counts = plain_counts(plain_matches(TEXTS, ENTRIES))
    matches = [entries & on for entries in plain_matches(TEXTS, ENTRIES)]
    n_matches = sum(map(len, matches))
    return {
        "read": 51,
        "pairs": 50,
        "skipped": 1,
        "duplicates": 0,
        "filtered": 0,
        "entries": len(on),
        "matched_pairs": sum(map(bool, matches)),
        "matches": n_matches,
        "matched_entries": sum(counts[entry] > 0 for entry in on),
        "tail_share": sum(counts[entry] for entry in on if counts[entry] < t) / n_matches if n_matches else 0.0,
        "head_entries": sum(counts[entry] >= max(t, 1) for entry in on),
        "curated_pairs": sum(plain_keep_t(f"id {i}", ids, counts, seed) < t for i, ids in enumerate(matches)),
        "expected_curated_pairs": pytest.approx(sum(plain_probability(ids, counts, t) for ids in matches)),
        "t": t,
        "sources": ["wordnet", "wiki_unigram", "wiki_bigram", "wiki_title"] if sources is None else sources,
        "seed": seed,
    }


def figures(metaclip: Command, *arguments: Any) -> dict[str, Any]:
    done = metaclip("info", *arguments, "--json")
    assert (done.status, done.err) == (0, "")
    assert done.out.count("\n") == 1
    found = json.loads(done.out)
    assert set(found) >= set(CONTRACT)
    assert found["read"] == found["pairs"] + found["skipped"] + found["duplicates"] + found["filtered"]
    return found


def contract(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in CONTRACT}


@pytest.mark.parametrize("t", [0.0, 0.3, 5.0, 15.0, 15.5, 39.0, 45.0, 1e9, math.inf])
def test_every_figure_at_any_t(run: Path, metaclip: Command, t: float) -> None:
    told = None if math.isinf(t) else t
    assert contract(figures(metaclip, run, "-t", repr(t))) == expected(t) | {"t": told}


@pytest.mark.parametrize(
    ("argument", "sources"),
    [
        ("wordnet", ["wordnet"]),
        ("wiki_bigram,wordnet", ["wiki_bigram", "wordnet"]),
        (" wiki_bigram , wordnet,", ["wiki_bigram", "wordnet"]),
        ("wiki_title", ["wiki_title"]),
        ("", []),
        ("wordnet,wiki_unigram,wiki_bigram,wiki_title", None),
    ],
)
def test_sources(run: Path, metaclip: Command, argument: str, sources: list[str] | None) -> None:
    for t in (3.0, 1e300):
        assert contract(figures(metaclip, run, "-t", t, "--sources", argument)) == expected(t, sources=sources)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_seeds(run: Path, metaclip: Command, seed: int) -> None:
    assert contract(figures(metaclip, run, "-t", "4", "--seed", seed)) == expected(4.0, seed=seed)


def test_t_reads_back_identically(run: Path, metaclip: Command) -> None:
    for t in (0.1 + 0.2, 5e-324, 1.7976931348623157e308, 20_000.0):
        assert figures(metaclip, run, "-t", repr(t))["t"] == t


def test_infinity_is_null_in_json(run: Path, metaclip: Command) -> None:
    """Not JSON are the words Infinity and NaN, which Python would write."""
    out = metaclip("info", run, "-t", "inf", "--json").out

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(out, parse_constant=refuse)["t"] is None
    tricky = {"a": [math.inf, 'Infinity "Infinity', "\\", -math.inf], "Infinity": 1.5, "é\u2028": None, "n": 2**64 - 1}
    expected = tricky | {"a": [None, 'Infinity "Infinity', "\\", None]}
    assert json.loads(json_text(tricky), parse_constant=refuse) == expected
    assert "\n" not in json_text(tricky)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-t", "5", "--sources", "wiki"), "unknown source 'wiki'; this metadata has: wordnet, wiki_unigram"),
        (("-t", "-1"), "threshold t must be 0 or more, got -1.0"),
        (("-t", "nan"), "threshold t must be 0 or more, got nan"),
        (("-t", "many"), "invalid float value: 'many'"),
        (("-t", "5", "--seed", "-1"), "seed must be a whole number from 0 to 2**64 - 1, got -1"),
        (("-t", "5", "--seed", str(2**64)), "seed must be a whole number"),
        (("-t", "5", "--seed", "0.5"), "invalid int value: '0.5'"),
        ((), "the following arguments are required: -t"),
    ],
)
def test_wrong_usage(run: Path, metaclip: Command, arguments: tuple[str, ...], message: str) -> None:
    done = metaclip("info", run, *arguments, "--json")
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_for_people(run: Path, metaclip: Command) -> None:
    done = metaclip("info", run, "-t", "15", "--sources", "wordnet,wiki_title")
    assert (done.status, done.err) == (0, "")
    lines = [line.split("  ", 1) for line in done.out.splitlines()]
    shown = {name: value.strip() for name, value in lines}
    assert {name: shown[name] for name in ("read", "matched pairs", "tail share", "t", "sources", "seed")} == {
        "read": "51",
        "matched pairs": "45",
        "tail share": "0.0000",
        "t": "15.0",
        "sources": "wordnet, wiki_title",
        "seed": "7",
    }
    assert (
        shown["expected curated pairs"]
        == f"{expected(15, sources=['wordnet'])['expected_curated_pairs'].expected:,.1f}"
    )
    assert len({len(line) - len(line.split("  ", 1)[1].lstrip()) for line in done.out.splitlines()}) == 1  # one column
    assert "sources                 none\n" in metaclip("info", run, "-t", "15", "--sources", "").out
    assert f"{2**64 - 1}\n" in metaclip("info", run, "-t", "1", "--seed", 2**64 - 1).out


def test_the_sample_equals_plain_python(metaclip: Command, tmp_path: Path) -> None:
    """900 pairs of the embedded sample against all its 87,930 entries, from the tar to the figures."""
    shard, metadata = (REPOSITORY / "data_samples" / name for name in ("shards/00000.tar", "metadata.parquet"))
    assert metaclip("curate", shard, "--metadata", metadata, "--out", tmp_path / "run", "--workers", 1).status == 0

    with tarfile.open(shard) as tar:
        members = {name: tar.extractfile(name).read() for name in tar.getnames() if name.endswith((".txt", ".json"))}  # type: ignore[union-attr]
    keys = sorted(name.removesuffix(".txt") for name in members if name.endswith(".txt"))
    texts = [members[f"{key}.txt"].decode() for key in keys]
    identities = [json.loads(members[f"{key}.json"])["uid"] for key in keys]
    matches = plain_matches(texts, pl.read_parquet(metadata)["entry"].to_list())
    counts = plain_counts(matches)

    pairs = open_run(tmp_path / "run").pairs(["key", "keep_t"]).collect()
    assert pairs["key"].to_list() == keys
    keep_t = [plain_keep_t(identity, ids, counts, 0) for identity, ids in zip(identities, matches, strict=True)]
    assert pairs["keep_t"].to_list() == keep_t
    for t in (2.0, 20.0):
        found = figures(metaclip, tmp_path / "run", "-t", t)
        assert (found["pairs"], found["matches"], found["matched_entries"]) == (len(texts), counts.total(), len(counts))
        assert found["curated_pairs"] == sum(value < t for value in keep_t)
        probabilities = [plain_probability(ids, counts, t) for ids in matches]
        assert found["expected_curated_pairs"] == pytest.approx(sum(probabilities), abs=1e-9)


def test_the_real_captions_equal_the_authors_results(shared_data: Path, metaclip: Command, tmp_path: Path) -> None:
    pool, metadata = (shared_data / "data" / name for name in ("captions.parquet", "metadata_500k.parquet"))
    assert metaclip("curate", pool, "--metadata", metadata, "--out", tmp_path / "run", "--workers", 1).status == 0
    for t, size in ((20, 65_498.9), (200, 82_840.6), (2000, 91_007.7)):
        found = figures(metaclip, tmp_path / "run", "-t", t)
        assert (found["pairs"], found["matches"], found["matched_entries"]) == (120_049, 776_719, 37_642)
        assert found["entries"] == 500_000
        assert round(found["expected_curated_pairs"], 1) == size
        assert abs(found["curated_pairs"] - size) < 300  # five draws of their sampler stayed within 90
        assert found["seed"] == 0
    reference = pl.read_parquet(shared_data / "golden/reference_counts.parquet")
    entries = open_run(tmp_path / "run").entries["count"]
    assert entries.filter(entries > 0).to_list() == reference.sort("entry_id")["count"].to_list()
