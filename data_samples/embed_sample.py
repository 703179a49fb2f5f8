"""Embed the sample's pictures by the small CLIP, and lay out their map: `python -m data_samples.embed_sample`, after each training.

So that the first search of a newcomer needs no ten seconds of embedding, and the map not twenty. Written in DataComp's layout,
a byte a number (a vector's direction is all that counts, and it moves by half a per cent), and imported as anybody's
embeddings are. The map is of these vectors in the sample's run: its name says so.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from data_samples.evaluate_clip import load_gallery
from metaclip_core.curation import curate
from metaclip_core.embedding import import_embeddings, open_embeddings
from metaclip_core.embedding.encoder import load_encoder
from metaclip_core.embedding.models import model_named
from metaclip_core.search import map_points
from metaclip_core.storage import make_folder, write_atomically

FOLDER = Path(__file__).parent / "clip" / "embeddings"
ARRAY = "metaclip_sample_img"

_LEVELS = 90  # of a vector of length 1: its usual numbers fall between -16 and 16


def main() -> None:
    gallery = load_gallery(load_encoder(model_named()))
    whole = np.clip(np.rint(gallery.vectors * _LEVELS), -127, 127).astype(np.int8)
    make_folder(FOLDER)
    array = io.BytesIO()
    np.save(array, whole)
    with write_atomically(FOLDER / "sample.npz") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        # A fixed time, so that the same vectors give the same file.
        archive.writestr(zipfile.ZipInfo(f"{ARRAY}.npy", (2026, 1, 1, 0, 0, 0)), array.getvalue(), zipfile.ZIP_LZMA)
    with write_atomically(FOLDER / "sample.parquet") as file:
        pl.DataFrame({"key": gallery.keys}).write_parquet(file, compression="zstd", compression_level=19)
    lay_out_map()
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    cosine = (gallery.vectors * whole).sum(axis=1) / np.linalg.norm(whole.astype(np.float32), axis=1)
    print(f"{FOLDER}: {len(whole):,} vectors, {size / 1e6:.2f} MB, least cosine to the originals {cosine.min():.4f}")


def lay_out_map() -> None:
    """Make the map of the vectors that are here, as the search page would."""
    sample = Path(__file__).parent
    for old in FOLDER.glob("map-*.parquet"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        run = curate(sample / "shards", sample / "metadata.parquet", Path(folder) / "run")
        import_embeddings(run, FOLDER, model_named())
        embeddings = open_embeddings(run, model_named())
        map_points(embeddings)
        for made in embeddings.path.glob("map-*.parquet"):
            with write_atomically(FOLDER / made.name) as file:
                file.write(made.read_bytes())


if __name__ == "__main__":
    main()
