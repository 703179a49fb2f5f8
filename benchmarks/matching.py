"""Captions a second and core, beside the peers in the same run: `python benchmarks/matching.py`.

The reference is the authors' own way (facebookresearch/MetaCLIP, substr_matching.py): spacing in Python, one pyahocorasick
`iter` a caption, a set of ids. ahocorasick_rs and polars' `extract_many` join in where they are installed. Every peer's
matches are compared with ours on every caption; a difference ends the benchmark.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import common
import numpy as np
import polars as pl

from metaclip_core.matching import Matcher
from metaclip_core.metadata import Metadata, load_metadata
from metaclip_core.strings import to_arrow_strings

CSR = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real = common.REAL_CAPTIONS.exists()
    parser.add_argument("--captions", type=Path, default=common.REAL_CAPTIONS if real else None,
                        help="parquet with a column `text`; by default ../shared/data, else the embedded sample")  # fmt: skip
    parser.add_argument("--metadata", type=Path,
                        default=common.REAL_METADATA if real else common.ROOT / "data_samples/metadata.parquet")  # fmt: skip
    parser.add_argument("--limit", type=lambda text: int(float(text)), help="only the first N captions")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; each matcher's best counts (5)")
    parser.add_argument("--build-only", action="store_true", help="only the time and memory of building the matcher")
    options = parser.parse_args()
    if options.build_only:
        return report_build(options.metadata)

    texts = read_captions(options.captions)[: options.limit]
    metadata = load_metadata(options.metadata)
    print(common.describe_machine("pyahocorasick", "ahocorasick_rs", "polars"))
    print(f"{len(texts):,} captions of {np.mean([len(text.encode()) for text in texts]):.0f} bytes, ", end="")
    print(f"{len(metadata):,} entries; best of {options.repeats} interleaved rounds, processor time of one thread\n")

    matcher = Matcher(metadata)
    peers = {"pyahocorasick, the reference": reference(metadata)}
    for name, module, make in (
        ("ahocorasick_rs", "ahocorasick_rs", rust_automaton),
        ("polars extract_many", "polars", extract_many),
    ):
        if find_spec(module):
            peers[name] = make(metadata)
        else:
            print(f"{name}: not installed, left out", file=sys.stderr)

    arrow = to_arrow_strings(texts)
    expected = matcher.match(arrow)
    for name, peer in peers.items():
        indptr, ids = sorted_csr(peer(texts))
        if not (np.array_equal(indptr, expected.indptr) and np.array_equal(ids, expected.entry_ids)):
            raise SystemExit(f"{name} finds other matches")
    print(f"{len(expected.entry_ids):,} matches, the same from each matcher on each caption\n")

    tasks: dict[str, Callable[[], object]] = {name: lambda peer=peer: peer(texts) for name, peer in peers.items()}
    tasks["metaclip, Python strings"] = lambda: matcher.match(texts, n_threads=1)
    tasks["metaclip, Arrow strings"] = lambda: matcher.match(arrow, n_threads=1)
    timings = common.time_interleaved(tasks, repeats=options.repeats)
    slowest = timings["pyahocorasick, the reference"]
    rows = [
        (
            name,
            f"{len(texts) / timing.cpu_s:,.0f}",
            f"{slowest.cpu_s / timing.cpu_s:.1f}x",
            f"{slowest.wall_s / timing.wall_s:.1f}x",
        )
        for name, timing in timings.items()
    ]
    print(common.table(rows, ["matcher", "captions/s/core", "ratio, processor time", "ratio, clock"]))
    print(flush=True)
    subprocess.run([sys.executable, __file__, "--metadata", str(options.metadata), "--build-only"], check=True)


def read_captions(path: Path | None) -> list[str]:
    if path is not None:
        return pl.read_parquet(path, columns=["text"])["text"].fill_null("").to_list()
    from data_samples.pairs import generate_pairs

    return [pair.caption for pair in generate_pairs(n=50_000)]


def report_build(path: Path) -> None:
    """Print the seconds that building takes, with the kernels compiled, and by how much this fresh process grows."""
    metadata = load_metadata(path)
    warm = Metadata(entry_array=metadata.entry_array[:10], sources=metadata.sources[:10],
                    source_names=metadata.source_names, original_ids=metadata.original_ids[:10])  # fmt: skip
    Matcher(warm).match(["a photo"])
    common.release_freed_memory()
    before, cpu = common.resident_mb(), time.process_time()
    matcher = Matcher(metadata)
    cpu = time.process_time() - cpu
    peak = common.resident_mb(peak=True) - before
    common.release_freed_memory()
    print(
        f"matcher of {len(metadata):,} entries: built in {cpu:.2f} s; {common.resident_mb() - before:.0f} MB beyond the ",
        end="",
    )
    print(f"entries, at most {peak:.0f} MB while it is built")
    del matcher


def spacing(text: str) -> str:
    text = f" {text} "
    for mark in ",.;:?!`":
        text = text.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        text = text.replace(blank, " ")
    return text


def reference(metadata: Metadata) -> Callable[[list[str]], list[list[int]]]:
    import ahocorasick

    before, start = common.resident_mb(), time.perf_counter()
    automaton = ahocorasick.Automaton()
    for entry_id, entry in enumerate(metadata.entries):
        key = f" {entry} "
        automaton.add_word(key, (entry_id, key))
    automaton.make_automaton()
    print(f"pyahocorasick: built in {time.perf_counter() - start:.1f} s, {common.resident_mb() - before:.0f} MB")

    def match(text: str) -> list[int]:
        matched = set()
        for _, (entry_id, _) in automaton.iter(spacing(text)):
            matched.add(entry_id)
        return list(matched)

    return lambda texts: [match(text) for text in texts]


def rust_automaton(metadata: Metadata) -> Callable[[list[str]], list[list[int]]]:
    import ahocorasick_rs

    automaton = ahocorasick_rs.AhoCorasick([f" {entry} " for entry in metadata.entries])

    def match(text: str) -> list[int]:
        return list({found[0] for found in automaton.find_matches_as_indexes(spacing(text), overlapping=True)})

    return lambda texts: [match(text) for text in texts]


def extract_many(metadata: Metadata) -> Callable[[list[str]], list[list[int]]]:
    """polars gives the found strings, and builds its automaton at each call, which counts."""
    patterns = [f" {entry} " for entry in metadata.entries]
    ids = {pattern: entry_id for entry_id, pattern in enumerate(patterns)}
    replaced = {mark: f" {mark} " for mark in ",.;:?!`"} | dict.fromkeys("\t\n\r", " ")

    def match(texts: list[str]) -> list[list[int]]:
        spaced = pl.select(pl.format(" {} ", pl.Series(texts).str.replace_many(replaced))).to_series()
        found = spaced.str.extract_many(pl.Series(patterns).implode(), overlapping=True).list.unique()
        return [[ids[pattern] for pattern in row] for row in found.to_list()]

    return match


def sorted_csr(rows: Iterable[Iterable[int]]) -> CSR:
    lists = [sorted(row) for row in rows]
    indptr = np.cumsum([0, *(len(row) for row in lists)])
    return indptr, np.array([entry_id for row in lists for entry_id in row], np.int32)


if __name__ == "__main__":
    main()
