"""How well the small CLIP finds things in the sample: `python -m data_samples.evaluate_clip`.

Training draws its pictures from other seeds, so it has seen no pair of the sample; the test split also holds nine
combinations (a dog in the desert, a green car) that training never shows. Beside the model: keyword search on the captions,
and chance.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data_samples import SHARDS
from data_samples.captions import tell_scene
from data_samples.clip_training.facts import Fact, Truths
from data_samples.colours import BACKGROUNDS
from data_samples.concepts import NUMBER_WORDS, load_concepts, with_article
from data_samples.scenes import Scene, Thing
from data_samples.settings import HELD_OUT_BACKGROUNDS, HELD_OUT_COLOURS, HELD_OUT_PLACES, PLACES
from metaclip_core.embedding.encoder import Encoder, load_encoder
from metaclip_core.embedding.models import model_named
from metaclip_core.embedding.pictures import decode_picture

__all__ = [
    "Gallery",
    "concept_queries",
    "counted_queries",
    "held_out_queries",
    "load_gallery",
    "recorded_scene",
    "setting_queries",
]

AT = 10
MIN_PICTURES = 10
EXAMPLES = {
    "a red apple": Fact(concept="apple", colour="red"),
    "two dogs": Fact(concept="dog", count=2),
    "a boat at night": Fact(kind="boat", mood="night"),
}

Query = tuple[str, Fact]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures to search, as vectors (n, dim), with their keys, scenes and captions; `noise` where a caption is none."""

    vectors: np.ndarray
    keys: list[str]
    scenes: list[Scene]
    captions: list[str]
    noise: np.ndarray
    is_test: np.ndarray

    def only(self, mask: np.ndarray) -> Gallery:
        rows = np.flatnonzero(mask)
        return Gallery(
            self.vectors[rows],
            [self.keys[i] for i in rows],
            [self.scenes[i] for i in rows],
            [self.captions[i] for i in rows],
            self.noise[rows],
            self.is_test[rows],
        )

    @cached_property
    def truths(self) -> Truths:
        return Truths(self.scenes)

    def shows(self, fact: Fact) -> np.ndarray:
        """Which pictures the fact is true of: bool (n,)."""
        return self.truths.of([fact], np.arange(len(self.scenes)))[0]

    @cached_property
    def words(self) -> list[set[str]]:
        return [_words(caption) for caption in self.captions]

    @cached_property
    def rarity(self) -> Callable[[str], float]:
        n_texts = Counter(word for words in self.words for word in words)
        return lambda word: float(np.log(len(self.words) / n_texts[word])) if n_texts[word] else 0.0

    def by_model(self, encoder: Encoder, query: str) -> np.ndarray:
        """A score a picture: the cosine."""
        return self.vectors @ encoder.encode_query(query)

    def by_keywords(self, query: str) -> np.ndarray:
        """A score a picture: the words its caption shares with the query, rare ones counting more; ties by chance."""
        asked = _words(query)
        scores = np.array([sum(self.rarity(word) for word in words & asked) for words in self.words])
        return scores + np.random.default_rng(0).random(len(scores)) * 1e-6


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def load_gallery(encoder: Encoder, shards: Path = SHARDS, *, only_test: bool = False) -> Gallery:
    """The pictures of a folder of shards (the sample's), embedded."""
    rows = [row for path in sorted(shards.glob("*.tar")) for row in _rows(path) if row[0] or not only_test]
    is_test, keys, scenes, captions, noise, pictures = zip(*rows, strict=True)
    vectors = [
        encoder.encode_pictures(
            [decode_picture(data, "a picture of the sample") for data in pictures[start : start + 256]]
        )
        for start in range(0, len(pictures), 256)
    ]
    return Gallery(
        np.concatenate(vectors), list(keys), list(scenes), list(captions), np.array(noise), np.array(is_test)
    )


def _rows(path: Path) -> Iterator[tuple[bool, str, Scene, str, bool, bytes]]:
    """(of the test split, key, scene, caption, is noise, picture) of each pair of a shard."""
    files: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            files.setdefault(key, {})[extension] = tar.extractfile(member).read()  # type: ignore[union-attr]
    for key, pair in files.items():
        told = json.loads(pair["json"])
        yield (
            told["split"] == "test",
            key,
            recorded_scene(told["scene"]),
            told["caption"],
            bool(told["noise"]),
            pair["webp"],
        )


def recorded_scene(told: dict[str, Any]) -> Scene:
    """The scene that a json member tells of (`make_shards.scene_record`), without its glyphs."""
    things = zip(told["concepts"], told["counts"], told["colours"], strict=True)
    return Scene(
        things=tuple(Thing(concept, "", count, colour) for concept, count, colour in things),
        layout=told["layout"],
        place=told.get("place"),
        look=told.get("look"),
        background=tuple(told["background"].split(" and ")) if told["background"] else (),
        size=told.get("size"),
    )


def concept_queries(gallery: Gallery) -> list[Query]:
    """Each concept that at least ten pictures show: "a dog"."""
    facts = [(with_article(c.name) if c.plural else c.name, Fact(concept=c.name)) for c in load_concepts()]
    return [(text, fact) for text, fact in facts if gallery.shows(fact).sum() >= MIN_PICTURES]


