"""WebDataset shards, read back by those they are for: webdataset, open_clip, and our own pool reader."""

from __future__ import annotations

import gc
import importlib.metadata
import io
import re
import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from metaclip_core.curation import curate
from metaclip_core.errors import PoolError
from metaclip_core.export import export
from metaclip_core.progress import Progress
from metaclip_core.run import Run, open_run

from .conftest import METADATA, REPOSITORY, WITHOUT_PICTURE, Pool, make_pool
from .oracle import expected

# webdataset leaves the shards open for the collector to close, in a test of its own if we don't ask for it here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]

KINDS = ("jpg", "png", "webp", "gif")


@pytest.fixture
def collected() -> Iterator[None]:
    yield
    gc.collect()


def samples_of(folder: Path) -> list[dict[str, Any]]:
    import webdataset

    shards = [str(path) for path in sorted(folder.glob("*.tar"))]
    stages = webdataset.SimpleShardList(shards), webdataset.tarfile_to_samples(), webdataset.decode()
    return list(webdataset.DataPipeline(*stages))


def test_webdataset_reads_every_kept_pair_and_its_own_picture(pool: Pool, tmp_path: Path) -> None:
    result = export(pool.run, tmp_path / "out", t=40, format="webdataset", pairs_per_file=50)
    numbers = {key: i for i, (_, key, _) in enumerate(pool.pairs)}
    kept = [pair for pair in expected(pool.pairs, METADATA, 40) if pair.keep_t < 40]
    with_picture = [pair for pair in kept if numbers[pair.key] != WITHOUT_PICTURE]
    assert (result.left_out, result.pairs) == ({"no_picture": 1}, len(with_picture))
    samples = samples_of(tmp_path / "out")
    assert [sample["__key__"] for sample in samples] == [pair.key for pair in with_picture]
    for sample, pair in zip(samples, with_picture, strict=True):
        assert sample["txt"] == pair.text
        (kind,) = set(sample) & set(KINDS)
        assert sample[kind] == pool.pictures[numbers[pair.key]]
        assert Image.open(io.BytesIO(sample[kind])).format == {"jpg": "JPEG"}.get(kind, kind.upper())
        fields = sample["json"]
        assert (fields["key"], fields["keep_t"], fields["matched_entries"]) == (pair.key, pair.keep_t, pair.entries)
        assert fields["url"] == f"https://example.com/{numbers[pair.key]}"
        assert fields["keep_probability"] == pytest.approx(pair.keep_probability, abs=1e-12)
        assert "uid" not in fields
    gifs = sum("gif" in sample for sample in samples)
    assert result.recipe["figures"]["pictures"]["gif"] == gifs > 0
    assert f"{gifs} pairs have a gif picture, which open_clip skips" in result.card_path.read_text()


@pytest.fixture
def of_150_pairs(sample_run: Run, tmp_path: Path) -> tuple[Namespace, list[str]]:
    """open_clip's arguments for an export in three shards of 50 pairs, and the captions in it."""
    t = sample_run.balance().t_for_size(150)
    result = export(sample_run, tmp_path / "out", t=t, format="webdataset", pairs_per_file=50)
    assert [path.name for path in result.files] == ["00000.tar", "00001.tar", "00002.tar", "sizes.json"]
    shards = str(tmp_path / "out/{00000..00002}.tar")
    settings = Namespace(
        **{"train_data": shards, "train_num_samples": None, "train_data_upsampling_factors": None},
        **{"val_data": shards, "val_num_samples": 150},
        **{"seed": 0, "batch_size": 25, "workers": 0, "world_size": 1},
    )
    return settings, sample_run.pairs().filter(pl.col("keep_t") < t).collect()["text"].to_list()


def test_open_clip_evaluates_on_the_shards(of_150_pairs: tuple[Namespace, list[str]]) -> None:
    import torch

    settings, captions = of_150_pairs
    loader, tokenizer = open_clip_loader(settings, is_train=False)
    images, tokens = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert (images.shape, images.dtype) == ((150, 3, 32, 32), torch.float32)
    assert torch.equal(tokens, tokenizer(captions))


def test_open_clip_trains_on_the_shards(of_150_pairs: tuple[Namespace, list[str]]) -> None:
    if (version := importlib.metadata.version("webdataset")) != "0.2.86":
        pytest.skip(f"open_clip trains with webdataset up to 0.2.86 (its extra `training`), this is {version}")
    settings, captions = of_150_pairs
    loader, tokenizer = open_clip_loader(settings, is_train=True)
    assert (loader.num_samples, loader.num_batches) == (150, 6)  # from sizes.json
    known = {tuple(tokens) for tokens in tokenizer(captions).tolist()}
    seen = [tuple(tokens) for _, batch in loader for tokens in batch.tolist()]
    assert len(seen) == 150
    assert set(seen) <= known


def open_clip_loader(settings: Namespace, *, is_train: bool) -> tuple[Any, Any]:
    """The data loader that `open_clip_train` makes of its arguments, and the tokenizer it was given."""
    from open_clip import image_transform
    from open_clip.tokenizer import SimpleTokenizer
    from open_clip_train.data import get_wds_dataset

    tokenizer = SimpleTokenizer(context_length=32)
    transform = image_transform(32, is_train=False)
    return get_wds_dataset(settings, transform, is_train, tokenizer=tokenizer).dataloader, tokenizer


def test_an_export_is_a_pool_again(sample_run: Run, tmp_path: Path) -> None:
    export(sample_run, tmp_path / "out", t=20, format="webdataset", pairs_per_file=1000)
    again = curate(tmp_path / "out", REPOSITORY / "data_samples/metadata.parquet", tmp_path / "again")
    columns = ["identity", "uid", "key", "text", "url", "image_size"]
    kept = sample_run.pairs([*columns, "keep_t"]).filter(pl.col("keep_t") < 20).collect().select(columns)
    assert again.pairs(columns).collect().equals(kept)


