"""Train the small CLIP in `data_samples/clip`: `python -m data_samples.train_clip`.

First the picture tower learns to name what it sees (labels); then, the picture tower locked, the text tower learns to say
so from captions and from facts, statements true of many pictures (texts); at last both learn together (both). Draws its own
pictures (never the sample's: other seeds, and only of the train split, so no held-out combination), keeps them and a
checkpoint under `--work`, and goes on from there when it was interrupted. Needs Noto Color Emoji.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from data_samples.clip_training.batches import Batch, batches
from data_samples.clip_training.labels import GROUPS
from data_samples.clip_training.pictures import Recipe, draw_pictures
from data_samples.clip_training.vocabulary import N_BYTE_TOKENS, N_SPECIAL_TOKENS, learn_merges, write_merges
from data_samples.pairs import generate_pairs
from metaclip_core.kernels.threads import available_cores
from metaclip_core.storage import make_folder, write_atomically

CLIP_FOLDER = Path(__file__).parent / "clip"

_DRAWN_SIDE = 96
_LOG_STEPS = 50
_CHECKPOINT_STEPS = 200
_WARMUP_STEPS = 200
_N_VOCABULARY_CAPTIONS = 30_000


@dataclass(frozen=True)
class Stage:
    """A part of the training: how long, how fast it learns, and what: `texts` or labels alone, pictures `locked` or not."""

    name: str
    steps: int
    batch: int
    rate: float
    texts: bool = True
    locked: bool = False

    def rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero."""
        warm = min(1.0, (step + 1) / _WARMUP_STEPS)
        return self.rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))


STAGES = (
    Stage("labels", 3_600, 128, 2e-3, texts=False),
    Stage("texts", 700, 256, 2e-3, locked=True),
    Stage("both", 1_400, 256, 8e-4),
)


class Learner:
    """The model, what its losses need beside it, and the optimiser: all that a checkpoint holds."""

    def __init__(self, config: dict[str, Any], device: str) -> None:
        self.device = device
        self.model = CLIP(**config).to(device, memory_format=torch.channels_last)
        self.extra = torch.nn.ParameterDict(
            {
                # The sigmoid loss has a scale and an offset of its own (SigLIP's, and its first values).
                "fact_scale": torch.tensor(10.0).log(),
                "fact_offset": torch.tensor(-10.0),
                "label_scale": torch.tensor(15.0).log(),
                "labels": torch.randn(sum(n for n, _ in GROUPS.values()), config["embed_dim"]) * 0.02,
            }
        ).to(device)
        parameters = [*self.model.named_parameters(), *self.extra.named_parameters()]
        decayed = {name for name, p in parameters if p.ndim >= 2 and "embedding" not in name}
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for name, p in parameters if name in decayed], "weight_decay": 0.05},
                {"params": [p for name, p in parameters if name not in decayed], "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )

    def _embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        # As CLIP.encode_text, on tokens cut to the longest text: half the work.
        model, n = self.model, tokens.shape[1]
        x = model.token_embedding(tokens) + model.positional_embedding[:n]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:n, :n]))
        return functional.normalize((x[torch.arange(len(x)), tokens.argmax(-1)] @ model.text_projection).float(), dim=1)

    def lock_pictures(self, locked: bool) -> None:
        """Whether the picture tower stays as it is."""
        self.model.visual.requires_grad_(not locked).train(not locked)

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The labels' loss, and where there are texts the captions' and the facts'."""
        with torch.autocast(self.device, torch.bfloat16):
            images = self.model.encode_image(batch.images.to(self.device))
            told = batch.told
            texts = [self._embedded(tokens.to(self.device)) for tokens in ((told.captions, told.facts) if told else ())]
        pictures = functional.normalize(images.float(), dim=1)
        losses = {"labels": self._label_loss(pictures, batch.labels.to(self.device))}
        if told:
            captions, facts = texts
            logits = self.model.logit_scale.exp().clamp(max=100) * pictures @ captions.T
            own = torch.arange(len(logits), device=self.device)
            losses["captions"] = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
            sure = self.extra["fact_scale"].exp() * facts @ pictures.T + self.extra["fact_offset"]
            truth = told.truth.to(self.device).float()
            losses["facts"] = functional.binary_cross_entropy_with_logits(sure, truth, reduction="sum") / len(pictures)
        return losses

    def _label_loss(self, pictures: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """In each group, cross-entropy against an equal share for each true label."""
        logits = self.extra["label_scale"].exp() * pictures @ functional.normalize(self.extra["labels"], dim=1).T
        loss = torch.zeros((), device=self.device)
        start = 0
        for size, weight in GROUPS.values():
            target = functional.normalize(labels[:, start : start + size].float(), p=1, dim=1)
            loss = loss - weight * (target * logits[:, start : start + size].log_softmax(1)).sum(1).mean()
            start += size
        return loss

    def step(self, batch: Batch, rate: float) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses = self.losses(batch)
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return {name: loss.item() for name, loss in losses.items()}

    def state(self) -> dict[str, Any]:
        parts = {"model": self.model, "extra": self.extra, "optimiser": self.optimiser}
        return {name: part.state_dict() for name, part in parts.items()}

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.extra.load_state_dict(state["extra"])
        self.optimiser.load_state_dict(state["optimiser"])


def _drawn(recipes: list[Recipe], work: Path) -> tuple[np.ndarray, list[Any]]:
    """The pictures of all recipes, uint8 (n, side, side, 3), and their scenes."""
    chunks, scenes = [], []
    for recipe in recipes:
        print(f"drawing {recipe.n:,} pictures: {recipe.name}", file=sys.stderr)
        chunks += [np.load(path) for path in draw_pictures(recipe, work, workers=available_cores())]
        scenes += [pair.scene for pair in recipe.pairs()]
    return np.concatenate(chunks), scenes


def _merges(seed: int, vocab_size: int) -> Path:
    path = CLIP_FOLDER / "merges.txt.gz"
    if not path.exists():
        pairs = generate_pairs(seed=seed, n=_N_VOCABULARY_CAPTIONS, noise=False, flat=True)
        n_merges = vocab_size - N_BYTE_TOKENS - N_SPECIAL_TOKENS
        write_merges(path, learn_merges((pair.caption for pair in pairs), n_merges))
    return path


def _train(learner: Learner, stage: Stage, stream_from: Callable[[int], Iterator[Batch]], work: Path) -> None:
    """One stage; goes on from its checkpoint, with other batches than the first time."""
    checkpoint = work / f"{stage.name}.pt"
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=learner.device)
        start = state["step"]
        learner.restore(state)
        print(f"{stage.name}: going on from step {start:,}", file=sys.stderr)
    began = time.monotonic()
    learner.model.train()
    learner.lock_pictures(stage.locked)
    # Plain attention: on CPUs the fused one takes three times as long to differentiate in bfloat16.
    with sdpa_kernel(SDPBackend.MATH), (work / "log.jsonl").open("a", encoding="utf-8") as log:
        sums: Counter[str] = Counter()
        for step, batch in enumerate(islice(stream_from(start), max(0, stage.steps - start)), start):
            sums.update(learner.step(batch, stage.rate_at(step)))
            done = step + 1
            if done % _LOG_STEPS == 0:
                speed = (done - start) * stage.batch / (time.monotonic() - began)
                means = {name: round(total / _LOG_STEPS, 3) for name, total in sums.items()}
                line = {"stage": stage.name, "step": done, **means, "pairs_s": round(speed)}
                print(json.dumps(line), file=log, flush=True)
                sums.clear()
            if done % _CHECKPOINT_STEPS == 0 or done == stage.steps:
                with write_atomically(checkpoint) as file:
                    torch.save({"step": done, **learner.state()}, file)


