"""Train open_clip on a run at a threshold, balanced while its tars are read:

    metaclip curate data_samples/shards --metadata data_samples/metadata.parquet --out /tmp/run
    python examples/train_open_clip.py /tmp/run -t 20 --epochs 2

The loader is open_clip's own recipe (open_clip_train.data.get_wds_dataset) with one stage more. Needs `webdataset`.
"""

from __future__ import annotations

import argparse

import open_clip
import torch
import webdataset as wds

from metaclip_core.run import open_run
from metaclip_core.training import balanced_dataset


class SharedEpoch:
    """The epoch, as every loader process sees it; open_clip has the same class."""

    def __init__(self) -> None:
        self.value = torch.multiprocessing.Value("i", 0)

    def get_value(self) -> int:
        return self.value.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("-t", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--model", default="RN50")
    parser.add_argument("--steps", type=int, help="stop an epoch after so many batches")
    options = parser.parse_args()

    model, preprocess, _ = open_clip.create_model_and_transforms(options.model)
    tokenizer = open_clip.get_tokenizer(options.model)
    loss = open_clip.ClipLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    epoch = SharedEpoch()
    loader = make_loader(options, preprocess, tokenizer, epoch)
    for number in range(options.epochs):
        epoch.value.value = number  # each epoch draws anew
        n_pairs = 0
        for step, (images, texts) in enumerate(loader):
            if step == options.steps:
                break
            features = model(images, texts)
            value = loss(*features)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            n_pairs += len(images)
        print(f"epoch {number}: {n_pairs} pairs kept and seen")


def make_loader(options, preprocess, tokenizer, epoch: SharedEpoch):
    run = open_run(options.run)
    dataset = balanced_dataset(run, options.t, epoch=epoch.get_value).compose(
        wds.decode("pilrgb"),
        wds.rename(image="jpg;png;jpeg;webp", text="txt"),
        wds.map_dict(image=preprocess, text=lambda text: tokenizer(text)[0]),
        wds.to_tuple("image", "text"),
        wds.batched(options.batch_size, partial=False),
    )
    return wds.WebLoader(dataset, batch_size=None, shuffle=False, num_workers=options.workers)


if __name__ == "__main__":
    main()