@pytest.mark.parametrize(
    "key", ["../../{:05d}", "x/{:05d}", "-{:05d}", "é{:05d}", "k" * 120 + "{:05d}", "a b{:05d}", "{0:05d}\n"]
)
def test_keys_that_are_not_safe_are_numbered(tmp_path: Path, key: str) -> None:
    pool = make_pool(tmp_path / "pool", key=key)
    export(pool.run, tmp_path / "out", t=1e9, format="webdataset")
    samples = samples_of(tmp_path / "out")
    assert len(samples) == 180 - 1
    assert all(re.fullmatch("[0-9]{9}", sample["__key__"]) for sample in samples)
    assert len({sample["__key__"] for sample in samples}) == len(samples)
    matched = [pair for pair in expected(pool.pairs, METADATA, 1e9) if pair.entries]
    assert [sample["json"]["key"] for sample in samples] == [
        p.key for p in matched if p.key != key.format(WITHOUT_PICTURE)
    ]


def test_repeated_keys_are_numbered(tmp_path: Path) -> None:
    pool = make_pool(tmp_path / "pool", key="same", uid=True)
    export(pool.run, tmp_path / "out", t=1e9, format="webdataset")
    assert len({sample["__key__"] for sample in samples_of(tmp_path / "out")}) == 180 - 1


def test_an_empty_set_is_an_empty_shard(pool: Pool, tmp_path: Path) -> None:
    result = export(pool.run, tmp_path / "out", t=0, format="webdataset")
    assert (samples_of(tmp_path / "out"), result.pairs) == ([], 0)
    assert (tmp_path / "out/sizes.json").read_text() == '{\n  "00000.tar": 0\n}\n'


@pytest.fixture
def copied(pool: Pool, tmp_path: Path) -> Pool:
    """The small pool, curated from a copy that may be damaged."""
    shutil.copytree(pool.run.path.parent / "pool", tmp_path / "pool")
    run = curate(tmp_path / "pool", pool.metadata, tmp_path / "run")
    return Pool(run, pool.pairs, pool.pictures, pool.metadata)


def test_a_shard_that_is_gone_is_named(copied: Pool, tmp_path: Path) -> None:
    (tmp_path / "pool/1.tar").rename(tmp_path / "elsewhere.tar")
    with pytest.raises(PoolError, match=r"pool/1\.tar: its pictures can't be read: No such file.*put the pool back"):
        export(copied.run, tmp_path / "out", t=30, format="webdataset")
    assert not (tmp_path / "out").exists()


def test_a_shard_that_goes_away_meanwhile_ends_it(copied: Pool, tmp_path: Path) -> None:
    def take_away(progress: Progress) -> None:
        if progress.done == 20:
            (tmp_path / "pool/1.tar").rename(tmp_path / "elsewhere.tar")

    with pytest.raises(PoolError, match=r"pool/1\.tar: its pictures can't be read"):
        export(copied.run, tmp_path / "out", t=30, format="webdataset", pairs_per_file=20, on_progress=take_away)
    assert not (tmp_path / "out").exists()
    (tmp_path / "elsewhere.tar").rename(tmp_path / "pool/1.tar")
    result = export(copied.run, tmp_path / "out", t=30, format="webdataset", pairs_per_file=20)
    assert result.left_out == {"no_picture": 1}


def test_a_shard_that_was_written_anew_is_named(copied: Pool, tmp_path: Path) -> None:
    with (tmp_path / "pool/0.tar").open("ab") as file:
        file.write(bytes(10240))
    with pytest.raises(PoolError, match=r"pool/0\.tar: has [0-9,]+ bytes, and had"):
        export(copied.run, tmp_path / "out", t=30, format="webdataset")


def damage(run: Run, keys: list[str]) -> None:
    rows = run.pairs(["key", "image_path", "image_offset"]).collect().rows()
    for key, path, offset in rows:
        if key in keys and path is not None:
            with Path(path).open("r+b") as file:
                file.seek(offset)
                file.write(b"not a picture")


def test_pictures_that_can_not_be_read_are_counted(copied: Pool, tmp_path: Path) -> None:
    keys = [pair.key for pair in expected(copied.pairs, METADATA, 30) if pair.keep_t < 30]
    damage(copied.run, keys[20:23])
    result = export(copied.run, tmp_path / "out", t=30, format="webdataset")
    assert result.left_out == {"no_picture": 1, "unreadable_picture": 3}
    assert result.curated_pairs - result.pairs == sum(result.left_out.values())
    assert not {sample["__key__"] for sample in samples_of(tmp_path / "out")} & set(keys[20:23])


def test_without_one_readable_picture_it_is_refused(copied: Pool, tmp_path: Path) -> None:
    damage(copied.run, [key for _, key, _ in copied.pairs])
    with pytest.raises(PoolError, match=r"none of the .* curated pairs has a picture that can be read"):
        export(copied.run, tmp_path / "out", t=30, format="webdataset")
    assert not (tmp_path / "out").exists()


def test_a_pool_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text('{"text": "a dog"}\n')
    (tmp_path / "metadata.txt").write_text("dog\n")
    curate(tmp_path / "pool.jsonl", tmp_path / "metadata.txt", tmp_path / "run")
    with pytest.raises(PoolError, match=r"no pictures.*img2dataset"):
        export(open_run(tmp_path / "run"), tmp_path / "out", t=30, format="webdataset")
