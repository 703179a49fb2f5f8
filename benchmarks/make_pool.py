"""Make a pool of any size and metadata for it: `python benchmarks/make_pool.py --pairs 10_000_000 --out DIR`.

DIR/pool/NNNNN.parquet   `uid, url, text`, a million pairs a file, as DataComp's tables are
DIR/metadata.parquet     `entry, sources` in the paper's proportions, unless --metadata names a file to draw from

A caption is a phrase out of the sample's grammar (data_samples/) with entries of the metadata around it. The entries
follow a Zipf law, so the pool has the head and the tail that balancing is about: about six matches a pair. The same
seed gives the same captions.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import common
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FILE_PAIRS = 1_000_000
GROUP_PAIRS = 125_000  # of a row group
ZIPF_EXPONENT = 1.1  # of the entries that captions are made around
BANK_CAPTIONS = 40_000  # captions of the grammar that phrases are cut from

# The paper's Table 1: how many entries each source adds.
COMPOSITION = {"wordnet": 86_654, "wiki_unigram": 251_465, "wiki_bigram": 100_646, "wiki_title": 61_235}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pairs", type=lambda text: int(float(text)), default=1_000_000, metavar="N")
    parser.add_argument("--entries", type=lambda text: int(float(text)), default=500_000, metavar="N")
    parser.add_argument("--metadata", type=Path, help="draw from this file instead of making one")
    parser.add_argument("--seed", type=int, default=2309)
    options = parser.parse_args()

    start = time.perf_counter()
    if options.metadata:
        metadata_path = options.metadata
    else:
        metadata_path = options.out / "metadata.parquet"
        options.out.mkdir(parents=True, exist_ok=True)
        make_metadata(options.entries, options.seed).write_parquet(metadata_path)
    make_pool(options.out / "pool", metadata_path, options.pairs, options.seed)
    print(common.describe_machine("pyarrow"))
    print(f"{options.pairs:,} pairs in {time.perf_counter() - start:.0f} s: {options.out / 'pool'}")
    print(f"metadata: {metadata_path}; {matches_per_pair(options.out / 'pool', metadata_path):.2f} matches a pair")


def make_pool(folder: Path, metadata_path: Path, n_pairs: int, seed: int) -> None:
    """Write the pool file by file; memory doesn't depend on its size."""
    folder.mkdir(parents=True, exist_ok=True)
    phrases, noise = phrase_bank(seed)
    entries = pl.read_parquet(metadata_path)["entry"]
    entries = entries.sample(fraction=1, shuffle=True, seed=seed).to_arrow().cast(pa.large_string())
    for number, first in enumerate(range(0, n_pairs, FILE_PAIRS)):
        rng = np.random.default_rng([seed, number])
        n = min(FILE_PAIRS, n_pairs - first)
        texts = captions(rng, n, phrases, noise, entries)
        uids = hex_ids(rng, n)
        frame = pl.select(pl.format("https://images.example/{}.jpg", pl.int_range(first, first + n)))
        urls = frame.to_series().to_arrow().cast(pa.large_string())
        with pq.ParquetWriter(folder / f"{number:05d}.parquet", TABLE, compression="zstd") as writer:
            writer.write_table(pa.table([uids, urls, texts], schema=TABLE), row_group_size=GROUP_PAIRS)
        if sys.stderr.isatty():
            print(f"\r{first + n:,} pairs", end="", file=sys.stderr)


TABLE = pa.schema([(name, pa.large_string()) for name in ("uid", "url", "text")])


def captions(
    rng: np.random.Generator, n: int, phrases: pa.Array, noise: pa.Array, entries: pa.Array
) -> pa.LargeStringArray:
    """n captions: one in eight is noise; the others have a phrase, and up to two entries before and behind it."""
    kind = rng.random(n)
    before = entries.take(pa.array(zipf_ranks(rng, n, len(entries)), mask=rng.random(n) > 0.55))
    behind = entries.take(pa.array(zipf_ranks(rng, n, len(entries)), mask=rng.random(n) > 0.75))
    phrase = phrases.take(pa.array(rng.integers(0, len(phrases), n)))
    mark = pa.array([" ", ", ", " - "]).take(pa.array(rng.choice(3, n, p=[0.7, 0.2, 0.1]))).cast(pa.large_string())
    told = pc.binary_join_element_wise(before, phrase, behind, mark, null_handling="skip")
    alone = noise.take(pa.array(rng.integers(0, len(noise), n)))
    return pc.if_else(pa.array(kind < 0.125), alone, told)


