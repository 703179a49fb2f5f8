"""Embed a run: every picture, and every caption, by one model.

    plan.json       run and model, written first
    image/, text/   an .npy file a part of the run; `image/NNNNN.json`, written after it, counts what could not be read
    present.npy     which rows have a picture's vector
    manifest.json   written last: without it the embeddings are unfinished

A job that was killed goes on from the parts that are complete.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xxhash
from filelock import FileLock, Timeout

from metaclip_core import __version__
from metaclip_core.embedding.encoder import Encoder, load_encoder
from metaclip_core.embedding.models import ModelSpec, model_named
from metaclip_core.embedding.pictures import decode_picture
from metaclip_core.embedding.store import FORMAT_VERSION, IMAGE, TEXT, Embeddings, embeddings_folder, open_embeddings
from metaclip_core.embedding.stored import fetch_embeddings, put_embeddings
from metaclip_core.errors import EmbeddingError, PictureError, PoolError
from metaclip_core.kernels.threads import available_cores
from metaclip_core.pools.pictures import read_picture
from metaclip_core.progress import OnProgress, Progress
from metaclip_core.run import Run
from metaclip_core.storage import file_digest, make_folder, storage_errors, write_atomically, write_json

__all__ = ["check_pictures", "embed", "finish", "locked", "write_images", "write_vectors"]

_TEXTS_AT_ONCE = 4_096


def embed(
    run: Run,
    spec: ModelSpec | None = None,
    *,
    texts: bool = True,
    device: str | None = None,
    download: bool = False,
    on_progress: OnProgress | None = None,
) -> Embeddings:
    """Embed the run's pictures, and captions unless told otherwise, by this model (None: the one that ships).

    What is there already is not made again; a picture that can't be read is counted and passed over. Progress counts
    pairs, in the stages `images` and `texts`. Raises ModelError, EmbeddingError, StorageError.
    """
    spec = spec or model_named()
    fetch_embeddings(run)
    folder = embeddings_folder(run, spec.fingerprint)
    if (folder / "manifest.json").exists():
        done = open_embeddings(run, spec)
        if done.has_texts or not texts:
            put_embeddings(run, folder)  # it may have been stopped right before
            return done
    check_pictures(run)
    with locked(folder):
        job = _Job(run, spec, folder, on_progress or (lambda progress: None))
        job.encode(load_encoder(spec, device=device, download=download), texts)
    put_embeddings(run, folder)
    return open_embeddings(run, spec)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made, and held against other processes. Raises EmbeddingError when one of them has it."""
    make_folder(folder)
    with storage_errors(folder):
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise EmbeddingError(f"{folder}: another process is embedding into it; wait for it") from error
    try:
        yield
    finally:
        lock.release()


def write_images(path: Path, vectors: np.ndarray, absent: Sequence[int], unreadable: Mapping[str, int]) -> None:
    """One part's pictures as float16; then, beside them, which rows have none and why: the part is complete."""
    write_vectors(path, vectors)
    report = {"rows": len(vectors), "absent": list(absent), "unreadable": dict(sorted(unreadable.items()))}
    write_json(path.with_suffix(".json"), report)


def write_vectors(path: Path, vectors: np.ndarray) -> None:
    """One part's vectors as float16, atomically."""
    with write_atomically(path) as file:
        np.save(file, vectors.astype(np.float16, copy=False))


def finish(run: Run, folder: Path, *, model: dict[str, Any], dim: int, texts: bool, origin: str) -> None:
    """Write `present.npy`, then the manifest. `model`: name, pretrained, fingerprint."""
    present = np.ones(run.n_pairs, np.bool_)
    unreadable: Counter[str] = Counter()
    parts = [{"name": f"{path.stem}.npy", "rows": part["rows"]}
             for path, part in zip(run.part_paths, run.manifest["parts"], strict=True)]  # fmt: skip
    content = xxhash.xxh3_128(f"{run.fingerprint} {model['fingerprint']}".encode())
    start = 0
    for part in parts:
        path = folder / IMAGE / str(part["name"])
        report = json.loads(path.with_suffix(".json").read_bytes())
        present[start + np.asarray(report["absent"], np.int64)] = False
        unreadable.update(report["unreadable"])
        content.update(file_digest(path)["xxh3_128"].encode())
        start += part["rows"]
    with write_atomically(folder / "present.npy") as file:
        np.save(file, present)
    manifest = {
        "format_version": FORMAT_VERSION,
        "made_by": f"metaclip-dashboard {__version__}",
        "origin": origin,
        "run": run.fingerprint,
        "model": model,
        "content": content.hexdigest(),
        "dim": dim,
        "images": int(present.sum()),
        "unreadable": dict(unreadable),
        "texts": texts,
        "parts": parts,
    }
    for stale in ("index.json", "index.faiss"):  # of vectors that were here before; made again by the next search
        (folder / stale).unlink(missing_ok=True)
    write_json(folder / "manifest.json", manifest)
    (folder / "plan.json").unlink(missing_ok=True)


