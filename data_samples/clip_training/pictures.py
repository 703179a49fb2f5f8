"""The training pictures: drawn once, in chunks, by all cores; drawn chunks are kept, so an interrupted run goes on."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from data_samples.clip_training.facts import KINDS, mood_of
from data_samples.drawing import draw_picture
from data_samples.pairs import Pair, generate_pairs
from data_samples.scenes import Scene
from metaclip_core.storage import make_folder, write_atomically

__all__ = ["Recipe", "draw_pictures"]

CHUNK = 500


def _shows_several(scene: Scene) -> bool:
    return any(thing.count > 1 for thing in scene.things)


def _shows_a_boat_at_night(scene: Scene) -> bool:
    return mood_of(scene) == "night" and any(thing.concept in KINDS["boat"] for thing in scene.things)


# What chance shows too seldom to be learned.
SUBJECTS: dict[str, Callable[[Scene], bool]] = {
    "any": lambda _: True,
    "several": _shows_several,
    "boat-at-night": _shows_a_boat_at_night,
}


@dataclass(frozen=True)
class Recipe:
    """Pairs to draw: the first `n` of the train split in the sequence that `seed` and `flat` name, `side` pixels wide.

    Only those of one of the `SUBJECTS`.
    """

    seed: int
    n: int
    flat: bool
    side: int
    subject: str = "any"

    @property
    def name(self) -> str:
        return f"{self.subject}-{'flat' if self.flat else 'zipf'}-{self.seed}-{self.side}px"

    def pairs(self) -> Iterator[Pair]:
        """The pairs, undrawn. About one in seven of a sequence is of the test split."""
        endless = generate_pairs(seed=self.seed, n=10**9, noise=False, flat=self.flat)
        fit = SUBJECTS[self.subject]
        return islice((pair for pair in endless if pair.split == "train" and fit(pair.scene)), self.n)


def _drawn(side: int, pair: Pair) -> np.ndarray:
    # Drawn larger and reduced as a model's preprocessing reduces the sample's 160 pixels.
    picture = draw_picture(pair.scene, seed=pair.picture_seed, side=side)
    return np.asarray(picture.convert("RGB"), np.uint8)


def _draw_chunk(item: tuple[Path, int, list[Pair]]) -> Path:
    path, side, pairs = item
    chunk = np.stack([_drawn(side, pair) for pair in pairs])
    with write_atomically(path) as file:
        np.save(file, chunk)
    return path


def draw_pictures(recipe: Recipe, work: Path, *, workers: int) -> Iterator[Path]:
    """Draw what is missing under `work`; yields each chunk's file, uint8 (up to 500, side, side, 3), in order."""
    folder = work / recipe.name
    make_folder(folder)
    pairs = recipe.pairs()
    items, paths = [], []
    for number, start in enumerate(range(0, recipe.n, CHUNK)):
        chunk = list(islice(pairs, min(CHUNK, recipe.n - start)))
        paths.append(folder / f"{number:05d}.npy")
        if not paths[-1].exists():
            items.append((paths[-1], recipe.side, chunk))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        drawn = pool.imap(_draw_chunk, items)
        missing = {item[0] for item in items}
        for path in paths:
            if path in missing:
                next(drawn)
            yield path
