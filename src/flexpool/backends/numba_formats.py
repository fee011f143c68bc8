"""Floats of 16 bits as float32, and back, for compiled loops; both are given as their bits, int16.

Integer arithmetic alone, so that loops vectorise on any processor, with or without instructions for
these types. Every number of 16 bits is exact in float32; back, numbers are rounded to the nearest,
halfway cases to even, and NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["from_bfloat16", "from_float16", "to_bfloat16", "to_float16"]

_intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic

_SHORT, _WORD, _SINGLE = ir.IntType(16), ir.IntType(32), ir.FloatType()

_SIGN, _INFINITY = 0x8000_0000, 0x7F80_0000  # of float32
_EXPONENTS = (127 - 15) << 23  # what exponents of float32 are more than those of float16
_OVERFLOW = (127 + 16) << 23  # the first power of two that float16 does not have
_NORMAL = (127 - 14) << 23  # the least that float16 has with all its digits
_SUBNORMAL = (127 - 15 + 23 - 10 + 1) << 23  # added to less, it leaves the digits that remain


def _word(number: int) -> ir.Constant:
    return ir.Constant(_WORD, number)


@_intrinsic
def from_bfloat16(typing: Any, bits: Any) -> Any:
    """Read a bfloat16: the upper half of a float32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = builder.shl(builder.zext(args[0], _WORD), _word(16))
        return builder.bitcast(wide, _SINGLE)

    return types.float32(types.int16), generate


@_intrinsic
def to_bfloat16(typing: Any, number: Any) -> Any:
    """Round a float32 to its upper half."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _WORD)
        even = builder.and_(builder.lshr(bits, _word(16)), _word(1))
        rounded = builder.add(builder.add(bits, _word(0x7FFF)), even)
        quiet = builder.or_(bits, _word(1 << 22))  # else NaN might be left without a digit
        is_nan = builder.fcmp_unordered("uno", args[0], args[0])
        chosen = builder.select(is_nan, quiet, rounded)
        return builder.trunc(builder.lshr(chosen, _word(16)), _SHORT)

    return types.int16(types.float32), generate


@_intrinsic
def from_float16(typing: Any, bits: Any) -> Any:
    """Read a float16: move its digits, then put its exponent right by a product, which is exact."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = builder.zext(args[0], _WORD)
        sign = builder.shl(builder.and_(wide, _word(0x8000)), _word(16))
        size = builder.and_(wide, _word(0x7FFF))
        moved = builder.bitcast(builder.shl(size, _word(13)), _SINGLE)
        scaled = builder.fmul(moved, ir.Constant(_SINGLE, 2.0**112))
        plain = builder.bitcast(scaled, _WORD)
        is_finite = builder.icmp_unsigned("<", size, _word(0x7C00))
        found = builder.select(is_finite, plain, builder.or_(plain, _word(_INFINITY)))
        return builder.bitcast(builder.or_(found, sign), _SINGLE)

    return types.float32(types.int16), generate


@_intrinsic
def to_float16(typing: Any, number: Any) -> Any:
    """Round a float32 to a float16."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _WORD)
        sign = builder.and_(bits, _word(_SIGN))
        size = builder.xor(bits, sign)
        even = builder.and_(builder.lshr(size, _word(13)), _word(1))
        moved = builder.sub(builder.add(size, _word(0xFFF)), _word(_EXPONENTS))
        normal = builder.lshr(builder.add(moved, even), _word(13))
        unit = builder.bitcast(_word(_SUBNORMAL), _SINGLE)
        summed = builder.fadd(builder.bitcast(size, _SINGLE), unit)  # the adder rounds
        small = builder.sub(builder.bitcast(summed, _WORD), _word(_SUBNORMAL))
        is_nan = builder.icmp_unsigned(">", size, _word(_INFINITY))
        special = builder.select(is_nan, _word(0x7E00), _word(0x7C00))
        is_small = builder.icmp_unsigned("<", size, _word(_NORMAL))
        finite = builder.select(is_small, small, normal)
        is_large = builder.icmp_unsigned(">=", size, _word(_OVERFLOW))
        chosen = builder.select(is_large, special, finite)
        return builder.trunc(builder.or_(chosen, builder.lshr(sign, _word(16))), _SHORT)

    return types.int16(types.float32), generate
