"""Embeddings that people already have, joined to a run by key: clip-retrieval's folders and DataComp's npz files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from metaclip_core.embedding.job import finish, locked, write_images, write_vectors
from metaclip_core.embedding.models import ModelSpec
from metaclip_core.embedding.store import IMAGE, TEXT, Embeddings, embeddings_folder, read_embeddings
from metaclip_core.embedding.stored import put_embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.progress import OnProgress, Progress
from metaclip_core.run import Run
from metaclip_core.storage import make_folder
from metaclip_core.strings import hash_each, to_arrow_strings

__all__ = ["ImportReport", "import_embeddings"]

# The column that names the pairs, and what of the run it is compared with. clip-retrieval writes a WebDataset's key as
# `image_path`.
_NAMES = (("uid", "identity"), ("key", "key"), ("image_path", "key"))


@dataclass(frozen=True)
class ImportReport:
    """What came of an import: vectors read, those that found their pair, those that did not, and pairs left without."""

    embeddings: Embeddings
    read: int
    joined: int
    unjoined: int
    pairs_without: int


@dataclass(frozen=True)
class _Table:
    """Vectors and what names them. `text` is None where there are none."""

    path: Path
    names: pl.DataFrame
    image: np.ndarray
    text: np.ndarray | None

    @property
    def shapes(self) -> str:
        texts = "without texts" if self.text is None else "with texts"
        return f"{self.image.shape[1]} dimensions {texts}"


def import_embeddings(
    run: Run,
    path: str | Path,
    spec: ModelSpec | None = None,
    *,
    array: str | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Join embeddings made elsewhere to the run's pairs, and store them as if they had been made here.

    `path`: a folder with clip-retrieval's `img_emb/`, `text_emb/` and `metadata/`, or with DataComp's `NAME.npz` beside
    `NAME.parquet`. Pairs are found by `uid`, else by `key`, else by clip-retrieval's `image_path`. `spec`: the model that
    made them; without it there is no search by text. `array`: which arrays of an npz, `l14` for `l14_img` and `l14_txt`,
    where it holds several. Vectors are scaled to length 1. Raises EmbeddingError, ModelError.
    """
    origin = Path(path)
    sources = _sources(origin, array)
    first = sources[0]()
    dim, texts = first.image.shape[1], first.text is not None
    fingerprint = spec.fingerprint if spec else _unknown_fingerprint(first, len(sources))
    folder = embeddings_folder(run, fingerprint)
    report = on_progress or (lambda progress: None)
    with locked(folder):
        joiner = _Joiner(run, folder, dim, texts)
        read = joined = 0
        for done, load in enumerate(sources, start=1):
            table = load()
            if table.image.shape[1] != dim or (table.text is not None) != texts:
                raise EmbeddingError(
                    f"{table.path}: other vectors than in {first.path.name}: {table.shapes}, {first.shapes}"
                )
            read += len(table.image)
            joined += joiner.add(table)
            report(Progress("import", done, len(sources), joined))
        if not joined:
            joiner.discard()
            raise EmbeddingError(
                f"{origin}: none of its {read:,} vectors belongs to a pair of {run.place}: the names in "
                f"{first.path.name} (such as {_first_name(first)}) are none of the run's keys"
            )
        joiner.write()
        model = {"name": spec and spec.name, "pretrained": spec and spec.pretrained, "fingerprint": fingerprint}
        finish(run, folder, model=model, dim=dim, texts=texts, origin=f"imported: {origin.name}")
    put_embeddings(run, folder)
    embeddings = read_embeddings(run, folder / "manifest.json")
    return ImportReport(embeddings, read, joined, read - joined, run.n_pairs - joined)


