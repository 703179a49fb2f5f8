"""The embedded sample: 9,000 drawn pictures with web-like captions, and metadata with all four sources.

`README.md` in this folder says what it holds, how it is made again and under which licences it may be used.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["METADATA", "SHARDS"]

_FOLDER = Path(__file__).resolve().parent

SHARDS = _FOLDER / "shards"
METADATA = _FOLDER / "metadata.parquet"
