"""Two runs: a small one of two tars, made to be difficult, and the embedded sample."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from metaclip_core.curation import curate
from metaclip_core.run import Run

REPOSITORY = Path(__file__).resolve().parents[2]

HOSTILE = 'a dog ![x](https://example.com/x.png) <img src=x> $x^2$ | **cat** \u202e \u2028 \x07 \\ " 日本'
CAPTIONS = [HOSTILE, "a dog", "a cat on a mat", "a small dog, in a boat", "a cat", "a red boat\nat sea", "nothing"] * 30
METADATA = {
    "a": ["wordnet"],
    "dog": ["wordnet"],
    "cat": ["wordnet", "wiki_unigram"],
    "boat": ["wiki_unigram"],
    "small dog": ["wiki_bigram"],
    "never seen": ["wiki_bigram"],
    "日本": ["wiki_title"],
    "|": ["wiki_title"],
    "<img": ["wiki_title"],
}
PICTURES = ("JPEG", "PNG", "WEBP", "GIF")
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
WITHOUT_PICTURE = 10  # the pair of this number has none; `small dog` matches 30 pairs, so it is kept from t = 30 on


@dataclass(frozen=True)
class Pool:
    """A curated pool: what was in it, pair by pair, and the run."""

    run: Run
    pairs: list[tuple[str, str, str]]  # identity, key, text
    pictures: list[bytes | None]
    metadata: Path


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (number * 7 % 256, 120, 200)).save(buffer, PICTURES[number % len(PICTURES)])
    return buffer.getvalue()


def make_pool(folder: Path, *, key: str = "{:05d}", uid: bool = False) -> Pool:
    """Two tars of 105 pairs, curated. `key`: of a pair's number."""
    (folder / "pool").mkdir(parents=True)
    pairs, pictures = [], []
    for shard in range(2):
        with tarfile.open(folder / f"pool/{shard}.tar", "w") as tar:
            for number in range(shard * 105, shard * 105 + 105):
                name = key.format(number)
                content = None if number == WITHOUT_PICTURE else picture(number)
                fields = {"url": f"https://example.com/{number}"} | ({"uid": f"{number:032x}"} if uid else {})
                members = {"txt": CAPTIONS[number].encode(), "json": json.dumps(fields).encode()}
                if content is not None:
                    members[EXTENSIONS[PICTURES[number % len(PICTURES)]]] = content
                for extension, data in members.items():
                    info = tarfile.TarInfo(f"{name}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                pairs.append((f"{number:032x}" if uid else f"{shard}.tar#{name}", name, CAPTIONS[number]))
                pictures.append(content)
    metadata = folder / "metadata.parquet"
    pl.DataFrame({"entry": list(METADATA), "sources": list(METADATA.values())}).write_parquet(metadata)
    return Pool(curate(folder / "pool", metadata, folder / "run"), pairs, pictures, metadata)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return make_pool(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    sample = REPOSITORY / "data_samples"
    return curate(sample / "shards", sample / "metadata.parquet", tmp_path_factory.mktemp("sample") / "run")
