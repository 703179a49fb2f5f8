"""A loaded open_clip model: pictures and texts to unit vectors. Weights are read without unpickling code."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaclip_core.embedding.models import ModelSpec
from metaclip_core.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_QUERY_WORDS", "Encoder", "check_query", "load_encoder", "preload"]

MAX_QUERY_WORDS = 200
"""CLIP models read 77 tokens at most; a query of more words than this is a mistake, not a query."""

_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # in the order open_clip looks for them
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
_BATCH_MEMORY_SHARE = 0.25  # of the free memory
_BYTES_A_PIXEL = 600  # of activations an input pixel: generous, and where it is not enough the batch is halved
_LARGEST_BATCH = 512

_importing = threading.Lock()  # two threads in one import, from its two ends, may see half of it


class Encoder:
    """A model ready to encode; made by `load_encoder`. Results are float32, rows of length 1. `device`: torch's."""

    def __init__(self, spec: ModelSpec, model: Any, preprocess: Any, tokenizer: Any, device: Any) -> None:
        self.spec, self.device = spec, device
        self._model, self._tokenizer = model, tokenizer
        self.preprocess = preprocess
        """PIL picture -> float32 tensor (3, side, side); safe to call from threads."""

        side = model.visual.image_size
        self.side = int(side[0] if isinstance(side, tuple | list) else side)
        self.batch_size = _batch_size(self.side, device)

    @cached_property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.encode_query("a"))

    def encode_pictures(self, pictures: Sequence[Image]) -> np.ndarray:
        """float32 (n, dim)."""
        return self.encode_prepared([self.preprocess(picture) for picture in pictures])

    def encode_prepared(self, tensors: Sequence[Any]) -> np.ndarray:
        """What `preprocess` gave, to float32 (n, dim); halves the batch for good where memory runs out."""
        import torch

        out, start = [np.zeros((0, self.dim), np.float32)], 0
        while start < len(tensors):
            images = torch.stack(list(tensors[start : start + self.batch_size]))
            try:
                out.append(self._encoded(self._model.encode_image, images))
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2
                continue
            start += len(images)
        return np.concatenate(out)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, dim). What is longer than the model's context is cut."""
        batches = (list(texts[start : start + _LARGEST_BATCH]) for start in range(0, len(texts), _LARGEST_BATCH))
        encoded = [self._encoded(self._model.encode_text, self._tokenizer(batch)) for batch in batches]
        return np.concatenate(encoded) if encoded else np.zeros((0, self.dim), np.float32)

    def encode_query(self, text: str) -> np.ndarray:
        """A reader's query as float32 (dim,). Raises SettingsError for one that is empty or endless."""
        check_query(text)
        return self.encode_texts([text])[0]

    def _encoded(self, encode: Any, inputs: Any) -> np.ndarray:
        import torch

        autocast = torch.autocast("cuda") if self.device.type == "cuda" else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            vectors = encode(inputs.to(self.device))
        return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()


def check_query(text: str) -> None:
    """Raises SettingsError for a query that is empty or endless; needs no model."""
    n_words = len(text.split())
    if not n_words:
        raise SettingsError("the query is empty; describe what the pictures should show")
    if n_words > MAX_QUERY_WORDS:
        raise SettingsError(f"the query has {n_words:,} words; at most {MAX_QUERY_WORDS} are read: shorten it")


def preload() -> None:
    """Import what `load_encoder` needs, which takes seconds: for a thread beside a reader who is still typing."""
    with _importing:
        collects = gc.isenabled()
        gc.disable()  # collections find nothing in an import, and take a sixth of its time
        try:
            import open_clip  # noqa: F401
        finally:
            if collects:
                gc.enable()


def load_encoder(spec: ModelSpec, *, device: str | None = None, download: bool = False) -> Encoder:
    """Load a model onto the GPU where there is one, else the CPU. Raises ModelError; SettingsError for a device that isn't.

    Nothing is fetched from the network unless `download`.
    """
    preload()
    import open_clip

    place = _device(device)
    with _wrapped(spec):
        merges = spec.merges
        name = f"local-dir:{spec.folder}" if spec.folder else spec.name
        arguments = {} if spec.folder else _weights(spec, download)
        model, _, preprocess = open_clip.create_model_and_transforms(name, device=place, weights_only=True, **arguments)
        tokenizer = open_clip.get_tokenizer(name, **({"bpe_path": str(merges)} if merges else {}))
    return Encoder(spec, model.eval(), preprocess, tokenizer, place)


def _device(wanted: str | None) -> Any:
    import torch

    try:
        device = torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"the device {wanted!r} can't be used here ({_reason(error)}); leave it out, or say cpu"
        ) from error
    return device


