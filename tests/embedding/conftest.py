"""A run of 30 pairs with pictures in two shards, some of which can't be read, and the model that ships."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from metaclip_core.curation import curate
from metaclip_core.run import Run

COLOURS = ["red", "green", "blue", "yellow", "black", "white"]
BAD_ROWS = {7: b"\x89PNG\r\n\x1a\n then nothing", 21: b"\xff\xd8\xff\xe0 cut off"}


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def write_shards(folder: Path, n: int, bad: dict[int, bytes]) -> None:
    """`a.tar` and `b.tar` with n pairs between them, captioned by colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("a", range(n // 2)), ("b", range(n // 2, n))):
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            for i in rows:
                colour = COLOURS[i % len(COLOURS)]
                picture = bad.get(i, png(colour))
                kind = "jpg" if picture.startswith(b"\xff\xd8") else "png"
                for extension, content in ((kind, picture), ("txt", f"a {colour} card {i}".encode())):
                    member = tarfile.TarInfo(f"{i:05}.{extension}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Curate `n` pairs with pictures, `bad` ones by row, into `tmp_path/NAME`."""

    def make(n: int = 30, bad: dict[int, bytes] | None = None, name: str = "run") -> Run:
        pool = tmp_path / f"pool-{name}"
        write_shards(pool, n, BAD_ROWS if bad is None else bad)
        metadata = tmp_path / "metadata.parquet"
        pl.DataFrame({"entry": [*COLOURS, "card"]}).write_parquet(metadata)
        return curate(pool, metadata, tmp_path / name)

    return make
