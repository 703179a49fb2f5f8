"""The committed sample, read once."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

from data_samples import METADATA, SHARDS
from data_samples.plain_match import PlainMatcher


@dataclass(frozen=True)
class Member:
    """One pair as it lies in its shard."""

    shard: str
    key: str
    record: dict[str, Any]
    text: str
    picture: bytes


@pytest.fixture(scope="session")
def members() -> list[Member]:
    """All pairs, in the order of the shards; fails where a pair is incomplete."""
    pairs = []
    for path in sorted(SHARDS.glob("*.tar")):
        files: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as tar:
            for entry in tar:
                key, _, extension = entry.name.partition(".")
                file = tar.extractfile(entry)
                assert file is not None
                files.setdefault(key, {})[extension] = file.read()
        for key, parts in files.items():
            assert sorted(parts) == ["json", "txt", "webp"], f"{path.name}: {key}"
            record = json.loads(parts["json"])
            pairs.append(Member(path.name, key, record, parts["txt"].decode("utf-8"), parts["webp"]))
    return pairs


@pytest.fixture(scope="session")
def metadata() -> pl.DataFrame:
    return pl.read_parquet(METADATA)


@pytest.fixture(scope="session")
def matcher(metadata: pl.DataFrame) -> PlainMatcher:
    return PlainMatcher(metadata["entry"])
