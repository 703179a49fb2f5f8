"""Where an export goes, so that it is whole or absent: written in a folder beside `--out`, moved there at the end.

.NAME.partial/plan.json     what is being exported: only the same export goes on from what is there
.NAME.partial/written/      a report for each task that is complete
.NAME.partial/files/        the export, which becomes `--out`

An export into a store is made in the user's cache, and then put there with its recipe last: without one it is no export.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash
from filelock import FileLock, Timeout

from metaclip_core.errors import StorageError
from metaclip_core.storage import cache_folder, make_folder, storage_errors, write_json
from metaclip_core.store import Place, StorePath, place_of

__all__ = ["CARD_NAME", "RECIPE_NAME", "Destination", "destination_of"]

_AT_ONCE = 8  # files on their way to a store

RECIPE_NAME = "recipe.json"
CARD_NAME = "data_card.md"


def destination_of(out: str | Path | StorePath, ending: str | None) -> Destination:
    """Where a path or a URL leads; see `Destination`."""
    place = place_of(out)
    return StoreDestination(place, ending) if isinstance(place, StorePath) else Destination(place, ending)


class Destination:
    """A folder; or one file, when the name has the format's ending, with its recipe and its data card beside it."""

    def __init__(self, out: Path, ending: str | None) -> None:
        self.out = Path(os.path.abspath(out))
        self.is_file = ending is not None and self.out.name.lower().endswith(ending)
        self.work = self.out.with_name(f".{self.out.name}.partial")
        self.files = self.work / "files"
        self._written = self.work / "written"

    @property
    def place(self) -> Place:
        """What `--out` names."""
        return self.out

    @property
    def recipe_path(self) -> Place:
        return self._beside(RECIPE_NAME)

    @property
    def card_path(self) -> Place:
        return self._beside(CARD_NAME)

    def _beside(self, name: str) -> Place:
        return self.place.with_name(f"{self.place.name}.{name}") if self.is_file else self.place / name

    def check(self, overwrite: bool) -> None:
        """Raises StorageError when `out` is taken: by an export without `overwrite`, or by anything else."""
        if not self._is_taken():
            return
        if not overwrite:
            raise StorageError(f"{self.place}: exists already; replace it with --overwrite, or choose another --out")
        if not self._is_export():
            raise StorageError(
                f"{self.place}: not an export ({self.recipe_path} is no recipe of one), so --overwrite leaves it alone; "
                "choose another --out"
            )

    def _is_taken(self) -> bool:
        if os.path.ismount(self.out):
            raise StorageError(f"{self.out}: a mount point, which can't be moved into place; name a folder in it")
        return os.path.lexists(self.out) and not self._is_empty_folder()

    def _is_empty_folder(self) -> bool:
        return not self.is_file and self.out.is_dir() and not any(self.out.iterdir())

    def _is_export(self) -> bool:
        return "metaclip_export" in self._recipe() and self._is_of_its_kind()

    def _recipe(self) -> dict[str, Any]:
        """What is written there as a recipe; empty where there is none."""
        try:
            recipe = json.loads(self.recipe_path.read_bytes())
        except (OSError, ValueError):
            return {}
        return recipe if isinstance(recipe, dict) else {}

    def _is_of_its_kind(self) -> bool:
        return self.out.is_file() == self.is_file

    @contextmanager
    def opened(self, plan: dict[str, Any]) -> Iterator[None]:
        """Hold the working folder, empty or with what the same plan has left there. Raises StorageError."""
        make_folder(self.work)
        with storage_errors(self.work):
            lock = FileLock(self.work / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout as error:
                raise StorageError(
                    f"{self.place}: another process is exporting to it; wait for it, or choose another --out"
                ) from error
        try:
            if self._plan() != plan:
                self._clear()
                write_json(self.work / "plan.json", plan)
            for folder in (self.files, self._written):
                make_folder(folder)
            with storage_errors(self.files):
                for left in self.files.rglob(".*.tmp"):  # what write_atomically was at when it was killed
                    left.unlink()
            yield
        finally:
            lock.release()
        shutil.rmtree(self.work, ignore_errors=True)

    def _plan(self) -> Any:
        try:
            return json.loads((self.work / "plan.json").read_bytes())
        except (OSError, ValueError):
            return None

    def _clear(self) -> None:
        with storage_errors(self.work):
            (self.work / "plan.json").unlink(missing_ok=True)
            for name in ("files", "written", "old"):
                if (self.work / name).exists():
                    shutil.rmtree(self.work / name)

    def report(self, number: int) -> dict[str, Any] | None:
        """What `keep_report` was told of a task; None: it isn't complete, or its files aren't there any more."""
        path = self._written / f"{number:05d}.json"
        if not path.exists():
            return None
        report: dict[str, Any] = json.loads(path.read_bytes())
        files = [(self.files / file["name"], file["size_bytes"]) for file in report["files"]]
        return report if all(path.is_file() and path.stat().st_size == size for path, size in files) else None

    def keep_report(self, number: int, report: dict[str, Any]) -> None:
        """Say that a task is complete: its `files` (as `described`) are not written again."""
        write_json(self._written / f"{number:05d}.json", report)

    def publish(self, data_file: str) -> None:
        """Move the files to `out`. `data_file`: the name among them of the one file that `out` is, where it is one."""
        with storage_errors(self.out):
            if self.is_file:
                self.out.unlink(missing_ok=True)  # the file comes last, so never beside another's recipe
                for name in (RECIPE_NAME, CARD_NAME):
                    os.replace(self.files / name, str(self._beside(name)))
                os.replace(self.files / data_file, self.out)
                return
            if self.out.exists():
                os.replace(self.out, self.work / "old")
            os.replace(self.files, self.out)


class StoreDestination(Destination):
    """The same in a store, where a recipe that says `unfinished` stands in until all else is there."""

    def __init__(self, out: StorePath, ending: str | None) -> None:
        super().__init__(cache_folder() / "exports" / xxhash.xxh3_64_hexdigest(out.url.encode()) / out.name, ending)
        self.store = out

    @property
    def place(self) -> StorePath:
        return self.store

    def _is_taken(self) -> bool:
        if self._recipe().get("unfinished"):  # it was cut off while it was put there
            return False
        return self.store.exists() or bool(self.store.names())

    def _is_of_its_kind(self) -> bool:
        return self.store.exists() == self.is_file

    def publish(self, data_file: str) -> None:
        made = {path.relative_to(self.files).as_posix() for path in self.files.rglob("*") if path.is_file()}
        names = [data_file] if self.is_file else sorted(made - {RECIPE_NAME, CARD_NAME})
        recipe = json.loads((self.files / RECIPE_NAME).read_bytes())
        write_json(self.recipe_path, {**recipe, "unfinished": True})
        if not self.is_file:
            for name in self.store.sizes().keys() - made:  # of an earlier export
                (self.store / name).unlink(missing_ok=True)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            puts = [threads.submit((self.store if self.is_file else self.store / n).put, self.files / n) for n in names]
            for put in as_completed(puts):
                put.result()
        for name in (CARD_NAME, RECIPE_NAME):
            StorePath(str(self._beside(name))).put(self.files / name)
