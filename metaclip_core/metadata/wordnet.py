"""The metadata's first source: WordNet synsets, as MetaCLIP's authors count them (arXiv 2309.16671, table 1)."""

from __future__ import annotations

import string
import xml.etree.ElementTree as ET
from pathlib import Path

from metaclip_core.errors import MetadataError
from metaclip_core.inputs import input_errors, open_unpacked

__all__ = ["wordnet_entries"]

# The order of the entries: a lemma that several parts of speech share keeps its first place.
_DATA_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")

_PUNCTUATION = frozenset(string.punctuation)


def wordnet_entries(path: Path) -> list[str]:
    """The entries of a WordNet, then the numbers 0 .. 99; 86,654 for WordNet 3.0.

    `path`: the dictionary folder of WordNet 3.0 or 3.1 (or the folder above it), or an Open English WordNet file in the
    XML format WN-LMF (https://globalwordnet.github.io/schemas), plain or gzip.

    The rule: the first lemma of every synset, lower-cased, without an adjective's marker such as `(p)`, cut at the
    first full stop, with spaces for underscores; empty ones and single punctuation marks dropped; each once, in the
    order of the files. The numbers come last because the authors carry them with this source.
    """
    found: dict[str, None] = {}
    for lemmas in _first_lemmas_of_lmf(path) if Path(path).is_file() else map(_first_lemmas, _data_files(Path(path))):
        found.update(dict.fromkeys(entry for lemma in lemmas if (entry := _entry(lemma))))
    found.update(dict.fromkeys(str(number) for number in range(100)))
    return list(found)


def _data_files(folder: Path) -> list[Path]:
    if not (folder / _DATA_FILES[0]).exists() and (folder / "dict" / _DATA_FILES[0]).exists():
        folder = folder / "dict"
    return [folder / name for name in _DATA_FILES]


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


def _first_lemmas_of_lmf(path: Path) -> list[list[str]]:
    """For nouns, verbs, adjectives, adverbs the first lemma of each synset: of its `members`, else by its senses' order."""
    lemmas: dict[str, str] = {}  # of a lexical entry, by its id
    first: dict[str, str] = {}  # of a synset, the first lexical entry that has a sense of it
    found: dict[str, list[str]] = {part: [] for part in "nvar"}
    try:
        with input_errors(path, MetadataError), open_unpacked(path) as stream:
            for _, element in ET.iterparse(stream):
                if element.tag == "LexicalEntry":
                    if (lemma := element.find("Lemma")) is not None:
                        lemmas[element.get("id", "")] = lemma.get("writtenForm", "")
                    for sense in element.iter("Sense"):
                        first.setdefault(sense.get("synset", ""), element.get("id", ""))
                    element.clear()
                elif element.tag == "Synset":
                    members = element.get("members", "").split() or [first.get(element.get("id", ""), "")]
                    part = element.get("partOfSpeech", "")
                    if members[0] in lemmas:
                        found.setdefault("a" if part == "s" else part, []).append(lemmas[members[0]])
                    element.clear()
    except ET.ParseError as error:
        raise MetadataError(f"{path}: not WN-LMF, the XML is broken or cut off ({error})") from error
    if not any(found.values()):
        raise MetadataError(f"{path}: holds no synset; is it a WordNet in WN-LMF?")
    return list(found.values())


def _entry(lemma: str) -> str:
    """The lemma as an entry; empty where the rule drops it."""
    entry = lemma.lower().partition("(")[0].partition(".")[0].replace("_", " ")
    return "" if entry in _PUNCTUATION else entry