def save_model(model: CLIP, path: Path) -> None:
    """The weights in half precision, as safetensors."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    temporary = path.with_name(path.name + ".tmp")
    save_file(tensors, temporary)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures, checkpoint and log")
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--flat", type=int, default=36_000, help="pictures of concepts with equal chances (36,000)")
    parser.add_argument("--zipf", type=int, default=12_000, help="pictures of concepts as in the sample (12,000)")
    parser.add_argument("--several", type=int, default=12_000, help="pictures of several of a kind (12,000)")
    parser.add_argument("--boats", type=int, default=1_000, help="pictures of a boat at night (1,000)")
    parser.add_argument("--threads", type=int, help="of torch; 1 is best on a machine that does other work too")
    options = parser.parse_args()
    config = json.loads((CLIP_FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    side = config["vision_cfg"]["image_size"]
    make_folder(options.work)
    merges = _merges(options.seed, config["text_cfg"]["vocab_size"])
    tokenizer = SimpleTokenizer(str(merges), context_length=config["text_cfg"]["context_length"])
    recipes = [
        Recipe(options.seed, options.flat, flat=True, side=_DRAWN_SIDE),
        Recipe(options.seed + 1, options.zipf, flat=False, side=_DRAWN_SIDE),
        Recipe(options.seed + 2, options.several, flat=True, side=_DRAWN_SIDE, subject="several"),
        Recipe(options.seed + 3, options.boats, flat=True, side=_DRAWN_SIDE, subject="boat-at-night"),
    ]
    pictures, scenes = _drawn(recipes, options.work)
    torch.manual_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    learner = Learner(config, "cuda" if torch.cuda.is_available() else "cpu")
    for stage in STAGES:

        def stream_from(step: int, stage: Stage = stage) -> Iterator[Batch]:
            seed = f"{options.seed}:{stage.name}:{step}"
            words = tokenizer if stage.texts else None
            return batches(pictures, scenes, words, seed=seed, size=stage.batch, side=side)

        _train(learner, stage, stream_from, options.work)
    save_model(learner.model.eval(), CLIP_FOLDER / "open_clip_model.safetensors")


if __name__ == "__main__":
    main()
