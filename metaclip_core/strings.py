"""Strings as Arrow holds them: one buffer of UTF-8 and the offsets into it, which the kernels read without a copy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_core.errors import SettingsError
from metaclip_core.kernels.draws import hash_strings
from metaclip_core.kernels.threads import map_ranges

__all__ = ["hash_each", "string_buffers", "to_arrow_strings"]


def to_arrow_strings(strings: Any) -> pa.LargeStringArray:
    """A list, polars Series, or Arrow array of strings as one `large_string` array; null becomes the empty string.

    Raises SettingsError when an element is no string, or can't be written as UTF-8 (a lone surrogate).
    """
    if isinstance(strings, pl.Series):
        strings = strings.to_arrow()
    if isinstance(strings, str | bytes) or not isinstance(strings, Iterable):
        raise SettingsError(f"expected a list, polars Series or Arrow array of strings, got {type(strings).__name__}")
    try:
        if not isinstance(strings, pa.Array | pa.ChunkedArray):
            strings = pa.array(list(strings), pa.large_string())
        if pa.types.is_dictionary(strings.type):
            strings = strings.cast(strings.type.value_type)
        if not (pa.types.is_null(strings.type) or _is_string(strings.type)):
            raise SettingsError(f"expected strings, got an Arrow array of {strings.type}")
        strings = strings.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise SettingsError(f"not strings, or not writable as UTF-8: {error}") from error
    if isinstance(strings, pa.ChunkedArray):
        strings = strings.combine_chunks() if strings.num_chunks != 1 else strings.chunk(0)
    return pc.fill_null(strings, "") if strings.null_count else strings


def _is_string(data_type: pa.DataType) -> bool:
    return pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)


def string_buffers(strings: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """(data, offsets) of an array without nulls: uint8, and int64 (n + 1,) into it. Views, not copies."""
    _, offsets, data = strings.buffers()
    if offsets is None or len(strings) == 0:
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    bounds = np.frombuffer(offsets, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    return np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8), bounds


def hash_each(strings: pa.LargeStringArray) -> np.ndarray:
    """The XXH64 (seed 0) of each string's UTF-8: uint64 (n,)."""
    data, offsets = string_buffers(strings)
    return np.concatenate(map_ranges(lambda a, b: hash_strings(data, offsets, a, b), len(strings)))
