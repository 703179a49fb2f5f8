"""What each picture shows, as labels: what the picture tower learns before it meets a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_samples.clip_training.facts import mood_of
from data_samples.colours import BACKGROUNDS
from data_samples.concepts import load_concepts
from data_samples.scenes import Scene
from data_samples.settings import PLACES

__all__ = ["GROUPS", "label_matrix"]

_MOODS = ("night", "sunset", "rain", "fog", "spring", "autumn", "-")
_MOST_OF_A_KIND = 6

GROUPS: dict[str, tuple[int, float]] = {
    "concepts": (len(load_concepts()), 1.0),
    "setting": (len(PLACES) + len(BACKGROUNDS), 0.3),
    "colours": (len(BACKGROUNDS), 0.3),
    "number": (_MOST_OF_A_KIND + 1, 0.6),
    "mood": (len(_MOODS), 0.15),
}
"""The groups of labels in the order of the columns: how many, and the weight of their loss. In each, labels compete."""


def label_matrix(scenes: Sequence[Scene]) -> np.ndarray:
    """uint8 (n_scenes, all labels), 1 where a label is true."""
    concepts = {concept.name: i for i, concept in enumerate(load_concepts())}
    settings = {name: i for i, name in enumerate([*PLACES, *(f"on {colour}" for colour in BACKGROUNDS)])}
    colours = {name: i for i, name in enumerate(BACKGROUNDS)}
    starts = dict(zip(GROUPS, np.cumsum([0, *(size for size, _ in GROUPS.values())]).tolist(), strict=False))
    labels = np.zeros((len(scenes), sum(size for size, _ in GROUPS.values())), np.uint8)
    for row, scene in zip(labels, scenes, strict=True):
        for thing in scene.things:
            row[starts["concepts"] + concepts[thing.concept]] = 1
            # Of a kind, not of all: a dog beside a cat is no picture for "two dogs".
            row[starts["number"] + thing.count] = 1
            if thing.colour in colours:
                row[starts["colours"] + colours[thing.colour]] = 1
        for name in [scene.place] if scene.place else [f"on {colour}" for colour in scene.background]:
            row[starts["setting"] + settings[name]] = 1
        if not scene.things:
            row[starts["number"]] = 1
        row[starts["mood"] + _MOODS.index(mood_of(scene) or "-")] = 1
    return labels
