"""Pairs by the thousand: a scene, a caption, and what the shard writer needs, all from a seed and an index."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from data_samples.captions import tell_scene
from data_samples.noise import tell_noise
from data_samples.scenes import Scene, draw_scene, is_held_out

__all__ = ["NOISE_PER_BLOCK", "N_PAIRS", "PAIRS_PER_BLOCK", "SEED", "Pair", "generate_pairs"]

# The committed sample. Training pairs come from other seeds.
SEED = 2309
N_PAIRS = 9_000

# Noise is dealt out block by block, so that its share is exact whatever the number of pairs: 35 / 200 = 17.5 %.
PAIRS_PER_BLOCK = 200
NOISE_PER_BLOCK = 35

_TEST_SHARE = 0.07


@dataclass(frozen=True)
class Pair:
    """One picture, still undrawn, with its caption.

    `noise` names the kind where the caption is web noise, else None. `split` is "train" or "test": a few per cent at
    random, and every scene with a combination from `settings.HELD_OUT_*`. `picture_seed` is for `drawing.draw_picture`.
    """

    index: int
    scene: Scene
    caption: str
    noise: str | None
    split: str
    uid: str
    picture_seed: int


def _noise_positions(seed: int, block: int) -> frozenset[int]:
    rng = random.Random(f"{seed}:noise:{block}")
    return frozenset(rng.sample(range(PAIRS_PER_BLOCK), NOISE_PER_BLOCK))


def _pair(seed: int, index: int, is_noise: bool, flat: bool) -> Pair:
    # One generator a pair: any pair can be made without those before it.
    rng = random.Random(f"{seed}:{index}")
    scene = draw_scene(rng, flat=flat)
    noise: str | None = None
    if is_noise:
        noise, caption = tell_noise(rng, scene)
    else:
        caption = tell_scene(rng, scene)
    split = "test" if is_held_out(scene) or rng.random() < _TEST_SHARE else "train"
    uid = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=16).hexdigest()
    return Pair(index, scene, caption, noise, split, uid, rng.getrandbits(48))


def generate_pairs(
    *, seed: int = SEED, n: int, start: int = 0, noise: bool = True, flat: bool = False
) -> Iterator[Pair]:
    """Pairs `start` .. `start + n - 1` of the endless sequence that `seed` names, lazily.

    `noise=False` tells every scene, for training; `flat` gives all concepts the same chance. Both name other sequences.
    """
    positions: frozenset[int] = frozenset()
    for index in range(start, start + n):
        block, place = divmod(index, PAIRS_PER_BLOCK)
        if noise and (place == 0 or index == start):
            positions = _noise_positions(seed, block)
        yield _pair(seed, index, place in positions, flat)
