"""Balancing while a WebDataset is read for training: the paper's online way, without writing the curated set.

`Balanced` is a stage of a `webdataset` pipeline: samples in, those that are kept at t out. With the fixed draw it gives the
curated set of the run, the same in each epoch. With `epoch`, each epoch draws anew, so that over the epochs a pair is seen
in proportion to its P(keep); the same seed and epoch give the same samples, on any worker.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xxhash

from metaclip_core.balancing import Balance, check_t
from metaclip_core.errors import PoolError, SettingsError
from metaclip_core.matching import Matches
from metaclip_core.metadata.table import enabled_entries
from metaclip_core.run import Run, open_run

__all__ = ["Balanced", "balanced_dataset", "epoch_seed"]

Epoch = Callable[[], int]
"""Says which epoch it is, in every worker process: open_clip's `SharedEpoch.get_value`."""


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch's draws: XXH64 of both, two little-endian uint64."""
    return xxhash.xxh64_intdigest(struct.pack("<QQ", seed, epoch))


class Balanced:
    """A stage that passes on the samples of a run's tars that are kept at t.

    Samples are dicts with `__url__`, their tar, and `__key__`, as `webdataset.tarfile_to_samples` gives them. `epoch`: None
    for the run's fixed draw. Pickled, it is only its settings: each worker process that is started afresh opens the run
    for itself. It holds one tar's keys at a time. Raises SettingsError, RunError, and PoolError on a tar that the run is not of.
    """

    def __init__(
        self,
        run: Run | str | Path,
        t: float,
        *,
        sources: Iterable[str] | None = None,
        seed: int | None = None,
        epoch: Epoch | None = None,
    ) -> None:
        opened = run if isinstance(run, Run) else open_run(run)
        self.path, self.t, self.epoch = opened.path.resolve(), check_t(t), epoch
        self.sources = None if sources is None else tuple(sources)
        self.seed = opened.seed if seed is None else seed
        # Now, not when first needed: a loader's workers are forks on Linux, in which polars may wait for ever.
        _ = self._entries, self._parts

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("path", "t", "epoch", "sources", "seed")}

    def __call__(self, samples: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        url, epoch, kept = None, None, frozenset[str]()
        for sample in samples:
            now = self.epoch() if self.epoch else None
            if sample["__url__"] != url or now != epoch:
                url, epoch = sample["__url__"], now
                kept = self.kept_keys(url, epoch)
            if sample["__key__"] in kept:
                yield sample

    def kept_keys(self, tar: str, epoch: int | None = None) -> frozenset[str]:
        """The keys of a tar's samples that are kept, in this epoch's draw (None: the fixed one)."""
        table = pq.read_table(self._part_of(tar), columns=["identity", "key", "entry_ids"], use_threads=False)
        lists = table.column("entry_ids").combine_chunks()
        counts, enabled, entry_hashes = self._entries
        balance = Balance(
            matches=Matches(indptr=lists.offsets.to_numpy().astype(np.int64), entry_ids=lists.flatten().to_numpy()),
            counts=counts,
            enabled=enabled,
            identity_hashes=table.column("identity").to_numpy(),
            entry_hashes=entry_hashes,
            seed=self.seed if epoch is None else epoch_seed(self.seed, epoch),
        )
        return frozenset(table.column("key").filter(balance.keep_t < self.t).to_pylist())

    @cached_property
    def _run(self) -> Run:
        return open_run(self.path)

    @cached_property
    def _entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(counts, which are on, hashes), one of each an entry."""
        run = self._run
        enabled = enabled_entries(run.source_masks, run.source_names, self.sources)
        return run.entries["count"].to_numpy(), enabled, run.entry_hashes

    @cached_property
    def _parts(self) -> dict[str, Path | None]:
        """The part of each tar, by its path and by its name; None where two tars share a name."""
        parts: dict[str, Path | None] = {}
        for part in self._run.part_paths:
            tar = _tar_of(part)
            if tar is not None:
                parts[tar] = part
                name = os.path.basename(tar)
                parts[name] = None if name in parts else part
        return parts

    def _part_of(self, tar: str) -> Path:
        part = self._parts.get(os.path.abspath(tar)) or self._parts.get(os.path.basename(tar))
        if part is None:
            raise PoolError(
                f"{tar}: the run {self.path} has no such tar, or several of this name; "
                "read the tars that the run was made of"
            )
        return part


def _tar_of(part: Path) -> str | None:
    """The tar that a part's pictures are in, from the statistics of the part; None for a part of a table."""
    metadata = pq.read_metadata(part)
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(names.index("image_path")).statistics
        if statistics is not None and statistics.has_min_max:
            return str(statistics.min)
    return None


def balanced_dataset(run: Run | str | Path, t: float, shards: str | Sequence[str] | None = None, **options: Any) -> Any:
    """A `webdataset.DataPipeline` over tars, a torch IterableDataset, that gives the kept samples as bytes.

    `shards`: what `webdataset.SimpleShardList` takes; by default the run's own tars where they were. `options`: those of
    `Balanced`. Tars are divided among nodes and workers. Raises SettingsError without the package webdataset.
    """
    try:
        import webdataset as wds
    except ImportError as error:
        raise SettingsError("reading tars for training needs the package webdataset: pip install webdataset") from error
    opened = run if isinstance(run, Run) else open_run(run)
    if shards is None:
        shards = [file["path"] for file in opened.manifest["settings"]["inputs"] if file["format"] == "webdataset"]
    return wds.DataPipeline(
        wds.SimpleShardList(shards),
        wds.split_by_node,
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        Balanced(opened, t, **options),
    )
