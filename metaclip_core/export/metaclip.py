"""The files of the authors' own code (facebookresearch/MetaCLIP, the numpy implementation): its `index_dir`.

    metadata.json                           the entries; an entry's id is its place in the list
    entry_count.npy                         uint64 (n_entries,), c_e
    <s % 100>/<s>_inverted.npy              uint32 (n_matches, 2) of shard s: entry id, pair
    subset_<t>/<s % 100>/<s>.npy            uint32 (n_curated,), the curated pairs of shard s, ascending

`entry_count` and `balance_sampling` of that code read the first three; the last is what its `balance_sampling` writes,
here with the run's own draws. A shard is a part of the run and a pair its row there: `shards.json` says of which file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from metaclip_core.export.exporter import Advance, Exporter, Task, Written, described
from metaclip_core.storage import make_folder, write_array, write_atomically, write_json

__all__ = ["MetaclipExporter", "t_name"]


def t_name(t: float) -> str:
    """t as the authors' folders are named: `20000`, `0.5`, `inf`."""
    return str(int(t)) if t.is_integer() else repr(t)


class MetaclipExporter(Exporter):
    """An `index_dir`; one task a part of the run."""

    def tasks(self, pairs_per_file: int | None) -> list[Task]:
        bounds = np.searchsorted(self.curated.rows, self.curated.run.part_starts).tolist()
        return [Task(number=i, start=a, stop=b) for i, (a, b) in enumerate(pairwise(bounds))]

    def write(self, task: Task, folder: Path, advance: Advance) -> Written:
        shard = task.number
        start, stop = self.curated.run.part_starts[shard : shard + 2]
        offsets, entry_ids = self.curated.matches_of(np.arange(start, stop))
        inverted = np.empty((len(entry_ids), 2), np.uint32)
        inverted[:, 0] = entry_ids
        inverted[:, 1] = np.repeat(np.arange(stop - start), np.diff(offsets))
        curated = (self.curated.rows[task.start : task.stop] - start).astype(np.uint32)
        arrays = {
            f"{shard % 100}/{shard}_inverted.npy": inverted,
            f"subset_{t_name(self.curated.t)}/{shard % 100}/{shard}.npy": curated,
        }
        for name, array in arrays.items():
            _save(folder / name, array)
        advance(len(curated), len(curated))
        return Written(files=[described(folder, name) for name in arrays], pairs=len(curated))

    def finish(self, folder: Path, written: Sequence[Written]) -> list[dict[str, Any]]:
        run = self.curated.run
        with write_atomically(folder / "metadata.json") as file:
            file.write(json.dumps(run.entries["entry"].to_list(), ensure_ascii=False).encode())
        _save(folder / "entry_count.npy", self.curated.balance.counts_before.astype(np.uint64))
        shards: list[dict[str, Any]] = [
            {"shard": number, "file": part["shard"], "first_record": part["start"], "pairs": part["rows"]}
            for number, part in enumerate(run.manifest["parts"])
        ]
        write_json(folder / "shards.json", shards)
        return [described(folder, name) for name in ("metadata.json", "entry_count.npy", "shards.json")]


def _save(path: Path, array: np.ndarray) -> None:
    make_folder(path.parent)
    write_array(path, array)