def counted_queries(gallery: Gallery) -> list[Query]:
    """Each concept in a number that at least ten pictures show: "two dogs"."""
    facts = [
        (f"{NUMBER_WORDS[n]} {c.plural}", Fact(concept=c.name, count=n))
        for c in load_concepts()
        if c.plural
        for n in range(2, len(NUMBER_WORDS))
    ]
    return [(text, fact) for text, fact in facts if gallery.shows(fact).sum() >= MIN_PICTURES]


def setting_queries() -> tuple[list[Query], list[Query]]:
    """(each place: "on the beach"; each background: "a red background")."""
    places = [(place.phrases[0], Fact(place=name)) for name, place in PLACES.items()]
    backgrounds = [(f"{with_article(colour)} background", Fact(background=colour)) for colour in BACKGROUNDS]
    return places, backgrounds


def held_out_queries() -> list[Query]:
    """The combinations that training never shows."""
    colours = [(f"a {colour} {name}", Fact(concept=name, colour=colour)) for name, colour in sorted(HELD_OUT_COLOURS)]
    places = [
        (f"a {name} {PLACES[place].phrases[0]}", Fact(concept=name, place=place))
        for name, place in sorted(HELD_OUT_PLACES)
    ]
    backgrounds = [
        (f"a {name} on {with_article(colour)} background", Fact(concept=name, background=colour))
        for name, colour in sorted(HELD_OUT_BACKGROUNDS)
    ]
    return [*colours, *places, *backgrounds]


def precision(gallery: Gallery, rank: Callable[[str], np.ndarray], queries: list[Query]) -> list[float]:
    """Of each query, the share of the first ten pictures that fit; of fewer where fewer would fit, but of one at least."""
    shares = []
    for text, fact in queries:
        shows = gallery.shows(fact)
        n = max(1, min(AT, int(shows.sum())))
        shares.append(float(shows[np.argsort(-rank(text), kind="stable")[:n]].mean()))
    return shares


def chance(gallery: Gallery, queries: list[Query]) -> list[float]:
    return [float(gallery.shows(fact).mean()) for _, fact in queries]


def recall(gallery: Gallery, rank: Callable[[str], np.ndarray]) -> dict[int, float]:
    """How often a pair is among the first 1, 5, 10 when its scene is told once more, in other words."""
    rows = np.flatnonzero(~gallery.noise)
    ranks = []
    for row in rows:
        scores = rank(tell_scene(random.Random(f"again:{row}"), gallery.scenes[row]))
        ranks.append(int((scores > scores[row]).sum()))
    return {k: float(np.mean(np.array(ranks) < k)) for k in (1, 5, 10)}


def _report(name: str, gallery: Gallery, encoder: Encoder) -> None:
    places, backgrounds = setting_queries()
    concepts, counted = concept_queries(gallery), counted_queries(gallery)
    ways = {"model": lambda text: gallery.by_model(encoder, text), "keywords": gallery.by_keywords}
    print(f"\n{name}: {len(gallery.scenes):,} pairs, {int(gallery.noise.sum()):,} of them with noise for a caption\n")
    print("| | model | keywords | chance |\n| --- | --- | --- | --- |")
    rows = [
        (f"precision@10, {len(concepts)} concepts of at least {MIN_PICTURES} pictures", concepts),
        (f"precision@10, {len(counted)} numbers of a concept of at least {MIN_PICTURES} pictures", counted),
        ("precision@10, 12 places", places),
        ("precision@10, 12 background colours", backgrounds),
        ("precision@10, 9 combinations never seen in training", held_out_queries()),
        *((f'precision@10, "{text}"', [(text, fact)]) for text, fact in EXAMPLES.items()),
    ]
    for label, asked in rows:
        queries = [(text, fact) for text, fact in asked if gallery.shows(fact).any()]
        if not queries:
            print(f"| {label} | no such picture | | |")
            continue
        shares = [np.mean(precision(gallery, rank, queries)) for rank in ways.values()]
        print(f"| {label} | {' | '.join(f'{share:.2f}' for share in [*shares, np.mean(chance(gallery, queries))])} |")


def _report_recall(gallery: Gallery, encoder: Encoder) -> None:
    by_model = recall(gallery, lambda text: gallery.by_model(encoder, text))
    by_keywords = recall(gallery, gallery.by_keywords)
    n = len(gallery.scenes)
    for k in by_model:
        print(f"| recall@{k}, captions told anew | {by_model[k]:.2f} | {by_keywords[k]:.2f} | {k / n:.4f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="metaclip-sample, or local-dir:FOLDER")
    parser.add_argument(
        "--shards", type=Path, default=SHARDS, help="other pairs: what make_shards wrote with another seed"
    )
    options = parser.parse_args()
    encoder = load_encoder(model_named(options.model))
    gallery = load_gallery(encoder, options.shards)
    held_out = gallery.only(gallery.is_test)
    _report("The test split", held_out, encoder)
    _report_recall(held_out, encoder)
    _report("All pairs", gallery, encoder)


if __name__ == "__main__":
    main()
