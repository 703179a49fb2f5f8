"""Filters, all combinations of them, against a plain loop over the pairs."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from metaclip_core.errors import SettingsError
from metaclip_core.search.filters import Filters

from .worlds import ENTRIES, N, World

STATUSES = ["all", "kept", "dropped"]
ENTRY = [None, "dog", "boat"]
SOURCE = [None, "wordnet", "wiki_title"]
WORDS = [None, " ", "cat", "CAT dog", "tree", "a.b", "日本", "axb", "do", ".*", "dog cat boat red"]
SETTINGS = [(None, None), (("wordnet",), 3)]


@pytest.mark.parametrize(("sources", "seed"), SETTINGS)
def test_every_combination(world: World, sources: tuple[str, ...] | None, seed: int | None) -> None:
    balance = world.run.balance(sources=sources, seed=seed)
    t = float(np.median(balance.keep_t[np.isfinite(balance.keep_t)]))
    matched = [{entry for entry in ENTRIES if f" {entry} " in f" {text} "} for text in world.texts]
    seen = set()
    for status, entry, source, words in itertools.product(STATUSES, ENTRY, SOURCE, WORDS):
        mask = Filters(status=status, entry=entry, source=source, words=words).mask(world.run, balance, t)
        expected = [
            (status == "all" or (balance.keep_t[i] < t) == (status == "kept"))
            and (entry is None or entry in matched[i])
            and (source is None or any(source in ENTRIES[name] for name in matched[i]))
            and all(
                word.lower() in re.split(r"\s", text.lower()) for word in (words or "").split()
            )
            for i, text in enumerate(world.texts)
        ]  # fmt: skip
        if mask is None:
            assert (status, entry, source, (words or "").strip()) == ("all", None, None, "")
            mask = np.ones(N, np.bool_)
        assert mask.dtype == np.bool_
        assert mask.tolist() == expected, (status, entry, source, words)
        seen.add(int(mask.sum()))
    assert len(seen) > 20  # the filters do something


def test_words_are_whole_words_whatever_stands_between(world: World) -> None:
    import polars as pl

    from metaclip_core.search import filters

    class Stand:
        def pairs(self, columns: list[str]) -> pl.LazyFrame:
            return pl.LazyFrame({"text": ["Cat!", "concat", "the cat's", "cat-walk", "a (cat)", None, "CATS", "cat"]})

    found = filters._pairs_with_words(Stand(), ["cat"])  # type: ignore[arg-type]
    assert found.tolist() == [True, False, True, True, True, False, False, True]


def test_what_the_run_does_not_have(world: World) -> None:
    balance = world.run.balance()
    with pytest.raises(SettingsError, match="unknown status 'lost'; there are: all, kept, dropped"):
        Filters(status="lost")
    with pytest.raises(SettingsError, match="has no entry 'Dog'; entries are case-sensitive"):
        Filters(entry="Dog").mask(world.run, balance, 1)
    with pytest.raises(SettingsError, match="unknown source 'web'; this run has wordnet, wiki_"):
        Filters(source="web").mask(world.run, balance, 1)
    with pytest.raises(SettingsError, match="threshold t must be 0 or more"):
        Filters(status="kept").mask(world.run, balance, -1)


def test_pairs_of_an_entry_are_as_many_as_it_counts(world: World) -> None:
    counts = dict(world.run.entries.select("entry", "count").iter_rows())
    for entry in ENTRIES:
        mask = Filters(entry=entry).mask(world.run, world.run.balance(), 1.0)
        assert mask is not None
        assert int(mask.sum()) == counts[entry]
