"""The names that other people's scripts import from the top of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import metaclip_core


@pytest.mark.parametrize("name", metaclip_core.__all__)
def test_each_name_is_what_it_says_however_often_it_is_imported(name: str) -> None:
    """In a fresh process: importing a submodule must not put the module in the place of the function."""
    code = (
        "import types, metaclip_core\n"
        "from metaclip_core import curation, run, matching\n"
        f"first = metaclip_core.{name}\nfrom metaclip_core import {name} as second\n"
        "assert first is second and not isinstance(first, types.ModuleType), first"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_is_sorted() -> None:
    assert metaclip_core.__all__ == sorted(metaclip_core.__all__)
