"""Eight bytes at a time from a byte array, at any address: what numpy's views can't express."""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["load_word", "load_word_unchecked"]

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


@njit(nogil=True, cache=True, inline="always")
def load_word(data, position, stop):
    """Bytes position .. min(position + 8, stop) of `data` as a little-endian uint64, zeros above the last one."""
    n_bytes = stop - position
    if position + 8 <= len(data) and _LITTLE_ENDIAN:
        word = load_word_unchecked(data, position)
        if n_bytes < 8:
            word &= (types.uint64(1) << types.uint64(8 * n_bytes)) - types.uint64(1)
        return word
    word = types.uint64(0)
    for i in range(min(n_bytes, 8)):
        word |= types.uint64(data[position + i]) << types.uint64(8 * i)
    return word
