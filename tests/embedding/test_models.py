"""Which models there are, and what is refused, with nothing fetched from anywhere."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from metaclip_core.embedding import encoder as encoder_module
from metaclip_core.embedding.encoder import load_encoder
from metaclip_core.embedding.models import METACLIP_MODELS, ModelSpec, known_models, model_named
from metaclip_core.errors import ModelError, SettingsError


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and nothing in the Hub's cache."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_the_list_begins_with_the_shipped_model_and_metaclips_own() -> None:
    models = known_models(all_of_open_clip=True)
    assert models[0].name == "metaclip-sample"
    assert tuple(models[1 : 1 + len(METACLIP_MODELS)]) == METACLIP_MODELS
    assert ("ViT-B-32", "openai") in {(model.name, model.pretrained) for model in models}
    assert len({(model.name, model.pretrained) for model in models}) == len(models)


def test_metaclips_models_are_open_clips() -> None:
    import open_clip

    for model in METACLIP_MODELS:
        assert open_clip.is_pretrained_cfg(model.name, model.pretrained), model


@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu", "ViT-B-16-quickgelu"])
def test_the_sizes_are_those_of_the_models(name: str) -> None:
    import open_clip
    import torch

    with torch.device("meta"):
        config = open_clip.get_model_config(name)
        parameters = sum(p.numel() for p in open_clip.CLIP(**config).parameters())
    told = {model.parameters_m for model in METACLIP_MODELS if model.name == name}
    assert told == {round(parameters / 1e6)}


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("ViT-B-32-quickgelu", None, "needs --pretrained"),
        ("metaclip-sample", "openai", "has weights of its own"),
        ("local-dir:somewhere", "openai", "has weights of its own"),
    ],
)
def test_names_that_cannot_go_together(name: str, pretrained: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        model_named(name, pretrained)


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("ViT-Z-99", "openai", "open_clip knows no model 'ViT-Z-99'"),
        ("ViT-B-32-quickgelu", "metaclip_9t", "neither a tag of open_clip .*metaclip_400m.* nor a .safetensors"),
        (
            "ViT-B-32-quickgelu",
            "metaclip_fullcc",
            "not on this machine; `metaclip embed RUN --model ViT-B-32-quickgelu",
        ),
        ("ViT-B-32", "/nowhere/weights.pt", "can't be loaded|neither a tag"),
        ("local-dir:/nowhere", None, "open_clip_config.json: missing"),
    ],
)
def test_a_model_that_is_not_there(name: str, pretrained: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_encoder(ModelSpec(name, pretrained))


def test_offline_a_download_says_so() -> None:
    with pytest.raises(ModelError, match=r"can't be reached \(.*\); offline, only models that are on this machine"):
        load_encoder(ModelSpec("ViT-B-32-quickgelu", "metaclip_fullcc"), download=True)


def copy_of_the_sample_model(folder: Path) -> Path:
    source = model_named().folder
    assert source is not None
    shutil.copytree(source, folder)
    return folder


def test_a_checkpoint_of_the_wrong_shape(tmp_path: Path) -> None:
    folder = copy_of_the_sample_model(tmp_path / "model")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["embed_dim"] = 64
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"of another model \(\d+ tensors don't fit; the first: size mismatch"):
        load_encoder(model_named(f"local-dir:{folder}"))


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    folder = copy_of_the_sample_model(tmp_path / "model")
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="the weights can't be loaded"):
        load_encoder(model_named(f"local-dir:{folder}"))


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.target,))  # type: ignore[return-value]


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"state_dict": Payload(tmp_path / "ran")}))
    with pytest.raises(ModelError, match="can't be loaded"):
        load_encoder(model_named("ViT-B-32", str(tmp_path / "bad.pt")))
    assert not (tmp_path / "ran").exists()


def test_a_fingerprint_stands_for_the_content(tmp_path: Path) -> None:
    same = model_named(f"local-dir:{copy_of_the_sample_model(tmp_path / 'a')}")
    assert same.fingerprint == model_named().fingerprint
    other = copy_of_the_sample_model(tmp_path / "b")
    (other / "merges.txt.gz").write_bytes(b"other")
    assert model_named(f"local-dir:{other}").fingerprint != same.fingerprint
    tags = {model_named(model.name, model.pretrained).fingerprint for model in METACLIP_MODELS}
    assert len(tags) == len(METACLIP_MODELS)


def test_the_shipped_model_encodes_wherever_the_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = load_encoder(model_named())
    texts = encoder.encode_texts(["a red apple", "", "quxly zzyzx 日本 ☃", "a " * 500])
    assert texts.shape == (4, encoder.dim)
    assert texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_query("a red apple"), texts[0], atol=1e-5)


def test_where_memory_runs_out_the_batch_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    encoder = load_encoder(model_named())
    pictures = [torch.rand(3, 64, 64) for _ in range(10)]
    expected = encoder.encode_prepared(pictures)
    sizes: list[int] = []
    real = encoder._model.encode_image

    def small_only(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 4:
            raise torch.OutOfMemoryError("no room")
        return real(images)

    monkeypatch.setattr(encoder._model, "encode_image", small_only)
    encoder.batch_size = 16
    np.testing.assert_allclose(encoder.encode_prepared(pictures), expected, atol=1e-5)
    assert sizes == [10, 8, 4, 4, 2]
    assert encoder.batch_size == 4
    monkeypatch.setattr(encoder._model, "encode_image", lambda images: small_only(images.expand(9, 3, 64, 64)))
    encoder.batch_size = 1
    with pytest.raises(torch.OutOfMemoryError):
        encoder.encode_prepared(pictures)


@pytest.mark.parametrize(
    ("side", "device", "free", "expected"),
    [
        (224, "cuda", 78 * 2**30, 512),
        (224, "cuda:1", 8 * 2**30, 64),
        (336, "cuda", 2 * 2**30, 4),
        (224, "cpu", 64 * 2**30, 128),
        (64, "cpu", 4 * 2**30, 128),
        (224, "cpu", 2**30, 8),
        (224, "cpu", 2**20, 1),
    ],
)
def test_batches_are_sized_to_the_memory(
    monkeypatch: pytest.MonkeyPatch, side: int, device: str, free: int, expected: int
) -> None:
    import torch

    monkeypatch.setattr(encoder_module, "_free_bytes", lambda device: free)
    assert encoder_module._batch_size(side, torch.device(device)) == expected


def test_free_memory_is_what_the_system_has_left() -> None:
    import torch

    assert 2**24 < encoder_module._free_bytes(torch.device("cpu")) < 2**50


@pytest.mark.parametrize(
    ("available", "wanted", "expected"), [(True, None, "cuda"), (False, None, "cpu"), (True, "cpu", "cpu")]
)
def test_the_gpu_is_taken_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, available: bool, wanted: str | None, expected: str
) -> None:
    import torch

    tried = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch, "zeros", lambda n, device: tried.append(device))
    assert encoder_module._device(wanted) == torch.device(expected)
    assert tried == [torch.device(expected)]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(SettingsError, match=f"the device '{device}' can't be used here .*leave it out, or say cpu"):
        load_encoder(model_named(), device=device)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        (" \n\t", "the query is empty"),
        ("word " * 10_000, "the query has 10,000 words; at most"),
    ],
)
def test_a_query_that_is_none(query: str, message: str) -> None:
    encoder = load_encoder(model_named())
    with pytest.raises(SettingsError, match=message):
        encoder.encode_query(query)