def check_pictures(run: Run) -> None:
    """Raises EmbeddingError when no pair has a picture."""
    for path in run.part_paths:
        column = pq.read_table(path, columns=["image_path"]).column(0)
        if column.null_count < len(column):
            return
    raise EmbeddingError(
        f"{run.place}: none of its {run.n_pairs:,} pairs has a picture on this machine, so there is nothing to embed; "
        "curate a pool that holds pictures (WebDataset tars), or bring embeddings along: metaclip embed RUN --from PATH"
    )


class _Job:
    """One embedding under way."""

    def __init__(self, run: Run, spec: ModelSpec, folder: Path, on_progress: OnProgress) -> None:
        self.run, self.spec, self.folder, self.on_progress = run, spec, folder, on_progress
        self.model = {"name": spec.name, "pretrained": spec.pretrained, "fingerprint": spec.fingerprint}
        self.done = 0

    def encode(self, encoder: Encoder, texts: bool) -> None:
        write_json(self.folder / "plan.json", {"run": self.run.fingerprint, "model": self.model})
        for kind in (IMAGE, TEXT) if texts else (IMAGE,):
            make_folder(self.folder / kind)
        self._each_part("images", lambda path: self._images(path, encoder))
        if texts:
            self._each_part("texts", lambda path: self._texts(path, encoder))
        finish(self.run, self.folder, model=self.model, dim=encoder.dim, texts=texts, origin=self._origin())

    def _origin(self) -> str:
        """Where the pictures' vectors come from: captions may be added to imported ones."""
        manifest = self.folder / "manifest.json"
        return json.loads(manifest.read_bytes())["origin"] if manifest.exists() else "metaclip embed"

    def _each_part(self, stage: str, encode: Callable[[Path], None]) -> None:
        self.stage, self.done = stage, 0
        for path, part in zip(self.run.part_paths, self.run.manifest["parts"], strict=True):
            before = self.done
            encode(path)
            self._advance(before + part["rows"] - self.done)

    def _advance(self, n_pairs: int) -> None:
        self.done += n_pairs
        self.on_progress(Progress(self.stage, self.done, self.run.n_pairs, self.done))

    def _images(self, path: Path, encoder: Encoder) -> None:
        target = self.folder / IMAGE / f"{path.stem}.npy"
        if target.with_suffix(".json").exists():
            return
        places = pq.read_table(path, columns=["image_path", "image_offset", "image_size"]).to_pydict()
        places = list(zip(*places.values(), strict=True))
        vectors = np.zeros((len(places), encoder.dim), np.float16)
        reasons: Counter[str] = Counter()
        absent: list[int] = []
        for start, prepared in _prepared(places, encoder):
            good = [(start + i, picture) for i, picture in enumerate(prepared) if not isinstance(picture, str)]
            if good:
                rows, tensors = zip(*good, strict=True)
                vectors[list(rows)] = encoder.encode_prepared(tensors)
            for i, picture in enumerate(prepared):
                if isinstance(picture, str):
                    reasons[picture] += 1
                    absent.append(start + i)
            self._advance(len(prepared))
        write_images(target, vectors, absent, reasons)

    def _texts(self, path: Path, encoder: Encoder) -> None:
        target = self.folder / TEXT / f"{path.stem}.npy"
        if target.exists():
            return
        texts = pq.read_table(path, columns=["text"]).column(0)
        blocks = [np.zeros((0, encoder.dim), np.float16)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            block = texts.slice(start, _TEXTS_AT_ONCE).to_pylist()
            blocks.append(encoder.encode_texts(block).astype(np.float16))
            self._advance(len(block))
        write_vectors(target, np.concatenate(blocks))


_Place = tuple[str | None, int | None, int | None]


def _prepared(places: Sequence[_Place], encoder: Encoder) -> Iterator[tuple[int, list[Any]]]:
    """Batches as (first row, a tensor or the reason why there is none for each); the next is read while one is encoded."""

    def prepare(place: _Place) -> Any:
        path, offset, size = place
        if path is None:
            return "no_picture"
        try:
            data = read_picture(path, offset, size)
        except PoolError:
            return "missing_file"
        try:
            return encoder.preprocess(decode_picture(data, path, edge=2 * encoder.side))
        except PictureError:
            return "not_a_picture"

    with ThreadPoolExecutor(available_cores()) as pool:
        batch = encoder.batch_size
        waiting: list[tuple[int, list[Future[Any]]]] = []
        for start in range(0, len(places), batch):
            waiting.append((start, [pool.submit(prepare, place) for place in places[start : start + batch]]))
            if len(waiting) > 1:
                first, futures = waiting.pop(0)
                yield first, [future.result() for future in futures]
        for first, futures in waiting:
            yield first, [future.result() for future in futures]
