"""The largest and the smallest number of a line, and where it is, in vectors that are written out.

LLVM makes vectors of a loop for itself, but not of one in which a NaN takes over. So here are whole
vectors as long as there are any; what is left goes into one more, whose surplus is masked: nothing
behind the line is read. Where a processor has no vectors as wide, LLVM makes several of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["Line", "largest", "place_of", "smallest"]

VECTOR_BYTES = 64  # of the widest vectors of today's processors

_BLOCK = 64  # numbers that are compared at once: as many as an integer has bits
_FAR = 512  # numbers after which a search stops if it has found something
_AT_ONCE = 4  # vectors that are worked off side by side: each waits for its own last step alone

# Numba's own types take what a decorated function is called with for what it is declared with.
_intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic
_WORD, _NUMBER, _BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


class Line:
    """Emit loads of whole vectors from a line of an array's elements.

    Args:
        context: Numba's, of the function that is compiled.
        builder: of its code.
        kind: Numba's type of the line.
        line: its value.
    """

    def __init__(self, context: Any, builder: Any, kind: Any, line: Any) -> None:
        self.builder = builder
        self.begin = context.make_array(kind)(context, builder, line).data
        self.scalar = self.begin.type.pointee
        self.size = context.get_abi_sizeof(self.scalar)
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.mask = ir.VectorType(_BIT, self.lanes)

    def number(self, value: float) -> Any:
        """Make a vector that is the same number throughout."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def load(self, at: Any) -> Any:
        """Read a vector that lies inside the line."""
        return self.builder.load(self._address(at), align=self.size)

    def load_present(self, at: Any, present: Any, otherwise: Any) -> Any:
        """Read the numbers of a vector that are present; the rest are those of another."""
        suffix = "f32" if isinstance(self.scalar, ir.FloatType) else "f64"
        kinds = [self.vector.as_pointer(), _NUMBER, self.mask, self.vector]
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(self.vector, kinds),
            f"llvm.masked.load.v{self.lanes}{suffix}.p0",
        )
        align = ir.Constant(_NUMBER, self.size)
        return self.builder.call(function, [self._address(at), align, present, otherwise])

    def present(self, left: Any) -> Any:
        """Make the mask of as many lanes, from the first on, as there are numbers left."""
        most = ir.Constant(_WORD, self.lanes)
        fewer = self.builder.icmp_signed("<", left, most)
        count = self.builder.trunc(self.builder.select(fewer, left, most), _NUMBER)
        each = ir.Constant(ir.VectorType(_NUMBER, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", each, self.spread(count))

    def spread(self, value: Any) -> Any:
        """Make a vector that is a value throughout."""
        kind = ir.VectorType(value.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(nothing, value, ir.Constant(_NUMBER, 0))
        zeros = ir.Constant(ir.VectorType(_NUMBER, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, nothing, zeros)

    def bits(self, mask: Any) -> Any:
        """Read a mask as an integer, the first lane as its lowest bit."""
        return self.builder.bitcast(mask, ir.IntType(self.lanes))

    def _address(self, at: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(self.begin, [at]), self.vector.as_pointer())


def _extremum(sign: str, nothing: float) -> Callable[..., Any]:
    """Make a function of a line, and of how many of its numbers to look at.

    It gives NaN if any of them is NaN. Which is noted apart: so each comparison can be one that
    passes over NaN, as processors have it, and the next does not wait for more.

    Args:
        sign: how a number compares with one that it takes the place of.
        nothing: what the extremum of no number is.
    """

    def better(builder: Any, new: Any, old: Any) -> Any:
        return builder.select(builder.fcmp_ordered(sign, new, old), new, old)

    def declare(typing: Any, line: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, count = Line(context, builder, line, args[0]), args[1]
            bests = [cgutils.alloca_once(builder, source.vector) for _ in range(_AT_ONCE)]
            for best in bests:
                builder.store(source.number(nothing), best)
            nans = cgutils.alloca_once(builder, source.mask)
            builder.store(ir.Constant(source.mask, [0] * source.lanes), nans)

            def compare(new: Any, best: Any) -> None:
                builder.store(better(builder, new, builder.load(best)), best)
                nan = builder.fcmp_unordered("uno", new, new)
                builder.store(builder.or_(builder.load(nans), nan), nans)

            begin = ir.Constant(_WORD, 0)
            for several in (_AT_ONCE, 1):
                step = ir.Constant(_WORD, several * source.lanes)
                end = builder.and_(count, builder.neg(step))
                with cgutils.for_range_slice(builder, begin, end, step) as (at, _):
                    for k in range(several):
                        place = builder.add(at, ir.Constant(_WORD, k * source.lanes))
                        compare(source.load(place), bests[k])
                begin = end
            left = builder.sub(count, begin)
            with builder.if_then(builder.icmp_signed(">", left, ir.Constant(_WORD, 0))):
                present = source.present(left)
                compare(source.load_present(begin, present, source.number(nothing)), bests[-1])

            found = builder.load(bests[0])
            for best in bests[1:]:
                found = better(builder, builder.load(best), found)
            has_nan = source.bits(builder.load(nans))
            return builder.select(
                builder.icmp_unsigned("!=", has_nan, ir.Constant(has_nan.type, 0)),
                ir.Constant(source.scalar, float("nan")),
                _across(builder, found, better),
            )

        return line.dtype(line, types.int64), generate

    return _intrinsic(declare)


def _across(builder: Any, vector: Any, better: Callable[..., Any]) -> Any:
    """Reduce a vector to one number: its halves to one, and that one's halves again."""
    lanes = vector.type.count
    while lanes > 1:
        lanes //= 2
        low, high = (
            builder.shuffle_vector(
                vector,
                ir.Constant(vector.type, ir.Undefined),
                ir.Constant(ir.VectorType(_NUMBER, lanes), list(range(first, first + lanes))),
            )
            for first in (0, lanes)
        )
        vector = better(builder, high, low)
    return builder.extract_element(vector, ir.Constant(_NUMBER, 0))


largest = _extremum(">", float("-inf"))
smallest = _extremum("<", float("inf"))


@_intrinsic
def _matches(typing: Any, line: Any, at: Any, count: Any, value: Any) -> Any:
    """Compare up to _BLOCK numbers, from a place on, with a value; give one bit for each."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = Line(context, builder, line, args[0])
        wanted, found = source.spread(args[3]), ir.Constant(_WORD, 0)
        for begin in range(0, _BLOCK, source.lanes):
            place = builder.add(args[1], ir.Constant(_WORD, begin))
            present = source.present(builder.sub(args[2], place))
            numbers = source.load_present(place, present, source.number(0.0))
            equal = builder.and_(builder.fcmp_ordered("==", numbers, wanted), present)
            bits = builder.zext(source.bits(equal), _WORD)
            found = builder.or_(found, builder.shl(bits, ir.Constant(_WORD, begin)))
        return found

    return types.uint64(line, types.int64, types.int64, line.dtype), generate


@_intrinsic
def _lowest(typing: Any, bits: Any) -> Any:
    """Tell which is the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(_BIT, 0))

    return types.int64(types.uint64), generate


@njit(error_model="numpy", forceinline=True)
def place_of(line: Any, count: Any, extremum: Any) -> Any:
    """Find the first of a line's numbers that is its extremum; or its last NaN, if that is NaN.

    In a short line all are compared, from the last on: to stop sooner would be a branch that no
    processor foresees, which takes longer.
    """
    if extremum != extremum:
        return _last_nan(line, count)
    for begin in range(0, count, _FAR):
        place = -1
        last = (min(count, begin + _FAR) - 1) // _BLOCK * _BLOCK
        for at in range(last, begin - 1, -_BLOCK):
            found = _matches(line, at, count, extremum)
            if found != 0:
                place = at + _lowest(found)
        if place >= 0:
            return place
    return 0


@njit(error_model="numpy")
def _last_nan(line: Any, count: Any) -> Any:
    for at in range(count - 1, 0, -1):
        if line[at] != line[at]:
            return at
    return 0
