"""Draws the sample and writes it as WebDataset shards, as img2dataset lays them out.

    python -m data_samples.make_shards [--out data_samples/shards] [--seed 2309] [--pairs 9000] [--shard-size 900]

The same seed, Pillow and font give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_samples import SHARDS
from data_samples.drawing import PICTURE_SIDE, draw_picture
from data_samples.glyphs import FontMissingError
from data_samples.pairs import N_PAIRS, SEED, Pair, generate_pairs
from data_samples.scenes import Scene

__all__ = ["main", "pair_record", "scene_record", "write_shard"]

# At 160 pixels the eye can't tell this from 85, which would make the shards a quarter larger.
_WEBP_QUALITY = 72
# RFC 2606 keeps these names from ever belonging to anyone.
_HOSTS = ("images.example.org", "cdn.example.com", "static.example.net", "shop.example", "blog.example", "pics.example")


def scene_record(scene: Scene) -> dict[str, Any]:
    """The ground truth of a picture, as the json member carries it; `size` and `look` only where there is one.

    A tar stores blocks of 512 bytes: most records fit into one, so every word in them counts.
    """
    extras = {"size": scene.size, "look": scene.look}
    return {
        "concepts": [thing.concept for thing in scene.things],
        "counts": [thing.count for thing in scene.things],
        "colours": [thing.colour for thing in scene.things],
        "count": sum(thing.count for thing in scene.things),
        "layout": scene.layout,
        "place": scene.place,
        "background": " and ".join(scene.background) or None,
        **{name: value for name, value in extras.items() if value is not None},
    }


def _url(rng: random.Random, pair: Pair) -> str:
    """An address such as a crawl would have found, unique by a part of the uid."""
    words = re.findall(r"[a-z]+", pair.caption.lower())[:3] if pair.noise is None else []
    stem = "-".join([*words, pair.uid[:8]])
    folder = rng.choice(("media", "uploads", "img", "large", "p"))
    return f"https://{rng.choice(_HOSTS)}/{folder}/{rng.randint(2009, 2023)}/{stem}.{rng.choice(('jpg', 'png'))}"


def pair_record(pair: Pair, key: str) -> dict[str, Any]:
    """The json member."""
    rng = random.Random(f"{pair.uid}:record")
    original = rng.choice((480, 512, 600, 640, 800, 1024, 1200))
    closeness = rng.gauss(0.31, 0.03) if pair.noise is None else rng.gauss(0.21, 0.03)
    return {
        "uid": pair.uid,
        "key": key,
        "url": _url(rng, pair),
        "caption": pair.caption,
        "status": "success",
        "error_message": None,
        "width": PICTURE_SIDE,
        "height": PICTURE_SIDE,
        "original_width": original,
        "original_height": original,
        "similarity": round(closeness, 4),
        "split": pair.split,
        "noise": pair.noise,
        "scene": scene_record(pair.scene),
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # mtime, uid and gid are 0 unless set, which keeps the bytes the same
    member.size = len(content)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(content))


def write_shard(path: Path, shard: int, pairs: Iterable[Pair]) -> None:
    """One tar; a pair's key is the shard in five digits and its place in the shard in four."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for place, pair in enumerate(pairs):
            key = f"{shard:05}{place:04}"
            picture = io.BytesIO()
            draw_picture(pair.scene, seed=pair.picture_seed).save(picture, "WEBP", quality=_WEBP_QUALITY, method=6)
            record = json.dumps(pair_record(pair, key), ensure_ascii=False, separators=(",", ":"))
            _add(tar, f"{key}.json", record.encode())
            _add(tar, f"{key}.txt", pair.caption.encode())
            _add(tar, f"{key}.webp", picture.getvalue())


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draw the sample and write it as WebDataset shards.")
    parser.add_argument("--out", type=Path, default=SHARDS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pairs", type=int, default=N_PAIRS)
    parser.add_argument("--shard-size", type=int, default=900, help="pairs a shard, at most 10000")
    arguments = parser.parse_args(argv)
    if arguments.pairs < 1 or not 1 <= arguments.shard_size <= 10_000:
        parser.error("--pairs must be at least 1, --shard-size between 1 and 10000")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """The command; 0 when all shards are written, 1 when the font is missing."""
    arguments = _arguments(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for shard, start in enumerate(range(0, arguments.pairs, arguments.shard_size)):
        n = min(arguments.shard_size, arguments.pairs - start)
        path = arguments.out / f"{shard:05}.tar"
        try:
            write_shard(path, shard, generate_pairs(seed=arguments.seed, n=n, start=start))
        except FontMissingError as error:
            path.unlink(missing_ok=True)
            print(f"make_shards: {error}", file=sys.stderr)
            return 1
        print(f"{path.name}: {n:,} pairs, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
