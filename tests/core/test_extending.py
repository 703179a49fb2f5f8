"""A run made larger is what curating all from the start gives."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_core import matching, stages
from metaclip_core.cli import main
from metaclip_core.curation import curate
from metaclip_core.errors import MetadataError, PoolError, RunError, SettingsError
from metaclip_core.extending import add_entries, append_shards
from metaclip_core.matching import Matches
from metaclip_core.metadata import load_metadata
from metaclip_core.metadata.published import counts_of_whole
from metaclip_core.pools import record
from metaclip_core.restaging import _joined
from metaclip_core.run import Run, open_run

COLUMNS = ["identity", "uid", "key", "text", "url", "image_path", "entry_ids", "keep_t"]


def write_pool(folder: Path, numbers: range, seed: int = 3, **columns: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    words = ["a", "red", "dog", "cat", "wren", "robin", "in", "the", "snow", ","]
    for number in numbers:
        rng = random.Random(seed + number)
        texts = [" ".join(rng.choices(words, k=rng.randrange(6))) for _ in range(60)]
        urls = [f"u/{rng.randrange(50)}" for _ in texts]
        pl.DataFrame({"text": texts, "url": urls, **columns}).write_parquet(folder / f"{number}.parquet")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_pool(tmp_path / "old", range(3))
    write_pool(tmp_path / "new", range(3, 5))
    pl.DataFrame(
        {"entry": ["dog", "a", "the", "cat"], "sources": [["wordnet"], ["wiki_unigram"], ["wiki_unigram"], ["wordnet"]]}
    ).write_parquet(tmp_path / "metadata.parquet")
    (tmp_path / "birds.txt").write_text("wren\nrobin\nred robin\ncat\n")
    return tmp_path


def assert_same(run: Run, whole: Run) -> None:
    assert run.pairs(COLUMNS).collect().equals(whole.pairs(COLUMNS).collect())
    assert run.entries.equals(whole.entries)
    assert run.source_names == whole.source_names
    assert run.totals == whole.totals
    assert {k: v for k, v in run.manifest["settings"].items() if k != "inputs"} == {
        k: v for k, v in whole.manifest["settings"].items() if k != "inputs"
    }
    np.testing.assert_array_equal(run.pairs(["keep_t"]).collect()["keep_t"].to_numpy(), run.balance().keep_t)
    assert [part["shard"] for part in run.manifest["parts"]] == [part["shard"] for part in whole.manifest["parts"]]


@pytest.mark.parametrize("workers", [1, 2])
def test_appended_shards(place: Path, workers: int) -> None:
    old = curate(place / "old", place / "metadata.parquet", place / "run")
    longer = append_shards(old, place / "new", place / "longer", workers=workers)
    whole = curate([place / "old", place / "new"], place / "metadata.parquet", place / "whole")
    assert_same(longer, whole)
    assert longer.fingerprint == whole.fingerprint
    assert open_run(place / "run").fingerprint == old.fingerprint
    assert append_shards(old, place / "new", place / "longer").fingerprint == longer.fingerprint


@pytest.mark.parametrize("way", ["append", "add"])
def test_a_part_is_the_same_bytes_whatever_the_batches_it_came_in(
    place: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(record, "BATCH_SIZE", 7)  # a pool is read in small batches, an old run's parts by row groups
    monkeypatch.setattr(stages, "PART_ROWS", 25)
    old = curate(place / "old", place / "metadata.parquet", place / "run")
    if way == "append":
        longer = append_shards(old, place / "new", place / "longer")
        whole = curate([place / "old", place / "new"], place / "metadata.parquet", place / "whole")
    else:
        longer = add_entries(old, [("birds", place / "birds.txt")], place / "longer")
        both = load_metadata(place / "metadata.parquet", ("birds", place / "birds.txt"))
        whole = curate(place / "old", both, place / "whole")
    assert [path.read_bytes() for path in longer.part_paths] == [path.read_bytes() for path in whole.part_paths]


def test_appended_shards_are_filtered_as_the_old_ones(place: Path) -> None:
    options: dict[str, Any] = {"filter": "url <> 'u/7'", "drop_duplicates": "text", "on_error": "skip", "seed": 5}
    (place / "old/bad.parquet").write_bytes(b"x")
    (place / "new/worse.parquet").write_bytes(b"x")
    old = curate(place / "old", place / "metadata.parquet", place / "run", **options)
    longer = append_shards(place / "run", place / "new", place / "longer")
    whole = curate([place / "old", place / "new"], place / "metadata.parquet", place / "whole", **options)
    assert_same(longer, whole)
    assert longer.totals["duplicates"] > old.totals["duplicates"] > 0
    assert longer.manifest["skipped"] == whole.manifest["skipped"] == {"unreadable_file": 2}
    assert longer.skipped.sort("path").equals(whole.skipped.sort("path"))
    assert longer.manifest["filtered"] == whole.manifest["filtered"]
    assert longer.manifest["duplicates"]["text"] == whole.manifest["duplicates"]["text"]


def test_appended_ids_that_the_old_run_has(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a\n")
    for name in ("1", "2", "3"):
        pl.DataFrame({"uid": ["x", "x", name], "text": ["a", f"a {name}", "a"]}).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    old = curate(tmp_path / "2.parquet", tmp_path / "m.txt", tmp_path / "run")
    longer = append_shards(old, [tmp_path / "1.parquet", tmp_path / "3.parquet"], tmp_path / "longer")
    identities = longer.identity_hashes
    assert len(np.unique(identities)) == 9
    np.testing.assert_array_equal(identities[:3], old.identity_hashes)
    assert longer.totals["repeated_ids"] == 5
    whole = curate([tmp_path / f"{n}.parquet" for n in (2, 1, 3)], tmp_path / "m.txt", tmp_path / "whole")
    assert set(identities.tolist()) == set(whole.identity_hashes.tolist())


def test_what_can_not_be_appended(place: Path) -> None:
    run = curate(place / "old", place / "metadata.parquet", place / "run")
    with pytest.raises(PoolError, match=r"0\.parquet: the run .* has this file already"):
        append_shards(run, place / "old/0.parquet", place / "longer")
    with pytest.raises(SettingsError, match="needs a folder of its own"):
        append_shards(run, place / "new", place / "run")
    with pytest.raises(RunError, match="not empty and no run"):
        append_shards(run, place / "new", place / "old")


@pytest.mark.parametrize("workers", [1, 2])
def test_added_entries(place: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    curate(place / "old", place / "metadata.parquet", place / "run")
    matched: list[int] = []
    original = matching.Matcher.__init__

    def counted(self: Any, metadata: Any, **settings: Any) -> None:
        matched.append(len(metadata))
        original(self, metadata, **settings)

    monkeypatch.setattr(matching.Matcher, "__init__", counted)
    larger = add_entries(place / "run", [("birds", place / "birds.txt")], place / "larger", workers=workers)
    if workers == 1:
        assert matched == [3]  # the new entries alone
    both = load_metadata(place / "metadata.parquet", ("birds", place / "birds.txt"))
    whole = curate(place / "old", both, place / "whole")
    assert_same(larger, whole)
    assert larger.fingerprint == whole.fingerprint
    assert larger.manifest["metadata"]["files"] == whole.manifest["metadata"]["files"]
    assert dict(larger.entries.select("entry", "sources").rows())["cat"] == ["wordnet", "birds"]
    again = append_shards(larger, place / "new", place / "both")
    assert_same(again, curate([place / "old", place / "new"], both, place / "everything"))


def test_added_sources_of_entries_that_are_there(place: Path) -> None:
    run = curate(place / "old", place / "metadata.parquet", place / "run")
    (place / "pets.txt").write_text("dog\ncat\n")
    larger = add_entries(run, [("pets", place / "pets.txt")], place / "larger")
    assert larger.source_names == ("wordnet", "wiki_unigram", "pets")
    assert larger.balance(sources=["pets"]).n_matches == run.balance(sources=["wordnet"]).n_matches
    with pytest.raises(MetadataError, match="has all of these entries, with these sources, already"):
        add_entries(larger, [("pets", place / "pets.txt")], place / "more")


def test_a_killed_extension_goes_on(place: Path) -> None:
    run = curate(place / "old", place / "metadata.parquet", place / "run")

    class Killed(Exception):
        pass

    def kill(progress: Any) -> None:
        if (progress.stage, progress.done) == ("match", 4):
            raise Killed

    with pytest.raises(Killed):
        append_shards(run, place / "new", place / "longer", on_progress=kill)
    with pytest.raises(RunError, match="unfinished"):
        open_run(place / "longer")
    whole = curate([place / "old", place / "new"], place / "metadata.parquet", place / "whole")
    assert append_shards(run, place / "new", place / "longer").fingerprint == whole.fingerprint


def test_parts_balanced_by_the_counts_of_the_whole(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = curate([place / "old", place / "new"], place / "metadata.parquet", place / "whole")
    parts = [curate(place / name, place / "metadata.parquet", place / f"part-{name}") for name in ("old", "new")]
    reference = place / "published.json"
    reference.write_text(json.dumps(dict(whole.entries.select("entry", "count").rows())))
    kept = []
    for part, counts in zip(parts, (whole.path, reference), strict=True):
        balance = part.balance(counts=counts_of_whole(counts, part.entries))
        kept.append(pl.DataFrame({"identity": part.identity_hashes, "keep_t": balance.keep_t}))
        assert main(["info", str(part.path), "-t", "20", "--counts", str(counts), "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["curated_pairs"] == balance.curated_size(20) != part.balance().curated_size(20)
        assert figures["head_entries"] == 4
    expected = pl.DataFrame({"identity": whole.identity_hashes, "keep_t": whole.balance().keep_t})
    assert pl.concat(kept).sort("identity").equals(expected.sort("identity"))
    with pytest.raises(MetadataError, match="4 entries have fewer pairs there, such as 'dog' with"):
        counts_of_whole(parts[1].path, whole.entries)


def test_an_export_by_the_counts_of_the_whole(place: Path) -> None:
    whole = curate([place / "old", place / "new"], place / "metadata.parquet", place / "whole")
    part = curate(place / "old", place / "metadata.parquet", place / "part")
    arguments = ["export", str(part.path), "-t", "20", "--format", "parquet", "--out"]
    assert main([*arguments, str(place / "own.parquet")]) == 0
    assert main([*arguments, str(place / "by.parquet"), "--counts", str(whole.path)]) == 0
    by, own = (pl.read_parquet(place / f"{name}.parquet") for name in ("by", "own"))
    expected = part.balance(counts=counts_of_whole(whole.path, part.entries)).curated_size(20)
    assert (len(by), len(own)) == (expected, part.balance().curated_size(20))
    assert len(by) < len(own)
    recipes = [json.loads(path.read_text()) for path in sorted(place.glob("by*recipe*.json"))]
    assert ["--counts", str(whole.path)] == recipes[0]["command"][5:7]


def test_the_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, longer, larger = (str(place / name) for name in ("run", "longer", "larger"))
    metadata = str(place / "metadata.parquet")
    assert main(["curate", str(place / "old"), "--metadata", metadata, "--out", run, "--workers", "1"]) == 0
    assert main(["append", run, f"{place}/new/{{3..4}}.parquet", "--out", longer, "--workers", "1"]) == 0
    assert main(["metadata", "add", longer, f"birds={place}/birds.txt", "--out", larger, "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["info", larger, "-t", "20", "--sources", "birds", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["read"], figures["entries"], figures["sources"]) == (300, 4, ["birds"])
    assert main(["metadata", "add", longer, f"birds={place}/birds.txt", "--out", larger, "--workers", "1"]) == 0
    assert main(["append", run, str(place / "old"), "--out", str(place / "x"), "--workers", "1"]) == 1
    assert "has this file already" in capsys.readouterr().err


LISTS = st.lists(
    st.tuples(st.lists(st.integers(0, 4), unique=True), st.lists(st.integers(0, 3), unique=True)), max_size=6
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(texts=LISTS)
def test_matches_are_joined_text_by_text(texts: list[tuple[list[int], list[int]]]) -> None:
    def matches(side: int) -> Matches:
        lists = [sorted(text[side]) for text in texts]
        indptr = np.cumsum([0, *(len(ids) for ids in lists)]).astype(np.int64)
        return Matches(indptr=indptr, entry_ids=np.array([i for ids in lists for i in ids], np.int32))

    joined = _joined(matches(0), matches(1), 5)
    assert joined.entry_ids.dtype == np.int32
    assert [joined.of(i).tolist() for i in range(len(texts))] == [
        sorted(old) + [5 + i for i in sorted(new)] for old, new in texts
    ]
