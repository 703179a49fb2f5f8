"""The docs name what is there: every relative link leads somewhere, every command and benchmark exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metaclip_core.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data_samples/README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for command in re.findall(r"^(?: {4}|`)metaclip (\w+)", text, re.MULTILINE):
        assert command in COMMANDS, command
    for script in re.findall(r"python ((?:benchmarks|docs|data_samples)/\w+\.py)", text):
        assert (ROOT / script).exists(), script


def test_every_page_of_the_docs_is_named_in_the_readme_or_by_a_page() -> None:
    linked = " ".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in ROOT.glob("docs/*.md"):
        assert f"{page.name})" in linked, page.name
