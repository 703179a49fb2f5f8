"""The folder `RUN/embeddings/FINGERPRINT`: what one model made of a run (docs/search.md has the layout).

Vectors are float16, of length 1, in the order of the run's pairs, an .npy file a part of the run. A row of zeros stands for
a picture that is missing or could not be read; `present.npy` says which rows are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metaclip_core.embedding.models import ModelSpec
from metaclip_core.embedding.stored import fetch_embeddings
from metaclip_core.errors import EmbeddingError
from metaclip_core.run import Run

__all__ = ["FORMAT_VERSION", "IMAGE", "TEXT", "Embeddings", "embeddings_folder", "list_embeddings", "open_embeddings",
           "read_embeddings"]  # fmt: skip

FORMAT_VERSION = 1
IMAGE, TEXT = "image", "text"


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A run's embeddings by one model, opened by `open_embeddings`. Arrays are in the order of the run's pairs."""

    run: Run
    path: Path
    manifest: dict[str, Any]

    @property
    def model(self) -> ModelSpec | None:
        """The model that made them; None where it isn't known: then there is no search by text or picture."""
        model = self.manifest["model"]
        return None if model["name"] is None else ModelSpec(model["name"], model["pretrained"])

    @property
    def fingerprint(self) -> str:
        """The model's: the folder's name."""
        return str(self.manifest["model"]["fingerprint"])

    @property
    def content(self) -> str:
        """32 hex digits that stand for run, model and vectors: what an index or a map was made from."""
        return str(self.manifest["content"])

    @property
    def label(self) -> str:
        """The model's name, for people."""
        return self.model.label if self.model else f"unknown model ({self.manifest['origin']})"

    @property
    def dim(self) -> int:
        return int(self.manifest["dim"])

    @property
    def n_images(self) -> int:
        """Pictures that have a vector."""
        return int(self.manifest["images"])

    @property
    def has_texts(self) -> bool:
        """Whether the captions were embedded too."""
        return bool(self.manifest["texts"])

    def parts(self, kind: str) -> list[np.ndarray]:
        """The vectors of `image` or `text`, memory-mapped, a part of the run each: float16 (rows, dim)."""
        return [self._part(kind, part["name"], part["rows"]) for part in self.manifest["parts"]]

    def _part(self, kind: str, name: str, rows: int) -> np.ndarray:
        path = self.path / kind / name
        try:
            vectors = np.load(path, mmap_mode="r" if rows else None, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise EmbeddingError(f"{path}: missing or damaged ({error}); delete {self.path} and embed again") from error
        if vectors.shape != (rows, self.dim) or vectors.dtype != np.float16:
            raise EmbeddingError(
                f"{path}: {vectors.dtype} of shape {vectors.shape}, but the run's part has {rows:,} pairs and the model "
                f"{self.dim} dimensions (float16); delete {self.path} and embed again"
            )
        return vectors

    @cached_property
    def _opened(self) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
        return {}

    def vectors(self, rows: np.ndarray, kind: str = IMAGE) -> np.ndarray:
        """The vectors of these pairs: float32 (len(rows), dim), zeros where there is none."""
        if kind not in self._opened:
            parts = self.parts(kind)
            self._opened[kind] = parts, np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        parts, starts = self._opened[kind]
        rows = np.asarray(rows, np.int64)
        out = np.empty((len(rows), self.dim), np.float32)
        numbers = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(numbers):
            chosen = numbers == number
            out[chosen] = parts[number][rows[chosen] - starts[number]]
        return out

    def blocks(self, kind: str = IMAGE, rows: int = 65_536) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, float32 vectors) of one block after the other."""
        start = 0
        for part in self.parts(kind):
            for offset in range(0, len(part), rows):
                block = part[offset : offset + rows].astype(np.float32)
                yield start + offset, block
            start += len(part)

    @cached_property
    def present(self) -> np.ndarray:
        """Which pairs' pictures have a vector: bool (n_pairs,)."""
        path = self.path / "present.npy"
        try:
            present = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise EmbeddingError(f"{path}: missing or damaged ({error}); delete {self.path} and embed again") from error
        if present.shape != (self.run.n_pairs,) or present.dtype != np.bool_:
            raise EmbeddingError(
                f"{path}: {present.dtype} of shape {present.shape}, the run has {self.run.n_pairs:,} pairs"
            )
        return present


def embeddings_folder(run: Run, fingerprint: str) -> Path:
    """Where the embeddings by the model of that fingerprint are, or will be."""
    return run.path / "embeddings" / fingerprint


def list_embeddings(run: Run) -> list[Embeddings]:
    """The finished embeddings of a run, the newest first. Raises EmbeddingError when one is damaged."""
    fetch_embeddings(run)
    manifests = list((run.path / "embeddings").glob("*/manifest.json"))
    newest = sorted(manifests, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [read_embeddings(run, path) for path in newest]


def open_embeddings(run: Run, spec: ModelSpec | None = None) -> Embeddings:
    """The embeddings by this model; None: the newest of the run. Raises EmbeddingError."""
    if spec is None:
        found = list_embeddings(run)
        if not found:
            raise EmbeddingError(f"{run.place}: no embeddings yet; `metaclip embed {run.place}` makes them")
        return found[0]
    fetch_embeddings(run)
    path = embeddings_folder(run, spec.fingerprint) / "manifest.json"
    if not path.exists():
        options = "" if spec.folder and spec.pretrained is None else f" --pretrained {spec.pretrained}"
        raise EmbeddingError(
            f"{run.place}: no embeddings by {spec.label}; "
            f"`metaclip embed {run.place} --model {spec.name}{options}` makes them"
        )
    return read_embeddings(run, path)


def read_embeddings(run: Run, path: Path) -> Embeddings:
    """The embeddings of this manifest. Raises EmbeddingError."""
    try:
        manifest = json.loads(path.read_bytes())
        version, of_run = manifest["format_version"], manifest["run"]
        rows = sum(part["rows"] for part in manifest["parts"])
        embeddings = Embeddings(run, path.parent, manifest)
        _ = embeddings.model, embeddings.fingerprint, embeddings.content, embeddings.dim, embeddings.n_images
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmbeddingError(f"{path}: damaged ({error!r}); delete {path.parent} and embed again") from error
    if version != FORMAT_VERSION:
        raise EmbeddingError(f"{path}: of format version {version}, this program reads {FORMAT_VERSION}; embed again")
    if of_run != run.fingerprint:
        raise EmbeddingError(f"{path}: made for another run; delete {path.parent} and embed again")
    if rows != run.n_pairs:
        raise EmbeddingError(
            f"{path}: {rows:,} vectors for {run.n_pairs:,} pairs; delete {path.parent} and embed again"
        )
    for kind in (IMAGE, TEXT) if manifest["texts"] else (IMAGE,):
        embeddings.parts(kind)
    return embeddings
