"""Imports point one way, and what is heavy or belongs to the pages stays out of the core until it is asked for."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import metaclip_core

REPOSITORY = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "open_clip", "faiss", "ray"}
PAGES = {"streamlit", "plotly", "dashboard"}
SLOW = {"numba", "numpy", "polars", "pyarrow", "duckdb", "PIL", "tqdm"}
LAYERS = {"pages": 4, "components": 3, "state": 2, "data": 1, "charts": 1, "numbers": 0}

SUBMODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(metaclip_core.__path__, "metaclip_core.")
    if not module.name.endswith("__main__")
)


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The top-level names of all modules that a fresh interpreter has loaded after this code."""
    code += "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    return set(done.stderr.splitlines()[-1].split())


def imported_names(path: Path) -> Iterator[str]:
    """All that a file imports, anywhere in it, by full name; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def test_the_check_sees_what_is_loaded_indirectly() -> None:
    assert "streamlit" in loaded_by("import dashboard.state")
    assert {"numba", "polars"} <= loaded_by("import metaclip_core.matching")


def test_every_module_of_the_core_is_light() -> None:
    assert {"metaclip_core.run", "metaclip_core.cli.info", "metaclip_core.pools.tar"} <= set(SUBMODULES)
    loaded = loaded_by("\n".join(f"import {name}" for name in SUBMODULES))
    assert "numba" in loaded
    assert loaded & (HEAVY | PAGES) == set()


def test_the_package_and_its_help_load_next_to_nothing() -> None:
    assert loaded_by("import metaclip_core, metaclip_core.cli") & (HEAVY | PAGES | SLOW) == set()
    for arguments in (["--help"], ["curate", "--help"], ["info", "--help"], ["dashboard", "--help"]):
        code = "import sys\nfrom metaclip_core.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass"
        assert loaded_by(code, *arguments) & (HEAVY | PAGES | SLOW) == set(), arguments


@pytest.mark.parametrize("folder", ["metaclip_core", "data_samples"])
def test_nothing_below_imports_the_pages(folder: str) -> None:
    for path in (REPOSITORY / folder).rglob("*.py"):
        assert {name.partition(".")[0] for name in imported_names(path)} & PAGES == set(), path


def test_the_layers_of_the_dashboard() -> None:
    """pages -> components -> state -> {data, charts} -> numbers; a layer imports itself and those below, and nothing heavy."""
    for path in (REPOSITORY / "dashboard").rglob("*.py"):
        layer = path.relative_to(REPOSITORY / "dashboard").parts[0].removesuffix(".py")
        for name in imported_names(path):
            top, _, below = name.partition(".")
            assert top not in HEAVY, f"{path} imports {name}"
            other = below.partition(".")[0]
            if top == "dashboard" and other and other != layer:
                assert LAYERS[other] < LAYERS[layer], f"{path} imports {name}"
