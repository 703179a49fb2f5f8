"""WebDataset shards, as `webdataset`, open_clip and this project's own pool reader take them.

Each pair is `KEY.jpg` (or `.png`, `.webp`: by the picture's own first bytes), `KEY.txt`, the caption as it is, and
`KEY.json`. Pictures are copied as they are from the pool's files. `sizes.json` says how many pairs each shard holds;
open_clip reads it in place of `--train-num-samples`.

KEY is the pool's own key where all curated pairs have a safe one of their own, else a running number of nine digits.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip_core.errors import PoolError
from metaclip_core.export.curated import CuratedSet
from metaclip_core.export.exporter import Advance, Exporter, Task, Written, described
from metaclip_core.pools.pictures import read_picture
from metaclip_core.run import Run
from metaclip_core.storage import write_atomically, write_json
from metaclip_core.strings import hash_each

__all__ = ["WebDatasetExporter"]

_SAFE_KEY = "^[0-9A-Za-z_][0-9A-Za-z_-]{0,99}$"
"""No dot, at which WebDataset ends a key; no folder; nothing that a shell or another file system reads differently."""

_SIGNATURES = {
    "jpg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
    "bmp": re.compile(rb"BM"),
    "tif": re.compile(rb"II[*+]\x00|MM\x00[*+]"),
}

_PACKED = re.compile(r"(?is)(\.(?:parquet|zip))#.*")
"""The path of a picture that is packed within a file says which one: FILE#INSIDE (metaclip_core/pools/pictures.py)."""

_COLUMNS = (
    *("key", "uid", "text", "url", "image_path", "image_offset", "image_size"),
    *("keep_t", "keep_probability", "entry_ids", "matched_entries"),
)


class WebDatasetExporter(Exporter):
    """`NNNNN.tar` and `sizes.json`."""

    PAIRS_PER_FILE = 10_000

    def __init__(self, curated: CuratedSet) -> None:
        super().__init__(curated)
        if not _has_pictures(curated.run):
            raise PoolError(
                f"{curated.run.place}: its pool has no pictures, so there is nothing to put into WebDataset shards; "
                "export parquet with the urls, and fetch the pictures with img2dataset"
            )
        self.pool_files = {file["path"]: file["size_bytes"] for file in curated.run.manifest["settings"]["inputs"]}
        self._check_pool_files()
        self.pool_keys = _keys_do(curated)

    def write(self, task: Task, folder: Path, advance: Advance) -> Written:
        name = f"{task.number:05d}.tar"
        left_out: Counter[str] = Counter()
        pictures: Counter[str] = Counter()
        number = task.start
        with write_atomically(folder / name) as file, tarfile.open(fileobj=file, mode="w") as tar:
            for batch in self.curated.batches(_COLUMNS, task.start, task.stop):
                before = pictures.total()
                for pair in batch.to_pylist():
                    picture, kind = self._picture(pair)
                    if picture is None:
                        left_out[kind] += 1
                    else:
                        _add_pair(tar, pair["key"] if self.pool_keys else f"{number:09d}", kind, picture, pair)
                        pictures[kind] += 1
                    number += 1
                advance(batch.num_rows, pictures.total() - before)
        return Written(
            files=[described(folder, name)], pairs=pictures.total(), left_out=dict(left_out), pictures=dict(pictures)
        )

    def finish(self, folder: Path, written: Sequence[Written]) -> list[dict[str, Any]]:
        if len(self.curated) and not any(each.pairs for each in written):
            raise PoolError(
                f"{self.curated.run.place}: none of the {len(self.curated):,} curated pairs has a picture that can be "
                "read; is the pool where it was when it was curated?"
            )
        write_json(folder / "sizes.json", {each.files[0]["name"]: each.pairs for each in written})
        return [described(folder, "sizes.json")]

    def _picture(self, pair: dict[str, Any]) -> tuple[bytes | None, str]:
        """The picture's bytes and its extension; or None, and why there is none."""
        if pair["image_path"] is None:
            return None, "no_picture"
        try:
            picture = read_picture(pair["image_path"], pair["image_offset"], pair["image_size"])
        except PoolError:
            for holder in self._holders([pair["image_path"]]):
                _size_of(holder)  # one bad picture is passed over; a pool that went away is not
            return None, "unreadable_picture"
        for extension, signature in _SIGNATURES.items():
            if signature.match(picture):
                return picture, extension
        return None, "unreadable_picture"

    def _holders(self, image_paths: Iterable[str]) -> set[str]:
        """The pool's files that these pictures are in. A picture that is a file by itself is in none."""
        return self.pool_files.keys() & {name for path in image_paths for name in (path, _PACKED.sub(r"\1", path))}

    def _check_pool_files(self) -> None:
        """Raises PoolError when one that holds curated pictures can't be read, or has another size than it had."""
        holders: set[str] = set()
        for batch in self.curated.batches(["image_path"]):
            holders |= self._holders(pc.unique(batch.column(0).drop_null()).to_pylist())
        for path in sorted(holders):
            if (size_bytes := _size_of(path)) != self.pool_files[path]:
                raise PoolError(
                    f"{path}: has {size_bytes:,} bytes, and had {self.pool_files[path]:,} when it was curated: its "
                    "pictures are elsewhere in it now; put the old file back, or curate again"
                )


def _add_pair(tar: tarfile.TarFile, key: str, extension: str, picture: bytes, pair: dict[str, Any]) -> None:
    fields = {
        "key": pair["key"],
        "url": pair["url"],
        "keep_t": pair["keep_t"],
        "keep_probability": pair["keep_probability"],
        "matched_entries": pair["matched_entries"],
        "entry_ids": pair["entry_ids"],
    }
    if pair["uid"] is not None:
        fields = {"uid": pair["uid"], **fields}
    members = (
        (extension, picture),
        ("txt", pair["text"].encode()),
        ("json", json.dumps(fields, ensure_ascii=False).encode()),
    )
    for ending, content in members:
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def _has_pictures(run: Run) -> bool:
    """Whether any pair of the pool has one, by the figures that parquet keeps of each row group."""
    for path in run.part_paths:
        metadata = pq.read_metadata(path)
        column = metadata.schema.names.index("image_path")
        for group in range(metadata.num_row_groups):
            if metadata.row_group(group).column(column).statistics.null_count < metadata.row_group(group).num_rows:
                return True
    return False


def _size_of(path: str) -> int:
    """The size in bytes of a file that holds pictures. Raises PoolError when it can't be opened."""
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise PoolError(
            f"{path}: its pictures can't be read: {error.strerror or error}; put the pool back where it was when it was "
            "curated"
        ) from error


def _keys_do(curated: CuratedSet) -> bool:
    """Whether the pool's keys name the curated pairs: each is safe, and no two are alike."""
    hashes: list[np.ndarray] = [np.zeros(0, np.uint64)]
    for batch in curated.batches(["key"]):
        keys: pa.LargeStringArray = batch.column(0)
        if not pc.all(pc.match_substring_regex(keys, _SAFE_KEY)).as_py():
            return False
        hashes.append(hash_each(keys))
    # Keys of one hash are taken for alike: then all are numbered, which is never wrong.
    return len(np.unique(np.concatenate(hashes))) == len(curated)
