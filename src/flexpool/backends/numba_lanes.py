"""Vectors as values that a kernel computes with, of neighbouring windows or elements.

LLVM makes vectors of most loops for itself. But elements two apart that the next window reads again
it gathers one by one; and a loop over several rows, whose distance it does not know, begins with
tests whether they overlap and ends with numbers one by one. With these vectors a loop does no more
than it says.

A vector fills ``VECTOR_BYTES``; where a processor has none as wide, LLVM makes several of it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from flexpool.backends.numba_extrema import VECTOR_BYTES

__all__ = [
    "Vector",
    "above",
    "below",
    "load_apart",
    "load_before",
    "load_lanes",
    "load_within",
    "spread",
    "store_lanes",
    "store_together",
]

# Numba's own types take what a decorated function is called with for what it is declared with.
_intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic
_of_literals: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic(prefer_literal=True)
_NUMBER = ir.IntType(32)


class Vector(types.Type):
    """Numba's type of a vector: of numbers, or of truths, which choose between numbers."""

    def __init__(self, element: Any, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        super().__init__(name=f"Vector({element}, {lanes})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        vector = ir.VectorType(manager[kind.element].get_value_type(), kind.lanes)
        super().__init__(manager, kind, vector)  # type: ignore[no-untyped-call]


def _vector(element: Any) -> Vector:
    return Vector(element, VECTOR_BYTES // (element.bitwidth // 8))


def _indices(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_NUMBER, len(numbers)), numbers)


# Arithmetic.


def _emit(emit: Callable[[Any, Any, Any], Any], truth: bool) -> Callable[..., Any]:
    """Make a function of two vectors of one type."""

    def declare(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, *args)

        return (Vector(types.boolean, a.lanes) if truth else a)(a, a), generate

    return _intrinsic(declare)


def _for_operator(which: Any, function: Any) -> None:
    def declare(a: Any, b: Any) -> Any:
        if not isinstance(a, Vector) or a != b:
            return None

        def implementation(a: Any, b: Any) -> Any:
            return function(a, b)

        return implementation

    overload(which)(declare)


_for_operator(operator.add, _emit(lambda builder, a, b: builder.fadd(a, b), False))
_for_operator(operator.eq, _emit(lambda builder, a, b: builder.fcmp_ordered("==", a, b), True))


def _better(sign: str, worst: float) -> Callable[..., Any]:
    """Make a function that tells where a number takes the place of an extremum: also if it is NaN.

    A comparison that holds for NaN also holds for any number beside one. So the extremum is
    compared as the infinity that nothing is beyond, if it is NaN.
    """

    def emit(builder: Any, new: Any, old: Any) -> Any:
        end = ir.Constant(old.type, [-worst] * old.type.count)
        bounded = builder.select(builder.fcmp_ordered(sign, end, old), old, end)
        return builder.fcmp_unordered(sign, new, bounded)

    return _emit(emit, True)


above = _better(">", float("-inf"))
below = _better("<", float("inf"))


@_intrinsic
def spread(typing: Any, number: Any) -> Any:
    """Make a vector that is a number throughout."""
    kind = _vector(number)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _spread(builder, args[0], kind.lanes)

    return kind(number), generate


def _spread(builder: Any, value: Any, lanes: int) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    single = builder.insert_element(nothing, value, ir.Constant(_NUMBER, 0))
    return builder.shuffle_vector(single, nothing, _indices([0] * lanes))


# Memory.


class _Part:
    """Vectors of a line of an array, from ``begin`` on, where ``count`` elements may be touched.

    Vectors inside are read and written as they are, others with a mask, which takes longer: to
    write all with masks, a gradient took up to three times as long.
    """

    def __init__(self, context: Any, builder: Any, kind: Any, args: Any) -> None:
        line, self.count, self.begin = args[:3]
        self.builder, self.kind = builder, _vector(kind.dtype)
        self.data = context.make_array(kind)(context, builder, line).data
        self.size = context.get_abi_sizeof(self.data.type.pointee)
        self.type = context.get_value_type(self.kind)
        self.lanes = self.kind.lanes

    def inside(self, vectors: int) -> Any:
        """Tell whether so many vectors lie inside."""
        zero, more = (ir.Constant(self.begin.type, n) for n in (0, vectors * self.lanes))
        end = self.builder.add(self.begin, more)
        fits = self.builder.icmp_signed("<=", end, self.count)
        return self.builder.and_(self.builder.icmp_signed(">=", self.begin, zero), fits)

    def address(self, vector: int) -> Any:
        """Point to a vector."""
        place = self.builder.add(self.begin, ir.Constant(self.begin.type, vector * self.lanes))
        return self.builder.bitcast(self.builder.gep(self.data, [place]), self.type.as_pointer())

    def mask(self, vector: int) -> Any:
        """Tell which numbers of a vector are inside.

        Places are compared as numbers of 32 bits, so they are counted from the vectors' begin or
        from far before it: the line may be longer than that.
        """
        begin = self._bounded(self.begin)
        left = self._bounded(self.builder.sub(self.count, self.begin))
        return self.inside_line(begin, self.builder.add(begin, left), vector)

    def _bounded(self, number: Any) -> Any:
        for sign, far in (("<", -(1 << 29)), (">", 1 << 29)):
            bound = ir.Constant(number.type, far)
            beyond = self.builder.icmp_signed(sign, number, bound)
            number = self.builder.select(beyond, bound, number)
        return number

    def inside_line(self, begin: Any, count: Any, vector: int) -> Any:
        """Tell which numbers of a vector are inside a line that has less than 2**31."""
        begin, count = (
            _spread(self.builder, self.builder.trunc(number, _NUMBER), self.lanes)
            for number in (begin, count)
        )
        numbers = _indices(list(range(vector * self.lanes, (vector + 1) * self.lanes)))
        return self.builder.icmp_unsigned("<", self.builder.add(begin, numbers), count)

    def masked(self, name: str, result: Any, args: list[Any]) -> Any:
        """Call LLVM's function that reads or writes the numbers that a mask tells."""
        kind = ir.FunctionType(result, [arg.type for arg in args])
        suffix = "f32" if self.size == 4 else "f64"
        name = f"llvm.masked.{name}.v{self.lanes}{suffix}.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, args)

    @property
    def align(self) -> Any:
        return ir.Constant(_NUMBER, self.size)


@_intrinsic
def load_lanes(typing: Any, line: Any, begin: Any) -> Any:
    """Read a vector of a line."""
    kind = _vector(line.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part = _Part(context, builder, line, [args[0], None, args[1]])
        return builder.load(part.address(0), align=part.size)

    return kind(line, types.int64), generate


@_intrinsic
def store_lanes(typing: Any, line: Any, begin: Any, vector: Any) -> Any:
    """Write a vector into a line."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part = _Part(context, builder, line, [args[0], None, args[1]])
        builder.store(args[2], part.address(0), align=part.size)
        return context.get_dummy_value()

    return types.void(line, types.int64, vector), generate


@_of_literals
def load_before(typing: Any, line: Any, begin: Any, shift: Any) -> Any:
    """Read a vector that begins ``shift`` numbers before a place where vectors were written.

    It is taken from the two that lie there: to read across cache lines takes longer.
    """
    kind = _vector(line.dtype)
    back, more = divmod(-shift.literal_value, kind.lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part = _Part(context, builder, line, [args[0], None, args[1]])
        first = builder.load(part.address(back), align=part.size)
        if not more:
            return first
        second = builder.load(part.address(back + 1), align=part.size)
        return builder.shuffle_vector(first, second, _indices(list(range(more, more + kind.lanes))))

    return kind(line, types.int64, shift), generate


@_intrinsic
def load_within(typing: Any, line: Any, count: Any, begin: Any) -> Any:
    """Read a vector of which what is outside of the line's first ``count`` elements is 0.

    A vector before these and one behind them must lie in memory: so there is no need for masked
    reads, which not all processors have.
    """
    kind = _vector(line.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count, begin = args[1:]
        low = ir.Constant(begin.type, -kind.lanes)
        begin = builder.select(builder.icmp_signed("<", begin, low), low, begin)
        begin = builder.select(builder.icmp_signed(">", begin, count), count, begin)
        part = _Part(context, builder, line, [args[0], count, begin])
        nothing = ir.Constant(part.type, [0.0] * kind.lanes)
        inside = part.inside_line(begin, count, 0)
        return builder.select(inside, builder.load(part.address(0), align=part.size), nothing)

    return kind(line, types.int64, types.int64), generate


@_of_literals
def load_apart(typing: Any, line: Any, count: Any, begin: Any, step: Any, otherwise: Any) -> Any:
    """Read vectors of elements ``step`` apart: one from ``begin`` on, one from the next on, ...

    What is outside of the line's first ``count`` elements is ``otherwise``.
    """
    apart = step.literal_value
    result = types.UniTuple(_vector(line.dtype), apart)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part = _Part(context, builder, line, args)
        loaded = [cgutils.alloca_once(builder, part.type) for _ in range(apart)]
        with builder.if_else(part.inside(apart), likely=True) as (whole, partly):
            with whole:
                for k, place in enumerate(loaded):
                    builder.store(builder.load(part.address(k), align=part.size), place)
            with partly:
                nothing = _spread(builder, args[4], part.lanes)
                for k, place in enumerate(loaded):
                    each = [part.address(k), part.align, part.mask(k), nothing]
                    builder.store(part.masked("load", part.type, each), place)
        vectors = [builder.load(place) for place in loaded]
        found = [_taken(builder, vectors, first) for first in range(apart)]
        return context.make_tuple(builder, result, found)

    return result(line, types.int64, types.int64, step, line.dtype), generate


def _taken(builder: Any, vectors: list[Any], first: int) -> Any:
    """Take from vectors, one behind the other, a number of each group of as many as they are."""
    lanes, step = vectors[0].type.count, len(vectors)
    result = vectors[0]
    places = [divmod(first + step * i, lanes) for i in range(lanes)]
    for k in range(1, step):
        lane = [
            lanes + at if vector == k else (at if k == 1 else i)
            for i, (vector, at) in enumerate(places)
        ]
        result = builder.shuffle_vector(result, vectors[k], _indices(lane))
    return result


@_of_literals
def store_together(typing: Any, line: Any, count: Any, begin: Any, vectors: Any) -> Any:
    """Write vectors into a line from ``begin`` on: the first number of each, the second, ...

    What is outside of the line's first ``count`` elements is left out.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        part = _Part(context, builder, line, args)
        each = cgutils.unpack_tuple(builder, args[3])
        merged = [_merged(builder, each, k) for k in range(len(each))]
        with builder.if_else(part.inside(len(each)), likely=True) as (whole, partly):
            with whole:
                for k, vector in enumerate(merged):
                    builder.store(vector, part.address(k), align=part.size)
            with partly:
                for k, vector in enumerate(merged):
                    what = [vector, part.address(k), part.align, part.mask(k)]
                    part.masked("store", ir.VoidType(), what)
        return context.get_dummy_value()

    return types.void(line, types.int64, types.int64, vectors), generate


def _merged(builder: Any, vectors: list[Any], k: int) -> Any:
    """Make the k-th vector where numbers of several are taken in turn."""
    lanes, step = vectors[0].type.count, len(vectors)
    result = vectors[0]
    places = [divmod(k * lanes + i, step) for i in range(lanes)]
    for v in range(1, step):
        lane = [
            lanes + at if vector == v else (at if v == 1 else i)
            for i, (at, vector) in enumerate(places)
        ]
        result = builder.shuffle_vector(result, vectors[v], _indices(lane))
    return result
