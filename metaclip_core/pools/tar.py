"""The members of a tar, one by one: where their bytes are, in constant memory, and what ended the archive."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, Self

from metaclip_core.errors import RecordError
from metaclip_core.pools.pairs import Place

__all__ = ["Member", "members", "open_tar"]

BLOCK_BYTES = tarfile.BLOCKSIZE

MAX_HEADER_BYTES = 64 * 2**10
"""tarfile reads a long name or a pax header as a whole: a false size must not become memory. A path has 4 KB at most."""

PARSE_ERRORS = (
    *(tarfile.TarError, OSError, EOFError, RecursionError),
    *(ValueError, OverflowError, IndexError, KeyError, TypeError, AttributeError),
)
"""What tarfile raises for damaged headers; the second row slips out of it unwrapped (a pax size that is no number)."""

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Member(NamedTuple):
    """A regular file in a tar; `offset` and `size` of its bytes."""

    name: str
    offset: int
    size: int


class _Header(tarfile.TarInfo):
    """A header, parsed in a third of tarfile's time when it is the plain one that all but every file of a pool has."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        plain = len(buf) == BLOCK_BYTES and buf[156:157] == tarfile.REGTYPE and not buf[345]  # no prefix of the name
        name = bytes(buf[:100].partition(b"\0")[0])
        size, checksum = buf[124:135], buf[148:154]
        if not (plain and name and size.isdigit() and checksum.isdigit() and buf[135] in b"\0 " and buf[154] in b"\0 "):
            return super().frombuf(buf, encoding, errors)
        if sum(buf) - sum(buf[148:156]) + 8 * 0x20 != int(checksum, 8):  # the checksum counts itself as blanks
            return super().frombuf(buf, encoding, errors)
        header = cls(name.decode(encoding, errors))
        header.size = int(size, 8)
        return header


class _HeaderReader:
    """The file as tarfile sees it: it reads nothing but headers through this."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, n_bytes: int) -> bytes:
        if n_bytes > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {n_bytes:,} bytes")
        return self._file.read(n_bytes)


def open_tar(file: BinaryIO, path: str) -> tarfile.TarFile:
    """RecordError `compressed_tar` or `unreadable_file` when it isn't a plain tar."""
    magic = file.read(BLOCK_BYTES)
    file.seek(0)
    for signature, name in COMPRESSED.items():
        if magic.startswith(signature):
            detail = (
                f"the tar is compressed ({name}), and pictures are read by their place in the file; unpack it first"
            )
            raise Place(path).error("compressed_tar", detail)
    try:
        # Names that aren't UTF-8 must come out the same on every system, so the encoding isn't left to the locale.
        reader: Any = _HeaderReader(file)
        return tarfile.TarFile(fileobj=reader, tarinfo=_Header, encoding="utf-8", errors="surrogateescape")
    except PARSE_ERRORS as error:
        raise Place(path).error("unreadable_file", f"the file can't be read as a tar: {error}") from error


def members(tar: tarfile.TarFile, file: BinaryIO, path: str) -> Iterator[Member]:
    """The regular files in order; links, folders and devices are passed over.

    Ends with RecordError `truncated` or `invalid_header` when the archive doesn't end as one should, `data_after_end`
    when something follows its end. The last member before `truncated` may not be all there. The file may be moved
    between members.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    place = Place(path)
    last_offset = 0
    while True:
        try:
            info = tar.next()
        except PARSE_ERRORS as error:
            raise _ending(file, file_bytes, tar.offset, place, str(error)) from error
        if info is None:
            _check_end(file, file_bytes, tar.offset, place)
            return
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all that it has seen
        # A false size can lead tarfile back to where it was, for ever.
        if info.size < 0 or info.offset_data <= last_offset or tar.offset < info.offset_data:
            raise place.error(
                "invalid_header", f"the header of {_shown(info.name)} is damaged: its size is {info.size}"
            )
        if info.isreg() and not info.issparse():
            yield Member(_shown(info.name), info.offset_data, info.size)
            # After the yield: that this member begins says that the sample before it is whole.
            if info.offset_data + info.size > file_bytes:
                raise place.error(
                    "truncated", f"the tar is cut off within {_shown(info.name)}; fetch or write it again"
                )
        place = Place(path, f"after {_shown(info.name)}")
        last_offset = info.offset_data


def _check_end(file: BinaryIO, file_bytes: int, offset: int, place: Place) -> None:
    """tarfile says no more than "no next member": whether that is the archive's end is in the block itself."""
    file.seek(offset)
    block = file.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES or any(block):
        raise _ending(file, file_bytes, offset, place, "its checksum is wrong")
    while padding := file.read(2**20):
        if padding.count(0) != len(padding):
            detail = (
                "the tar goes on after its end mark: tars put one behind the other, or a file that was fetched in part. "
                "Give the tars one by one, or fetch it again"
            )
            raise place.error("data_after_end", detail)


def _ending(file: BinaryIO, file_bytes: int, offset: int, place: Place, detail: str) -> RecordError:
    if offset + BLOCK_BYTES > file_bytes or file.tell() >= file_bytes:
        return place.error("truncated", "the tar is cut off: it has no end mark; fetch or write it again")
    return place.error("invalid_header", f"a header of the tar is damaged at byte {offset:,}: {detail}")


def _shown(name: str) -> str:
    """The name, with `\\xNN` for the bytes that aren't UTF-8."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
