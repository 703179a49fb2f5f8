"""Eight bytes at a time from a byte array, at any address: what numpy's views can't express."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["load_word", "load_word_unchecked", "trailing_zeros"]

_ALL_BITS = np.uint64(2**64 - 1)
_LITTLE_ENDIAN = sys.byteorder == "little"


@intrinsic
def load_word_unchecked(typingctx: Any, array: Any, position: Any) -> Any:
    """The eight bytes of a contiguous uint8 array at `position`, as a uint64, in the machine's byte order.

    The caller sees to it that position + 8 <= len(array).
    """
    signature = types.uint64(array, types.intp)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array_struct = context.make_array(sig.args[0])(context, builder, args[0])
        address = builder.gep(array_struct.data, [args[1]])
        word = ir.IntType(64)
        load = builder.load(builder.bitcast(address, word.as_pointer()), typ=word)
        load.align = 1
        return load

    return signature, codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """How many low bits of a uint64 are 0, in one instruction; 64 for 0."""
    signature = types.uint64(types.uint64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return signature, codegen


@njit(nogil=True, cache=True)
def _load_bytes(data, position, n_bytes):
    word = types.uint64(0)
    for i in range(n_bytes):
        word |= types.uint64(data[position + i]) << types.uint64(8 * i)
    return word


@njit(nogil=True, cache=True, forceinline=True)
def load_word(data, position, stop):
    """Bytes position .. min(position + 8, stop) of `data` as a little-endian uint64, zeros above; position < stop."""
    n_bytes = min(stop - position, 8)
    if position + 8 > len(data) or not _LITTLE_ENDIAN:
        return _load_bytes(data, position, n_bytes)
    return load_word_unchecked(data, position) & (_ALL_BITS >> types.uint64(64 - 8 * n_bytes))
