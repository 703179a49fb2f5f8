"""Every error the project raises on purpose.

MetaclipError                  anything below; the command line prints its message and exits with 1
├── SettingsError              an argument that can't be: an unknown source, a negative t
├── MetadataError              a metadata file that can't be read, or holds no entry
├── PoolError                  a pool, or one of its files, that can't be read
│   └── RecordError            one bad record of a pool; skipped and counted under `--on-error skip`
│       └── PassedOver         one that gives no pair by its nature; counted, and never raised
├── RunError                   a run directory that is missing, altered, foreign, or of other settings
├── ModelError                 a model that is unknown, not on this machine, or whose weights don't fit
├── EmbeddingError             embeddings that are missing, altered, of another run or of the wrong length
├── PictureError               bytes that are no picture, or one too large to decode
├── StorageError               a file that can't be written: a full disk, an unwritable folder
└── EngineError                a worker process that died

A message says what was got, where, and what to do. Foreign errors are wrapped where they enter, with `raise ... from`.
"""

from __future__ import annotations

__all__ = [
    "MEND",
    "EmbeddingError",
    "EngineError",
    "MetaclipError",
    "MetadataError",
    "ModelError",
    "PassedOver",
    "PictureError",
    "PoolError",
    "RecordError",
    "RunError",
    "SettingsError",
    "StorageError",
]

MEND = "restore it, or curate again with --overwrite"
"""What to do about a damaged run."""


class MetaclipError(Exception):
    """The root of the tree: catch it to catch all that the project raises on purpose."""


class SettingsError(MetaclipError):
    """An argument has a value that is not allowed."""


class MetadataError(MetaclipError):
    """A metadata file can't be read, or holds no usable entry."""


class PoolError(MetaclipError):
    """A pool, or one of its files, can't be read."""


class RecordError(PoolError):
    """One record of a pool can't be read.

    `path` is the file, `place` where in it (a tar's key, `row 17`, `line 4`), `reason` a short word that becomes a
    counter (`invalid_utf8`, `no_text`, `truncated`, ...), `detail` what was found.
    """

    def __init__(self, path: str, place: str, reason: str, detail: str) -> None:
        super().__init__(path, place, reason, detail)
        self.path = path
        self.place = place
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        where = f"{self.path}, {self.place}" if self.place else self.path
        return f"{where}: {self.detail} (--on-error skip counts such records and goes on)"


class PassedOver(RecordError):
    """A record that is none for us by its nature, such as a page's picture without a text.

    A pool's `BadRecord` gets it like any other, and counts it under either policy; it keeps no place.
    """


class RunError(MetaclipError):
    """A run directory is missing, incomplete, altered, of another version, or belongs to other settings."""


class ModelError(MetaclipError):
    """A model is unknown, is not on this machine, or its weights can't be read or don't fit it."""


class EmbeddingError(MetaclipError):
    """Embeddings or their index are missing, altered, of the wrong length, or belong to another run or model."""


class PictureError(MetaclipError):
    """Bytes are no picture that can be read, or one that is too large."""


class StorageError(MetaclipError):
    """A file can't be written."""


class EngineError(MetaclipError):
    """The processes that do the work can't: one of them died."""
