"""What the tests of search may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from .worlds import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("search"))


@pytest.fixture
def fresh_world(tmp_path: Path) -> World:
    """One that a test may damage."""
    return make_world(tmp_path)
