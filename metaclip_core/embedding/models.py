"""Which models there are: the one that ships, MetaCLIP's own, any other of open_clip, and people's own checkpoints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash

from metaclip_core.errors import ModelError
from metaclip_core.storage import file_digest

__all__ = ["METACLIP_MODELS", "SAMPLE_MODEL", "KnownModel", "ModelSpec", "known_models", "model_named"]

SAMPLE_MODEL = "metaclip-sample"
"""The small CLIP in `data_samples/clip`: knows the sample's world and nothing else."""

_LOCAL_DIR = "local-dir:"
_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class KnownModel:
    """A line of the list to choose from. `parameters_m`: millions, both towers; weights take four bytes each at most."""

    name: str
    pretrained: str | None
    parameters_m: float | None

    @property
    def label(self) -> str:
        label = f"{self.name} · {self.pretrained}" if self.pretrained else self.name
        return f"{label} ({self.parameters_m:,.0f}M parameters)" if self.parameters_m else label


METACLIP_MODELS = (
    KnownModel("ViT-B-32-quickgelu", "metaclip_400m", 151),
    KnownModel("ViT-B-32-quickgelu", "metaclip_fullcc", 151),
    KnownModel("ViT-B-16-quickgelu", "metaclip_400m", 150),
    KnownModel("ViT-B-16-quickgelu", "metaclip_fullcc", 150),
    KnownModel("ViT-L-14-quickgelu", "metaclip_400m", 428),
    KnownModel("ViT-L-14-quickgelu", "metaclip_fullcc", 428),
    KnownModel("ViT-H-14-quickgelu", "metaclip_fullcc", 986),
    KnownModel("ViT-bigG-14-quickgelu", "metaclip_fullcc", 2540),
    KnownModel("ViT-H-14-worldwide-quickgelu", "metaclip2_worldwide", 1858),
)
"""What the authors of MetaCLIP published, smallest first; the last is MetaCLIP 2 and needs `transformers`."""


def known_models(*, all_of_open_clip: bool = False) -> list[KnownModel]:
    """Models to choose from: the one that ships, MetaCLIP's; then, where asked for (imports torch), open_clip's others."""
    models = [KnownModel(SAMPLE_MODEL, None, None), *METACLIP_MODELS]
    if all_of_open_clip:
        import open_clip

        listed = {(model.name, model.pretrained) for model in models}
        models += [
            KnownModel(name, tag, None)
            for name, tag in sorted(open_clip.list_pretrained())
            if (name, tag) not in listed
        ]
    return models


@dataclass(frozen=True)
class ModelSpec:
    """A model by name: `metaclip-sample`, an open_clip name, or `local-dir:FOLDER` (open_clip's layout of a folder).

    `pretrained`: for an open_clip name, the tag of its weights or a checkpoint's path; else None.
    """

    name: str
    pretrained: str | None = None

    @property
    def label(self) -> str:
        return f"{self.name} · {self.pretrained}" if self.pretrained else self.name

    @property
    def folder(self) -> Path | None:
        """The folder with configuration and weights; None for an open_clip name."""
        if self.name == SAMPLE_MODEL:
            return _sample_folder()
        return Path(self.name.removeprefix(_LOCAL_DIR)) if self.name.startswith(_LOCAL_DIR) else None

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint's file where `pretrained` names one."""
        is_path = self.pretrained is not None and Path(self.pretrained).suffix in _WEIGHT_SUFFIXES
        return Path(self.pretrained) if is_path and self.pretrained else None

    @property
    def merges(self) -> Path | None:
        """The vocabulary that `folder` brings along; None where open_clip's is used. Raises ModelError."""
        if self.folder is None:
            return None
        name = ((self.config()["model_cfg"].get("text_cfg") or {}).get("tokenizer_kwargs") or {}).get("bpe_path")
        return self.folder / name if name else None  # open_clip would look for it in the working folder

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits: of the files' content, or of name and tag. Needs no torch. Raises ModelError."""
        digest = xxhash.xxh3_128()
        for part in self._identity():
            digest.update(part.encode() + b"\0")
        return digest.hexdigest()

    def _identity(self) -> list[str]:
        if self.folder is not None:
            files = [self.folder / _CONFIG, self.folder / _WEIGHTS, self.merges]
            return [_digest(path) for path in files if path is not None]
        if self.checkpoint is not None:
            return [self.name, _digest(self.checkpoint)]
        return [self.name, self.pretrained or ""]

    def config(self) -> dict[str, Any]:
        """`open_clip_config.json` of `folder`. Raises ModelError."""
        path = (self.folder or Path()) / _CONFIG
        try:
            config = json.loads(path.read_bytes())
            if not isinstance(config["model_cfg"], dict):
                raise TypeError("model_cfg is no object")
        except FileNotFoundError as error:
            raise ModelError(f"{path}: missing; a model's folder holds {_CONFIG} and {_WEIGHTS}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not the configuration of an open_clip model ({error})") from error
        return config


def _digest(path: Path) -> str:
    try:
        return str(file_digest(path)["xxh3_128"])
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}; no such model on this machine") from error


def _sample_folder() -> Path:
    above = Path(__file__).resolve().parents[2]  # the repository, or where the wheel's folders lie side by side
    for folder in (above / "metaclip_dashboard" / "data_samples" / "clip", above / "data_samples" / "clip"):
        if (folder / _CONFIG).exists():
            return folder
    raise ModelError(f"the model {SAMPLE_MODEL} is not installed beside {above}; install metaclip-dashboard again")


def model_named(name: str | None = None, pretrained: str | None = None) -> ModelSpec:
    """The model of this name (None: the one that ships). Raises ModelError where the two can't go together."""
    name = name or SAMPLE_MODEL
    spec = ModelSpec(name, pretrained)
    if name == SAMPLE_MODEL or name.startswith(_LOCAL_DIR):
        if pretrained:
            raise ModelError(f"{name} has weights of its own; leave out the pretrained tag {pretrained!r}")
        return spec
    if not pretrained:
        raise ModelError(
            f"the model {name!r} needs --pretrained: a tag (for ViT-B-32-quickgelu such as metaclip_fullcc) "
            "or the path of a checkpoint"
        )
    if spec.checkpoint is not None and not spec.checkpoint.is_absolute():
        return ModelSpec(name, str(spec.checkpoint.resolve()))
    return spec