class _Joiner:
    """Vectors sorted into the run's order, in files on the disk."""

    def __init__(self, run: Run, folder: Path, dim: int, texts: bool) -> None:
        self.run, self.folder = run, folder
        self.staging = folder / "staging"
        shutil.rmtree(self.staging, ignore_errors=True)
        make_folder(self.staging)
        kinds = (IMAGE, TEXT) if texts else (IMAGE,)
        shape = (run.n_pairs, dim)
        self.vectors = {
            kind: np.lib.format.open_memmap(self.staging / f"{kind}.npy", "w+", np.float16, shape) for kind in kinds
        }
        self.present = np.zeros(run.n_pairs, np.bool_)
        self._orders: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def _order(self, by: str) -> tuple[np.ndarray, np.ndarray]:
        """(hashes ascending, the pairs they belong to) of the identities or keys."""
        if by not in self._orders:
            if by == "identity":
                hashes = self.run.identity_hashes
            else:
                keys = [pq.read_table(path, columns=["key"]).column(0) for path in self.run.part_paths]
                hashes = np.concatenate([hash_each(to_arrow_strings(column)) for column in keys])
            order = np.argsort(hashes, kind="stable")
            self._orders[by] = hashes[order], order
        return self._orders[by]

    def _found(self, table: _Table) -> tuple[np.ndarray, np.ndarray]:
        """(whether each vector has a pair, which): by the first column of names that finds any."""
        for by, names in _names(table):
            hashes, order = self._order(by)
            asked = hash_each(to_arrow_strings(names))
            places = np.minimum(np.searchsorted(hashes, asked), len(hashes) - 1)
            found = hashes[places] == asked
            if found.any():
                break
        return found, order[places]

    def add(self, table: _Table) -> int:
        """Sort the vectors of one file in; returns how many found a pair. Of several for one pair the first stays."""
        found, places = self._found(table)
        found &= np.isfinite(np.asarray(table.image)).all(axis=1) & np.asarray(table.image).any(axis=1)
        sources, pairs = np.flatnonzero(found), places[found]
        pairs, first = np.unique(pairs, return_index=True)
        new = ~self.present[pairs]
        sources, pairs = sources[first][new], pairs[new]
        self.vectors[IMAGE][pairs] = _unit(table.image[sources])
        if TEXT in self.vectors and table.text is not None:
            self.vectors[TEXT][pairs] = _unit(table.text[sources])
        self.present[pairs] = True
        return len(pairs)

    def write(self) -> None:
        """Cut the vectors into the run's parts."""
        for kind in self.vectors:
            make_folder(self.folder / kind)
        start = 0
        for path, part in zip(self.run.part_paths, self.run.manifest["parts"], strict=True):
            rows = slice(start, start + part["rows"])
            absent = np.flatnonzero(~self.present[rows]).tolist()
            reasons = {"not_imported": len(absent)} if absent else {}
            if TEXT in self.vectors:
                write_vectors(self.folder / TEXT / f"{path.stem}.npy", self.vectors[TEXT][rows])
            write_images(self.folder / IMAGE / f"{path.stem}.npy", self.vectors[IMAGE][rows], absent, reasons)
            start += part["rows"]
        self.discard()

    def discard(self) -> None:
        self.vectors.clear()
        shutil.rmtree(self.staging, ignore_errors=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _names(table: _Table) -> list[tuple[str, pl.Series]]:
    """(`identity` or `key`, the strings to compare with it), at least one. Raises EmbeddingError."""
    names = [(by, table.names[name].cast(pl.String)) for name, by in _NAMES if name in table.names.columns]
    if not names:
        allowed = ", ".join(name for name, _ in _NAMES)
        raise EmbeddingError(
            f"{table.path}: no column that names the pairs; got {', '.join(table.names.columns)}, allowed are {allowed}"
        )
    return names


def _first_name(table: _Table) -> str:
    names = _names(table)[0][1]
    return repr(names[0]) if len(names) else "none"


def _sources(folder: Path, array: str | None) -> list[Callable[[], _Table]]:
    """What to load, a file of vectors each; at least one."""
    if (folder / "img_emb").is_dir():
        paths = sorted((folder / "img_emb").glob("*.npy"), key=_number)
        load: Callable[[Path], _Table] = _clip_retrieval
    else:
        paths = [folder] if folder.suffix == ".npz" else sorted(folder.rglob("*.npz"))
        load = partial(_datacomp, array=array)
    if not paths:
        raise EmbeddingError(
            f"{folder}: no embeddings that can be read; expected clip-retrieval's folder (img_emb/, metadata/) "
            "or DataComp's NAME.npz files beside NAME.parquet"
        )
    return [partial(load, path) for path in paths]


def _clip_retrieval(path: Path) -> _Table:
    folder, number = path.parent.parent, path.stem.removeprefix("img_emb_")
    text_path = folder / "text_emb" / f"text_emb_{number}.npy"
    names = _parquet(folder / "metadata" / f"metadata_{number}.parquet")
    return _checked(_Table(path, names, _array(path), _array(text_path) if text_path.exists() else None))


def _number(path: Path) -> tuple[int, str]:
    digits = path.stem.rpartition("_")[2]
    return (int(digits) if digits.isdigit() else 0, path.name)


def _datacomp(path: Path, *, array: str | None) -> _Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = sorted(name.removesuffix("_img") for name in archive.files if name.endswith("_img"))
            chosen = array or (found[0] if len(found) == 1 else None)
            if chosen is None or chosen not in found:
                raise EmbeddingError(
                    f"{path}: it holds arrays for {', '.join(found) or 'no model'}"
                    + (f", not for {array!r}" if array else "; say which one: --array NAME")
                )
            image = archive[f"{chosen}_img"]
            text = archive[f"{chosen}_txt"] if f"{chosen}_txt" in archive.files else None
    except (OSError, ValueError, EOFError) as error:
        raise EmbeddingError(f"{path}: not an npz file that can be read ({error})") from error
    return _checked(_Table(path, _parquet(path.with_suffix(".parquet")), image, text))


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EmbeddingError(f"{path}: not an .npy file that can be read ({error})") from error


def _parquet(path: Path) -> pl.DataFrame:
    try:
        columns = set(pq.read_schema(path).names) & {column for column, _ in _NAMES}
        # Without a usable column all are read, for the message.
        return pl.read_parquet(path, columns=sorted(columns) or None)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise EmbeddingError(f"{path}: missing or damaged: it names the pairs of the vectors ({error})") from error


def _checked(table: _Table) -> _Table:
    for what, vectors in (("pictures", table.image), ("texts", table.text)):
        if vectors is None:
            continue
        if vectors.ndim != 2 or vectors.dtype.kind not in "fi":
            raise EmbeddingError(f"{table.path}: the {what} are {vectors.dtype} of shape {vectors.shape}, not vectors")
        if len(vectors) != len(table.names):
            raise EmbeddingError(
                f"{table.path}: {len(vectors):,} vectors of {what}, but {len(table.names):,} names beside them"
            )
    return table


def _unknown_fingerprint(first: _Table, n_sources: int) -> str:
    """Stands in for the model's, where nobody says which it was."""
    digest = xxhash.xxh3_128(f"{first.path.name} {n_sources} {first.shapes}".encode())
    digest.update(np.ascontiguousarray(first.image[:64]).tobytes())
    return digest.hexdigest()