def _weights(spec: ModelSpec, download: bool) -> dict[str, Any]:
    """The arguments of `create_model_and_transforms` that name the weights' file and what goes with it."""
    import open_clip

    if open_clip.get_model_config(spec.name) is None:
        raise ModelError(f"open_clip knows no model {spec.name!r}; `metaclip embed --list` shows those it knows")
    if spec.checkpoint is not None:
        return {"pretrained": str(spec.checkpoint)}
    tag = open_clip.get_pretrained_cfg(spec.name, spec.pretrained)
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(spec.name)) or "none"
        raise ModelError(
            f"{spec.name} has no weights {spec.pretrained!r}: neither a tag of open_clip (there are: {tags}) "
            "nor a .safetensors, .pt, .pth or .bin file"
        )
    path = _cached(tag)
    if path is None and download:
        _check_hub(spec, tag)
        path = open_clip.download_pretrained(tag)
    if path is None:
        raise ModelError(
            f"the weights of {spec.label} are not on this machine; "
            f"`metaclip embed RUN --model {spec.name} --pretrained {spec.pretrained}` fetches them once"
        )
    preprocessing = {key: tag[key] for key in _PREPROCESSING if key in tag}
    return {
        "pretrained": str(path),
        "force_quick_gelu": bool(tag.get("quick_gelu")),
        "image_mean": preprocessing.get("mean"),
        "image_std": preprocessing.get("std"),
        "image_interpolation": preprocessing.get("interpolation"),
        "image_resize_mode": preprocessing.get("resize_mode"),
    }


def _check_hub(spec: ModelSpec, tag: dict[str, Any]) -> None:
    """Raises ModelError at once where the Hub can't be reached, which its own client tries for most of a minute."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if tag.get("hf_hub"):
        try:
            get_session().head(constants.ENDPOINT, timeout=10)
        except Exception as error:  # httpx's, below a session that may be anyone's
            raise ModelError(
                f"{spec.label}: {constants.ENDPOINT} can't be reached ({_reason(error)}); "
                "offline, only models that are on this machine can be used"
            ) from error


def _cached(tag: dict[str, Any]) -> Path | None:
    """The weights' file, where the Hub's cache on this machine has it."""
    from huggingface_hub import try_to_load_from_cache

    repository, _, file = tag.get("hf_hub", "").rpartition("/")
    for name in (file,) if file else _HUB_FILES:
        found = try_to_load_from_cache(repository, name) if repository else None
        if isinstance(found, str):
            return Path(found)
    return None


@contextlib.contextmanager
def _wrapped(spec: ModelSpec) -> Iterator[None]:
    """Whatever torch, open_clip and the Hub raise, as a ModelError; open_clip's log is kept quiet."""
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except ModelError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{spec.label}: {error}; offline, only models that are on this machine can be used") from error
    except ImportError as error:
        raise ModelError(f"{spec.label} needs the package {error.name}: pip install {error.name}") from error
    except Exception as error:
        raise ModelError(f"{spec.label}: the weights can't be loaded: {_reason(error)}") from error
    finally:
        log.setLevel(level)


def _reason(error: Exception) -> str:
    """The line that says it: torch lists each tensor that doesn't fit, hundreds of them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "size mismatch" in str(error) or "Missing key" in str(error):
        n = sum("size mismatch" in line for line in lines)
        first = next((line for line in lines if "size mismatch" in line), lines[min(1, len(lines) - 1)])
        return f"they are of another model ({n or len(lines)} tensors don't fit; the first: {first[:200]})"
    if isinstance(error, AssertionError):  # open_clip's way to find shapes that don't go together
        return f"they are of another model ({lines[0] if lines else 'shapes differ'})"
    if "weights_only" in str(error).lower() or "unpickl" in str(error).lower():
        return "the file holds more than weights, which is never run here; convert it to safetensors"
    return lines[0][:300] if lines else type(error).__name__


def _batch_size(side: int, device: Any) -> int:
    """Pictures at once, a power of two: what a share of the free memory takes, at most 512 on a GPU and 128 on a CPU."""
    free = _free_bytes(device) * _BATCH_MEMORY_SHARE
    fits = max(1, int(free // (side * side * _BYTES_A_PIXEL)))
    return min(_LARGEST_BATCH if device.type == "cuda" else 128, 1 << (fits.bit_length() - 1))


def _free_bytes(device: Any) -> int:
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        meminfo = Path("/proc/meminfo").read_text()
    except OSError:
        return 4 * 2**30  # macOS and Windows tell only through other packages
    # Not what is free: what files are cached in is given back when it is needed.
    (available,) = (line.split()[1] for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    return int(available) * 1024
