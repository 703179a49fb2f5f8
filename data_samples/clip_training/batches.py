"""Batches without end: pictures cut a little differently each time, captions and facts told anew."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer

from data_samples.captions import tell_scene
from data_samples.clip_training.facts import Truths, draw_facts, tell_fact
from data_samples.clip_training.labels import label_matrix
from data_samples.scenes import Scene

__all__ = ["Batch", "Told", "batches", "normalised"]

_JUNK_SHARE = 0.04  # of captions that get a made-up word, so that words never seen say little
_LONGEST_CAPTION, _LONGEST_FACT = 26, 15  # tokens; few are longer, and each costs all of a batch
_GROUP = 4  # pictures of one concept in a row: told apart only by number, colour and place
_ZOOM = 1.14  # up to this factor a picture is enlarged before it is cut
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1) * 255
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1) * 255


@dataclass(frozen=True)
class Batch:
    """`images` float32 (n, 3, side, side) and their `labels` uint8 (n, labels); `told` where they come with texts."""

    images: torch.Tensor
    labels: torch.Tensor
    told: Told | None


@dataclass(frozen=True)
class Told:
    """`captions`, `facts`: int64 tokens, cut to the longest; `truth`: bool (facts, n), which fact is true of which."""

    captions: torch.Tensor
    facts: torch.Tensor
    truth: torch.Tensor


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 (n, 3, side, side) as the model takes it: less CLIP's mean, over its deviation."""
    return (pixels.float() - _MEAN) / _STD


def _cut(rng: random.Random, pixels: np.ndarray, side: int) -> torch.Tensor:
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    size = round(side * rng.uniform(1.0, _ZOOM))
    pictures = torch.nn.functional.interpolate(pictures, (size, size), mode="bicubic", antialias=True)
    x, y = rng.randint(0, size - side), rng.randint(0, size - side)
    bright = normalised(pictures[:, :, y : y + side, x : x + side])
    gains = torch.tensor([rng.uniform(0.88, 1.12) for _ in range(len(pixels))]).view(-1, 1, 1, 1)
    return (bright * gains).contiguous(memory_format=torch.channels_last)


def _caption(rng: random.Random, scene: Scene) -> str:
    words = tell_scene(rng, scene).split(" ")
    if rng.random() < _JUNK_SHARE:
        junk = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9)))
        words.insert(rng.randint(0, len(words)), junk)
    return " ".join(words)


def _tokens(tokenizer: SimpleTokenizer, texts: Sequence[str], longest: int) -> torch.Tensor:
    tokens = tokenizer(list(texts), context_length=longest)
    return tokens[:, : int((tokens > 0).sum(1).max())]


def _grouped(rng: random.Random, scenes: Sequence[Scene]) -> list[int]:
    """All rows, by chance, but a few in a row that show the same concept."""
    concept = {row: rng.choice(scene.things).concept if scene.things else "" for row, scene in enumerate(scenes)}
    rows = sorted(rng.sample(range(len(scenes)), len(scenes)), key=concept.__getitem__)
    groups = [rows[start : start + _GROUP] for start in range(0, len(rows), _GROUP)]
    return [row for group in rng.sample(groups, len(groups)) for row in group]


def batches(
    pictures: np.ndarray, scenes: Sequence[Scene], tokenizer: SimpleTokenizer | None, *, seed: str, size: int, side: int
) -> Iterator[Batch]:
    """`pictures`: uint8 (n, any, any, 3), of `scenes`; without a tokenizer there are no texts.

    Each picture once an epoch, in an order of its own: by chance, or where there are texts in groups of one concept.
    """
    truths, labels = Truths(scenes), label_matrix(scenes)
    for epoch in range(10**9):
        rng = random.Random(f"{seed}:{epoch}")
        order = np.array(_grouped(rng, scenes) if tokenizer else rng.sample(range(len(scenes)), len(scenes)))
        for start in range(0, len(order) - size + 1, size):
            rows = np.sort(order[start : start + size])
            told = _told(rng, [scenes[row] for row in rows], truths, rows, tokenizer) if tokenizer else None
            yield Batch(_cut(rng, pictures[rows], side), torch.from_numpy(labels[rows]), told)


def _told(
    rng: random.Random, scenes: Sequence[Scene], truths: Truths, rows: np.ndarray, tokenizer: SimpleTokenizer
) -> Told:
    facts = draw_facts(rng, scenes)
    return Told(
        captions=_tokens(tokenizer, [_caption(rng, scene) for scene in scenes], _LONGEST_CAPTION),
        facts=_tokens(tokenizer, [tell_fact(rng, fact) for fact in facts], _LONGEST_FACT),
        truth=torch.from_numpy(truths.of(facts, rows)),
    )
