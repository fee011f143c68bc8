"""Split a row of an array into what the taps of its windows read, in vectors that are written out.

LLVM makes vectors of such a loop too, but works off what is left of a row one by one: of 14 windows
that is almost half. Here whole vectors are written; of several rows, each overwrites what was too
much of the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from flexpool.backends.numba_extrema import Line

__all__ = ["split"]

# Numba's own types take what a decorated function is called with for what it is declared with.
_intrinsic: Callable[..., Any] = intrinsic(prefer_literal=True)
_WORD = ir.IntType(64)


@_intrinsic
def split(
    typing: Any,
    line: Any,
    left: Any,
    windows: Any,
    onto: Any,
    length: Any,
    taps: Any,
    step: Any,
    dilation: Any,
) -> Any:
    """Copy what tap v of window j reads, ``line[step * j + dilation * v]``, to its place.

    That is ``onto[length * v + j]``; each of these lines needs room for a vector more. Nothing is
    read of the line from ``left`` on.

    Args:
        line: begins where the first window does.
        left: how many elements there are from there on.
        windows: how many there are.
        onto: what is written.
        length: of the line of each tap; this number and those below are literals.
        taps: how many there are.
        step: from one window to the next.
        dilation: from one tap to the next.
    """
    literals = length, taps, step, dilation
    length, taps, step, dilation = (number.literal_value for number in literals)
    # What several taps read with the same shift, counted in windows, is read at once.
    by_shift: dict[int, list[tuple[int, int]]] = {}
    for v in range(taps):
        shift, remainder = divmod(v * dilation, step)
        by_shift.setdefault(shift, []).append((v, remainder))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = Line(context, builder, line, args[0])
        target = Line(context, builder, onto, args[3])

        def place_of(j: Any, factor: int, offset: int) -> Any:
            return builder.add(builder.mul(j, _WORD(factor)), _WORD(offset))

        def read(begin: Any) -> list[Any]:
            """Read all that lies between the first elements of as many windows as are lanes."""
            places = [place_of(begin, 1, k * source.lanes) for k in range(step)]
            end = place_of(begin, 1, step * source.lanes)
            with builder.if_else(builder.icmp_signed("<=", end, args[1])) as (inside, beyond):
                with inside:
                    whole = [source.load(place) for place in places]
                    after_whole = builder.block
                with beyond:
                    parts = [source.load_up_to(args[1], place) for place in places]
                    after_parts = builder.block
            found = [builder.phi(source.vector) for _ in places]
            for one, vector, part in zip(found, whole, parts, strict=True):
                one.add_incoming(vector, after_whole)
                one.add_incoming(part, after_parts)
            return found

        lanes = _WORD(source.lanes)
        with cgutils.for_range_slice(builder, _WORD(0), args[2], lanes) as (j, _):
            for shift, found in by_shift.items():
                vectors = read(place_of(j, step, step * shift))
                for v, remainder in found:
                    each = source.every(vectors, remainder)
                    target.store(each, place_of(j, 1, length * v))
        return context.get_dummy_value()

    # By the signature Numba remembers what it has generated: so the literals belong to it.
    return types.void(line, types.int64, types.int64, onto, *literals), generate
