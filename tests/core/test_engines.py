"""The local engine: every item once, contexts stage by stage, and what happens when a worker dies."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from metaclip_core.engines.local import local_workers
from metaclip_core.errors import EngineError, RecordError


def _add(context: int, item: int) -> tuple[int, int]:
    return context + item, os.getpid()


def _refuse(context: None, item: int) -> int:
    if item == 2:
        raise RecordError("pool.parquet", "row 2", "no_text", "it has no text")
    return item


def _die(context: None, item: int) -> None:
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_item_once_and_each_stage_its_context(workers: int) -> None:
    with local_workers(workers) as map_stage:
        first = dict(map_stage(_add, 10, [1, 2, 3]))
        second = dict(map_stage(_add, 20, [5, 6]))
        assert list(map_stage(_add, 0, [])) == []
        assert dict(map_stage(_add, 0, [7]))[0][0] == 7
    assert {number: value for number, (value, _) in first.items()} == {0: 11, 1: 12, 2: 13}
    assert {number: value for number, (value, _) in second.items()} == {0: 25, 1: 26}
    pids = {pid for _, pid in [*first.values(), *second.values()]}
    assert (os.getpid() in pids) == (workers == 1)
    assert len(pids) <= workers  # the second stage found the workers of the first


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_back_as_it_was_and_the_workers_end(workers: int) -> None:
    with local_workers(workers) as map_stage, pytest.raises(RecordError, match="row 2: it has no text"):
        list(map_stage(_refuse, None, range(6)))
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_an_error_that_says_what_to_do() -> None:
    with local_workers(2) as map_stage, pytest.raises(EngineError, match="with fewer --workers"):
        list(map_stage(_die, None, range(4)))
