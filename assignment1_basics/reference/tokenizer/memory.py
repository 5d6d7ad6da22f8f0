"""Raw memory for the compiled inner loops: an address is an integer, as in C.

Everything else in this folder reads and writes memory through these few functions. Addresses are
used in place of arrays because a numba function that takes an array updates the array's reference
count; in helpers as small as a table look-up that made the scanner 3.4 times slower. The price is
that nothing checks bounds: each kernel says why its addresses are valid, and the Python code around
a kernel keeps the arrays behind them alive.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

_BIT, _BYTE, _WORD, _INT32, _INT64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_SIXTEEN_BYTES = ir.VectorType(_BYTE, 16)
_BLOCK = ir.VectorType(_BYTE, 64)


def address_of(array: np.ndarray) -> int:
    """Return the address of the first byte of a contiguous array."""
    assert array.flags.c_contiguous
    return int(array.ctypes.data)


def _load(builder: Any, address: Any, kind: Any) -> Any:
    instruction = builder.load(builder.inttoptr(address, kind.as_pointer()))
    instruction.align = 1  # nothing here needs alignment
    return instruction


def _reader(kind: Any, result: Any) -> Callable[[int], Any]:
    """Make a function of an address that returns the `kind` found there, zero-extended."""

    @intrinsic
    def read(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = _load(builder, arguments[0], kind)
            return builder.zext(value, _INT64) if kind.width < 64 else value

        return result(types.int64), generate

    return cast(Callable[[int], Any], read)


def _writer(kind: Any, value_type: Any) -> Callable[[int, Any], None]:
    """Make a function of an address and a value that stores the low bits of the value there."""

    @intrinsic
    def write(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = arguments[1]
            value = builder.trunc(value, kind) if kind.width < 64 else value
            pointer = builder.inttoptr(arguments[0], kind.as_pointer())
            builder.store(value, pointer).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, value_type), generate

    return cast(Callable[[int, Any], None], write)


byte_at = _reader(_BYTE, types.int64)
"""byte_at(address) -> int64 from 0 to 255."""
uint16_at = _reader(_WORD, types.int64)
"""uint16_at(address) -> int64 from 0 to 65535, little-endian."""
uint32_at = _reader(_INT32, types.int64)
"""uint32_at(address) -> int64 from 0 to 2**32 - 1, little-endian."""
int64_at = _reader(_INT64, types.int64)
"""int64_at(address) -> int64."""
uint64_at = _reader(_INT64, types.uint64)
"""uint64_at(address) -> uint64, for hashing; never mix it with int64 (numba makes a float)."""

set_byte = _writer(_BYTE, types.int64)
"""set_byte(address, value)."""
set_uint16 = _writer(_WORD, types.int64)
"""set_uint16(address, value)."""
set_uint32 = _writer(_INT32, types.int64)
"""set_uint32(address, value)."""
set_int64 = _writer(_INT64, types.int64)
"""set_int64(address, value)."""
set_uint64 = _writer(_INT64, types.uint64)
"""set_uint64(address, value)."""


@intrinsic
def _letters_at(typing_context: Any, address: Any) -> Any:

    def constant(value: int) -> Any:
        return ir.Constant(_SIXTEEN_BYTES, [value] * 16)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        text = _load(builder, arguments[0], _SIXTEEN_BYTES)
        lower_case = builder.or_(text, constant(0x20))
        alphabet = builder.sub(lower_case, constant(ord("a")))
        other = builder.icmp_unsigned(">", alphabet, constant(25))
        mask = builder.zext(builder.bitcast(other, _WORD), _INT32)
        mask = builder.or_(mask, ir.Constant(_INT32, 1 << 16))  # 16 letters: stop there
        return builder.zext(builder.cttz(mask, ir.Constant(_BIT, 1)), _INT64)

    return types.int64(types.int64), generate


letters_at = cast(Callable[[int], int], _letters_at)
"""letters_at(address) -> how many of the 16 bytes there, from the first on, are ASCII letters.

Sixteen comparisons at once: a loop over bytes would mispredict its exit once per word. All 16 bytes
must be readable.
"""


@intrinsic
def _byte_range_at(
    typing_context: Any, address: Any, set_bits: Any, lowest: Any, highest: Any
) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def in_all(value: Any) -> Any:
            one = builder.insert_element(
                ir.Constant(_BLOCK, ir.Undefined),
                builder.trunc(value, _BYTE),
                ir.Constant(_INT32, 0),
            )
            lanes = ir.Constant(ir.VectorType(_INT32, 64), [0] * 64)
            return builder.shuffle_vector(one, one, lanes)

        address, set_bits, lowest, highest = arguments
        text = builder.or_(_load(builder, address, _BLOCK), in_all(set_bits))
        distance = builder.sub(text, in_all(lowest))
        within = builder.icmp_unsigned("<=", distance, in_all(builder.sub(highest, lowest)))
        return builder.bitcast(within, _INT64)

    number = types.int64
    return number(number, number, number, number), generate


byte_range_at = cast(Callable[[int, int, int, int], int], _byte_range_at)
"""byte_range_at(address, set_bits, lowest, highest) -> 64 bits, one for each of the 64 bytes there:

is byte | set_bits from lowest to highest? All 64 bytes must be readable.
"""


@intrinsic
def _trailing_zeros(typing_context: Any, value: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(_BIT, 0))

    return types.int64(types.int64), generate


trailing_zeros = cast(Callable[[int], int], _trailing_zeros)
"""trailing_zeros(value) -> index of the lowest bit that is 1; 64 if there is none."""


@intrinsic
def _prefetch(typing_context: Any, address: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, number = _BYTE.as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        to_read, keep_near, data = (ir.Constant(number, value) for value in (0, 3, 1))
        address = builder.inttoptr(arguments[0], pointer)
        builder.call(function, [address, to_read, keep_near, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


prefetch = cast(Callable[[int], None], _prefetch)
"""prefetch(address): ask for a cache line that will be read soon; does not wait for it."""
