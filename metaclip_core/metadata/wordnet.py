"""The metadata's first source: WordNet synsets, as MetaCLIP's authors count them (arXiv 2309.16671, table 1)."""

from __future__ import annotations

import string
from pathlib import Path

from metaclip_core.errors import MetadataError

__all__ = ["wordnet_entries"]

# The order of the entries: a lemma that several parts of speech share keeps its first place.
_DATA_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")

_PUNCTUATION = frozenset(string.punctuation)


def wordnet_entries(dict_folder: Path) -> list[str]:
    """The entries that a WordNet's data files give, then the numbers 0 .. 99; 86,654 for WordNet 3.0.

    The rule: the first lemma of every synset, lower-cased, without an adjective's marker such as `(p)`, cut at the
    first full stop, with spaces for underscores; empty ones and single punctuation marks dropped; each once, in the
    order of the files. The numbers come last because the authors carry them with this source.
    """
    found: dict[str, None] = {}
    for name in _DATA_FILES:
        path = Path(dict_folder) / name
        found.update(dict.fromkeys(entry for lemma in _first_lemmas(path) if (entry := _entry(lemma))))
    found.update(dict.fromkeys(str(number) for number in range(100)))
    return list(found)


def _first_lemmas(path: Path) -> list[str]:
    """The first lemma of each line that is a synset; the licence at the file's head is indented."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise MetadataError(
            f"{path}: can't be read ({error.strerror or error}); give the folder of a WordNet database that has "
            f"{', '.join(_DATA_FILES)} (Debian: wordnet-base, /usr/share/wordnet)"
        ) from error
    except UnicodeDecodeError as error:
        raise MetadataError(f"{path}: not a WordNet data file, it holds bytes that are no text") from error
    lemmas: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith(" "):
            continue
        # synset_offset lex_filenum ss_type w_cnt word lex_id ... (wndb(5WN))
        fields = line.split(" ", 5)
        if len(fields) < 6 or not fields[0].isdigit():
            raise MetadataError(f"{path}, line {number}: not a synset of WordNet's data format (wndb(5WN))")
        lemmas.append(fields[4])
    if not lemmas:
        raise MetadataError(f"{path}: holds no synset; is it a WordNet data file?")
    return lemmas


def _entry(lemma: str) -> str:
    """The lemma as an entry; empty where the rule drops it."""
    entry = lemma.lower().partition("(")[0].partition(".")[0].replace("_", " ")
    return "" if entry in _PUNCTUATION else entry
