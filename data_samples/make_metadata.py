"""Builds the sample's metadata with all four sources.

    python -m data_samples.make_metadata [--wordnet /usr/share/wordnet] [--out data_samples/metadata.parquet]

The WordNet part is the real one. The three Wikipedia parts are stand-ins, because their dumps are too large to ship:
n-grams counted from the sample's own descriptive captions, and `titles.txt`.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import polars as pl

from data_samples import METADATA
from data_samples.pairs import N_PAIRS, SEED, generate_pairs
from metaclip_core.errors import MetadataError
from metaclip_core.metadata.wordnet import wordnet_entries

__all__ = ["build_metadata", "main", "stand_in_bigrams", "stand_in_titles", "stand_in_unigrams"]

# The paper's thresholds (a count of 100, a PMI of 30) are for billions of words; these are for tens of thousands.
_MIN_UNIGRAM_COUNT = 3
_MIN_BIGRAM_COUNT = 3
_MIN_PMI = 4.0

# What any Wikipedia count would hold, whether or not our captions use it.
_FUNCTION_WORDS = """
a about above across after again against all almost alone along already also although always am among an and another
any anybody anyone anything are around as at away back be became because become been before behind being below beneath
beside besides between beyond both but by can cannot could did do does doing done down during each either else enough
even ever every everybody everyone everything except far few for from further had has have having he her here hers
herself him himself his how however i if in indeed inside instead into is it its itself just last least less lot many
may me might mine more most much must my myself near neither never next no nobody none nor not nothing now nowhere of
off often on once one only onto or other others our ours ourselves out outside over own per perhaps quite rather really
same several shall she should since so some somebody someone something sometimes still such than that the their theirs
them themselves then there therefore these they this those though through throughout thus to together too toward
towards under underneath until up upon us very via was we well were what whatever when where wherever whether which
while who whoever whole whom whose why will with within without would yes yet you your yours yourself yourselves
"""

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


def _word_runs(texts: Iterable[str]) -> list[list[str]]:
    """Lower-case words, in runs that no punctuation interrupts."""
    return [_WORD.findall(part) for text in texts for part in re.split(r"[,.;:?!|]| - ", text.lower())]


def stand_in_unigrams(texts: Iterable[str]) -> list[str]:
    """Words of the texts seen at least three times, most frequent first, then English function words."""
    counts = Counter(word for run in _word_runs(texts) for word in run)
    frequent = sorted((word for word, n in counts.items() if n >= _MIN_UNIGRAM_COUNT), key=lambda w: (-counts[w], w))
    return list(dict.fromkeys([*frequent, *sorted(_FUNCTION_WORDS.split())]))


def stand_in_bigrams(texts: Iterable[str]) -> list[str]:
    """Pairs of neighbouring words by pointwise mutual information (bits), highest first."""
    runs = _word_runs(texts)
    words = Counter(word for run in runs for word in run)
    pairs = Counter(pair for run in runs for pair in pairwise(run))
    n_words, n_pairs = words.total(), pairs.total()

    def pmi(pair: tuple[str, str]) -> float:
        return math.log2(pairs[pair] / n_pairs) - math.log2(words[pair[0]] / n_words * (words[pair[1]] / n_words))

    scored = [(pmi(pair), " ".join(pair)) for pair, n in pairs.items() if n >= _MIN_BIGRAM_COUNT]
    return [text for score, text in sorted(scored, key=lambda item: (-item[0], item[1])) if score >= _MIN_PMI]


def stand_in_titles() -> list[str]:
    """Titles of articles that everyone knows."""
    return (Path(__file__).parent / "titles.txt").read_text(encoding="utf-8").splitlines()


def build_metadata(wordnet_folder: Path, *, seed: int = SEED, n_pairs: int = N_PAIRS) -> pl.DataFrame:
    """Entries in the order of the paper's table 1, each with every source that it belongs to."""
    # Only captions that describe: a count over file names and prices would make every kind of noise an entry.
    texts = [pair.caption for pair in generate_pairs(seed=seed, n=n_pairs) if pair.noise is None]
    parts = {
        "wordnet": wordnet_entries(wordnet_folder),
        "wiki_unigram": stand_in_unigrams(texts),
        "wiki_bigram": stand_in_bigrams(texts),
        "wiki_title": stand_in_titles(),
    }
    sources: dict[str, list[str]] = {}
    for source, entries in parts.items():
        for entry in entries:
            sources.setdefault(entry, []).append(source)
    return pl.DataFrame(
        {"entry": list(sources), "sources": list(sources.values())},
        schema={"entry": pl.String, "sources": pl.List(pl.String)},
    )


def main(argv: list[str] | None = None) -> int:
    """The command; 0 when the file is written, 1 when there is no WordNet to read."""
    parser = argparse.ArgumentParser(description="Build the sample's metadata.")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder of data.noun ...")
    parser.add_argument("--out", type=Path, default=METADATA)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pairs", type=int, default=N_PAIRS)
    arguments = parser.parse_args(argv)
    try:
        table = build_metadata(arguments.wordnet, seed=arguments.seed, n_pairs=arguments.pairs)
    except MetadataError as error:
        print(f"make_metadata: {error}", file=sys.stderr)
        return 1
    table.write_parquet(arguments.out, compression="zstd", compression_level=19)
    print(f"{arguments.out.name}: {table.height:,} entries, {arguments.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