def zipf_ranks(rng: np.random.Generator, n: int, n_ranks: int) -> np.ndarray:
    """n ranks (0 first) with a density that falls as rank ** -ZIPF_EXPONENT, by the inverse of its integral."""
    power = 1 - ZIPF_EXPONENT
    ranks = ((n_ranks + 1) ** power - 1) * rng.random(n) + 1
    return np.minimum(ranks ** (1 / power) - 1, n_ranks - 1).astype(np.int64)


def hex_ids(rng: np.random.Generator, n: int) -> pa.LargeStringArray:
    """n ids of 32 hex digits."""
    digits = rng.bytes(16 * n).hex().encode()
    offsets = pa.py_buffer(np.arange(0, 32 * n + 1, 32, dtype=np.int64))
    return pa.LargeStringArray.from_buffers(n, offsets, pa.py_buffer(digits))


def phrase_bank(seed: int) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """(phrases of one to eight words cut from the grammar's captions, its captions that are noise)."""
    from data_samples.pairs import generate_pairs

    rng = np.random.default_rng(seed)
    phrases, noise = [], []
    for pair in generate_pairs(seed=seed, n=BANK_CAPTIONS):
        if pair.noise:
            noise.append(pair.caption)
            continue
        words = pair.caption.split(" ")
        for _ in range(3):
            length = rng.integers(1, 9)
            begin = rng.integers(0, max(1, len(words) - length + 1))
            phrases.append(" ".join(words[begin : begin + length]))
    return pa.array(phrases, pa.large_string()), pa.array(noise, pa.large_string())


def make_metadata(n_entries: int, seed: int) -> pl.DataFrame:
    """The sample's metadata, filled up to `n_entries` in the paper's proportions with words that look like words.

    WordNet's share is the real thing. New words are glued from parts of its words; bigrams and titles are pairs of words.
    """
    rng = np.random.default_rng(seed)
    sample = pl.read_parquet(common.ROOT / "data_samples/metadata.parquet")
    wanted = {name: round(n_entries * n / sum(COMPOSITION.values())) for name, n in COMPOSITION.items()}
    words = [entry for entry in sample["entry"].to_list() if entry.isascii() and entry.isalpha() and len(entry) > 3]
    frames = []
    known: set[str] = set()
    for name, n in wanted.items():
        # Each source adds its entries in the paper's order, and only those that are not there yet.
        own = sample.filter(pl.col("sources").list.contains(name) & ~pl.col("entry").is_in(list(known)))["entry"]
        chosen = own.sample(min(n, len(own)), seed=seed, shuffle=True).to_list()
        known.update(chosen)
        while len(chosen) < n:
            for entry in invent(rng, name, words, n - len(chosen)):
                if entry not in known:
                    known.add(entry)
                    chosen.append(entry)
        if name == "wiki_unigram":
            words += chosen
        frames.append(pl.DataFrame({"entry": chosen, "sources": [[name]] * n}))
    return pl.concat(frames)


def invent(rng: np.random.Generator, source: str, words: list[str], n: int) -> list[str]:
    first, second = (rng.integers(0, len(words), n) for _ in range(2))
    if source in ("wordnet", "wiki_unigram"):
        return [
            words[a][: len(words[a]) // 2 + 1] + words[b][len(words[b]) // 2 :]
            for a, b in zip(first, second, strict=True)
        ]
    pairs = [f"{words[a]} {words[b]}" for a, b in zip(first, second, strict=True)]
    return [pair.title() for pair in pairs] if source == "wiki_title" else pairs


def matches_per_pair(folder: Path, metadata_path: Path) -> float:
    """Of the first 100,000 pairs."""
    from metaclip_core import load_metadata, match_texts

    batch = next(pq.ParquetFile(folder / "00000.parquet").iter_batches(100_000, columns=["text"]))
    matches = match_texts(batch.column(0), load_metadata(metadata_path))
    return len(matches.entry_ids) / len(matches)


if __name__ == "__main__":
    main()
