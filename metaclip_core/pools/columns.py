"""Which columns of a table (or fields of a JSON object) hold the text, the id, the address and the key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metaclip_core.errors import PoolError
from metaclip_core.pools.record import ReadOptions

__all__ = ["FILE_NAME", "ID_NAME", "KEY_NAMES", "TEXT_NAMES", "URL_NAMES", "Columns", "find_columns", "first_of"]

# In the order of preference. A title is the weakest text: tables with a caption have one too.
TEXT_NAMES = (
    *("text", "caption", "TEXT", "CAPTION", "Text", "Caption"),
    *("texts", "captions", "alt_text", "ALT_TEXT", "alt", "ALT", "title", "TITLE", "Title"),
)
URL_NAMES = ("url", "URL", "image_url", "IMAGE_URL")
KEY_NAMES = ("key", "image_path")  # the latter: clip-retrieval's metadata
FILE_NAME = "file_name"
"""Of a picture beside the table, as Hugging Face's image folders have it."""

ID_NAME = "uid"
"""The only id that is found unasked (DataComp's): `id` is a row number in many tables, and unique in none by its name."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of a table's columns; None: it has none for that."""

    text: str
    id: str | None = None
    url: str | None = None
    key: str | None = None
    file: str | None = None
    failed: str | None = None  # says of each row whether it came to something
    extra: tuple[str, ...] = ()

    def used(self) -> list[str]:
        """Each column once, also when the text is the key."""
        return list(
            dict.fromkeys(
                name
                for name in (self.text, self.id, self.url, self.key, self.file, self.failed, *self.extra)
                if name is not None
            )
        )


def first_of(wanted: Iterable[str], names: Iterable[str]) -> str | None:
    """The first of the wanted names that is among the names."""
    present = set(names)
    return next((name for name in wanted if name in present), None)


def find_columns(path: str, names: Sequence[str], options: ReadOptions, *, hint: str = "") -> Columns:
    """The columns of the file, those that the options name or the usual ones; PoolError when text or id isn't there."""
    text = options.text_column if options.text_column is not None else first_of(TEXT_NAMES, names)
    id_name = options.id_column if options.id_column is not None else first_of((ID_NAME,), names)
    found = "its columns are " + ", ".join(_shown(name) for name in names) if names else "it has no columns"
    if text is None:
        usual = ", ".join(TEXT_NAMES)
        raise PoolError(
            f"{path}: no column of it has a usual name of a text ({usual}); {found}. "
            f"Name the one that holds the text with --text-column.{hint}"
        )
    extra = [(name, "--filter") for name in options.extra_columns]
    for name, option in ((text, "--text-column"), (id_name, "--id-column"), *extra):
        if name is not None and name not in names:
            raise PoolError(f"{path}: it has no column {name!r}; {found}. Name another with {option}.{hint}")
    columns = Columns(
        text=text,
        id=id_name,
        url=first_of(URL_NAMES, names),
        key=first_of(KEY_NAMES, names),
        file=first_of((FILE_NAME,), names),
        extra=options.extra_columns,
    )
    for name in columns.used():
        if names.count(name) > 1:
            raise PoolError(f"{path}: it has {names.count(name)} columns {name!r}; rename all but one of them.")
    return columns


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8") or "''"
