"""A run's matches and identities as files that memory maps: a run of any size opens at once, and its pages are shared.

    index/indptr.npy      int64 (n_pairs + 1,)
    index/entry_ids.npy   int32 (n_matches,)
    index/identities.npy  uint64 (n_pairs,)

They say nothing that the parts don't: they are made when first asked for, and again when they are missing or damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from metaclip_core.errors import MEND, RunError, StorageError
from metaclip_core.matching import Matches
from metaclip_core.storage import make_folder, remove_leftovers, write_atomically

__all__ = ["INDEX_FOLDER", "Index", "open_index"]

INDEX_FOLDER = "index"


@dataclass(frozen=True, eq=False)
class Index:
    """The arrays of a run, in the order of its pairs; not to be written to."""

    matches: Matches
    identity_hashes: np.ndarray


def open_index(run: Path, parts: Sequence[Path], n_pairs: int, n_matches: int) -> Index:
    """The index of a run, made from its parts unless it is there. In memory where the run's folder is not writable.

    Raises RunError when the parts don't hold so many pairs and matches.
    """
    folder = run / INDEX_FOLDER
    shapes = {"indptr": (np.int64, n_pairs + 1), "entry_ids": (np.int32, n_matches), "identities": (np.uint64, n_pairs)}
    newest = max((path.stat().st_mtime_ns for path in parts), default=0)
    if (arrays := _map(folder, shapes, newest)) is None:
        try:
            make_folder(folder)
            with FileLock(folder / ".lock"):  # two sessions that open the run at once make it once
                if (arrays := _map(folder, shapes, newest)) is None:
                    remove_leftovers(folder)
                    _write(folder, parts, shapes)
                    arrays = _map(folder, shapes, newest)
        except (StorageError, OSError):
            arrays = None
    if arrays is None:
        arrays = _read(parts, shapes)
    return Index(Matches(indptr=arrays["indptr"], entry_ids=arrays["entry_ids"]), arrays["identities"])


_Shapes = dict[str, tuple[Any, int]]


def _map(folder: Path, shapes: _Shapes, newest: int) -> dict[str, np.ndarray] | None:
    """The files, memory-mapped; None unless all are whole and younger than the newest part."""
    arrays = {}
    for name, (dtype, length) in shapes.items():
        path = folder / f"{name}.npy"
        try:
            if path.stat().st_mtime_ns < newest:
                return None
            array = np.load(path, mmap_mode="r" if length else None, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if array.dtype != dtype or array.shape != (length,):
            return None
        arrays[name] = np.asarray(array)
    return arrays


def _write(folder: Path, parts: Sequence[Path], shapes: _Shapes) -> None:
    with (
        write_atomically(folder / "indptr.npy") as indptr,
        write_atomically(folder / "entry_ids.npy") as entry_ids,
        write_atomically(folder / "identities.npy") as identities,
    ):
        files: dict[str, BinaryIO] = {"indptr": indptr, "entry_ids": entry_ids, "identities": identities}
        for name, (dtype, length) in shapes.items():
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                "fortran_order": False,
                "shape": (length,),
            }
            np.lib.format.write_array_header_1_0(files[name], header)
        for name, chunk in _chunks(parts, shapes):
            files[name].write(chunk.tobytes())


def _read(parts: Sequence[Path], shapes: _Shapes) -> dict[str, np.ndarray]:
    arrays = {name: np.empty(length, dtype) for name, (dtype, length) in shapes.items()}
    filled = dict.fromkeys(shapes, 0)
    for name, chunk in _chunks(parts, shapes):
        arrays[name][filled[name] : filled[name] + len(chunk)] = chunk
        filled[name] += len(chunk)
    return arrays


def _chunks(parts: Sequence[Path], shapes: _Shapes) -> Iterator[tuple[str, np.ndarray]]:
    """(array's name, its next piece): what the parts hold, a batch of rows at a time."""
    yield "indptr", np.zeros(1, np.int64)
    n_pairs = n_matches = 0
    for path in parts:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=["identity", "entry_ids"], use_threads=False):
                    lists = batch.column("entry_ids")
                    ids, offsets = lists.flatten().to_numpy(), lists.offsets.to_numpy()
                    yield "indptr", n_matches + (offsets[1:] - offsets[0]).astype(np.int64)
                    yield "entry_ids", ids
                    yield "identities", batch.column("identity").to_numpy()
                    n_matches += len(ids)
                    n_pairs += batch.num_rows
                    if n_matches > shapes["entry_ids"][1] or n_pairs > shapes["identities"][1]:
                        break
        except (OSError, pa.ArrowException) as error:
            raise RunError(f"{path}: damaged ({error}); {MEND}") from error
    if (n_pairs, n_matches) != (shapes["identities"][1], shapes["entry_ids"][1]):
        raise RunError(
            f"{parts[0].parent if parts else 'the run'}: {n_pairs:,} pairs and {n_matches:,} matches, the manifest says "
            f"{shapes['identities'][1]:,} and {shapes['entry_ids'][1]:,}; {MEND}"
        )
