"""Elementwise functions for generated kernels, written so that loops over them vectorise.

A call into the C library for each element would cost more than all else a pooling kernel does. So
``exp``, ``log`` and ``pow`` are range reductions and polynomials in plain arithmetic, for float32
and float64, within a few units in the last place; infinities, NaN and subnormal numbers included.

These functions allow fused multiply-add and nothing else: reassociation would undo the split
constants that range reduction rests on.

Reference:
    Cody, Waite (1980), Software manual for the elementary functions. Polynomials: exp by its Taylor
    series on |r| <= ln(2)/2, in float32 from its third power on by least squares; log by the series
    of 2 artanh(s), s = (m - 1)/(m + 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload
from numba.np import arrayobj

from flexpool.backends import philox
from flexpool.backends.numba_extrema import largest, place_of, smallest
from flexpool.backends.numba_lanes import Vector

__all__ = [
    "add",
    "add_row",
    "aligned",
    "bring",
    "choose",
    "exp",
    "expm1",
    "fetch",
    "fetch_ahead",
    "floor",
    "index_of",
    "largest",
    "log",
    "log1p",
    "place_of",
    "power",
    "row",
    "row_or",
    "row_with_edges",
    "sigmoid",
    "sign",
    "smallest",
    "sqrt",
    "stream",
    "strided",
    "tanh",
    "total",
    "uniform",
    "wait_for_streams",
]

# Numba's own types take what a decorated function is called with for what it is declared with.
_intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic
# Without the order to inline, LLVM would call the longer ones for each element.
_OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True}
_exactly: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(**_OPTIONS)

CACHE_LINE = 64  # bytes

_INTEGER: dict[Any, Any] = {types.float32: types.int32, types.float64: types.int64}
_FLOAT = {integer: floating for floating, integer in _INTEGER.items()}


def _llvm(name: str) -> Callable[..., Any]:
    """Make a function of one number that is one LLVM instruction, so that it vectorises."""

    def declare(typing: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = args[0].type
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind]), f"llvm.{name}.{_suffix(kind)}"
            )
            return builder.call(function, args)

        return number(number), generate

    return _intrinsic(declare)


def _suffix(kind: ir.Type) -> str:
    return "f32" if isinstance(kind, ir.FloatType) else "f64"


floor = _llvm("floor")
_root = _llvm("sqrt")


@_intrinsic
def _bits(typing: Any, number: Any) -> Any:
    """Read a float's bits as an integer, or an integer's as a float."""
    other = {**_INTEGER, **_FLOAT}[number]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(other))

    return other(number), generate


@_intrinsic
def _floating(typing: Any, number: Any) -> Any:
    """Convert an integer to a float of the same width."""
    other = _FLOAT[number]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sitofp(args[0], context.get_value_type(other))

    return other(number), generate


@_intrinsic
def _halved(typing: Any, whole: Any, times: Any) -> Any:
    """Halve an integer so many times, downwards, in its width: Numba would widen it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ashr(*args)

    return whole(whole, whole), generate


@_intrinsic
def _half(typing: Any, whole: Any) -> Any:
    """Halve an integer that is not negative: fewer processors have vectors for any integer's."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.lshr(args[0], ir.Constant(args[0].type, 1))

    return whole(whole), generate


@_intrinsic
def choose(typing: Any, condition: Any, a: Any, b: Any) -> Any:
    """Take a where the condition holds and b elsewhere.

    Numba makes branches of Python's own ``a if condition else b``, and where LLVM does not undo
    that, a loop is not vectorised.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    truth = condition if isinstance(condition, Vector) else types.boolean
    return a(truth, a, a), generate


def _llvm_of_many(name: str) -> Callable[..., Any]:
    """Make a function of two or three numbers that is one LLVM instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(kind, [kind] * len(args)),
            f"llvm.{name}.{_suffix(kind)}",
        )
        return builder.call(function, args)

    def declare_two(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), generate

    def declare_three(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return a(a, b, c), generate

    return _intrinsic(declare_three if name == "fmuladd" else declare_two)


_fused = _llvm_of_many("fmuladd")  # one rounding where the processor can
_smaller = _llvm_of_many("minnum")
_larger = _llvm_of_many("maxnum")
_with_sign = _llvm_of_many("copysign")


_FARTHEST = 0.3475  # half of ln 2, and a little for what rounding adds


class _Format:
    """What the functions need to know of a floating-point format.

    ``ln2`` is split: the upper part has so few digits that its product with an exponent is exact.
    """

    def __init__(self, real: Any, whole: Any, mantissa: int, ln2: tuple[float, float]) -> None:
        terms = 7 if mantissa == 23 else 13
        self.real, self.whole, self.mantissa = real, whole, mantissa
        self.bias = (1 << (10 if mantissa == 52 else 7)) - 1
        self.ln2_high, self.ln2_low = map(real, ln2)
        self.above = real(math.log(float(np.finfo(real).max)) + 1)
        self.below = real(math.log(float(np.finfo(real).tiny)) - mantissa * math.log(2) - 1)
        taylor = [1 / math.factorial(n) for n in range(terms, -1, -1)]
        self.exp_terms = tuple(map(real, _near_exp() if mantissa == 23 else taylor))
        self.expm1_terms = tuple(real(1 / math.factorial(n + 1)) for n in range(terms, -1, -1))
        odd = 9 if mantissa == 23 else 21
        self.log_terms = tuple(real(2 / n) for n in range(odd, 1, -2))


def _near_exp() -> list[float]:
    """Give a polynomial for exp near 0 in float32, the coefficient of the highest power first.

    Its first terms are Taylor's; the others make the squares of its relative error at Chebyshev's
    nodes least. So it is nearer to exp, all along, than Taylor's with one term more.
    """
    r = _FARTHEST * np.cos((np.arange(100) + 0.5) * math.pi / 100)
    powers = r[:, None] ** np.arange(7) / np.exp(r)[:, None]
    first = [1.0, 1.0, 0.5]
    rest, *_ = np.linalg.lstsq(powers[:, 3:], 1 - powers[:, :3] @ first, rcond=None)
    return [*reversed(rest.tolist()), *reversed(first)]


_SINGLE = _Format(np.float32, np.int32, 23, (0.693359375, -2.12194440e-4))
_DOUBLE = _Format(np.float64, np.int64, 52, (6.93145751953125e-1, 1.42860682030941723212e-6))


def _format(number: Any) -> _Format:
    return _SINGLE if number == types.float32 else _DOUBLE


@njit(fastmath={"reassoc", "nsz"}, forceinline=True)
def add(total: Any, a: Any) -> Any:
    """Add to a running sum, whose order LLVM may change: so a loop over it vectorises."""
    return total + a


@njit(fastmath={"reassoc", "nsz"}, forceinline=True)
def total(values: Any, count: Any) -> Any:
    """Add up the first elements of a row."""
    result = values.dtype.type(0)
    for j in range(count):
        result += values[j]
    return result


def _index(builder: Any, array: Any, place: Any) -> Any:
    """Compute where an element lies in a C-contiguous array, all axes flattened."""
    sizes = cgutils.unpack_tuple(builder, array.shape)
    places = cgutils.unpack_tuple(builder, place)
    index = places[0]
    for size, each in zip(sizes[1:], places[1:], strict=True):
        index = builder.add(builder.mul(index, size), each)
    return index


@_intrinsic
def index_of(typing: Any, array: Any, place: Any) -> Any:
    """Tell where an element lies in a C-contiguous array, all axes flattened."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _index(builder, context.make_array(array)(context, builder, args[0]), args[1])

    return types.int64(array, place), generate


def _row_at(context: Any, builder: Any, kind: Any, source: Any, begin: Any) -> Any:
    """Make a row that begins at an address, as long as an array, without an owner."""
    made = context.make_array(kind)(context, builder)
    arrayobj.populate_array(
        made,
        data=begin,
        shape=[source.nitems],
        strides=[source.itemsize],
        itemsize=source.itemsize,
        meminfo=None,
    )
    return made._getvalue()


@_intrinsic
def row(typing: Any, array: Any, place: Any) -> Any:
    """Take what follows an element in a C-contiguous array, all axes flattened.

    A slice would do the same, but takes as long as pooling a short row: it looks for negative
    indices and counts what is left. A row does not keep its array alive.
    """
    result = types.Array(array.dtype, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(array)(context, builder, args[0])
        begin = builder.gep(source.data, [_index(builder, source, args[1])])
        return _row_at(context, builder, result, source, begin)

    return result(array, place), generate


@_intrinsic
def strided(typing: Any, line: Any, step: Any, j: Any, offset: Any) -> Any:
    """Read ``line[step * j + offset]``, which lies in the line.

    Of Python's own index LLVM would have to find out first that it does not overflow. It gives up
    vectorising a loop that reads more than sixteen of these.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(line)(context, builder, args[0])
        scaled = builder.mul(args[1], args[2], flags=["nsw"])
        index = builder.add(scaled, args[3], flags=["nsw"])
        size = context.get_abi_sizeof(source.data.type.pointee)
        return builder.load(builder.gep(source.data, [index], inbounds=True), align=size)

    return line.dtype(line, types.int64, types.int64, types.int64), generate


@_intrinsic
def _prefetch(typing: Any, line: Any, index: Any) -> Any:
    """Ask for the cache line of an element, which need not exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        source = context.make_array(line)(context, builder, args[0])
        place = builder.bitcast(builder.gep(source.data, [args[1]]), byte)
        to_read, stays_near, data = (ir.Constant(number, n) for n in (0, 3, 1))
        builder.call(function, [place, to_read, stays_near, data])
        return context.get_dummy_value()

    return types.void(line, index), generate


@njit(error_model="numpy", forceinline=True)
def fetch(line: Any, count: Any) -> Any:
    """Ask for some elements of a line, which need not exist."""
    for i in range(0, count, CACHE_LINE // line.itemsize):
        _prefetch(line, i)


@njit(error_model="numpy", forceinline=True)
def fetch_ahead(line: Any, count: Any) -> Any:
    """Ask for what a few rows on will read: as many elements as one row brings anew.

    Of long rows too many are read at once for processors to foresee it.
    """
    fetch(row(line, (8192 // line.itemsize,)), count)


@_intrinsic
def row_or(typing: Any, array: Any, place: Any, spare: Any, here: Any) -> Any:
    """Take a row of an array where ``here`` is true, and a spare row elsewhere.

    Python's own ``if`` would count references to both, which takes as long as pooling a short row.
    """
    result = types.Array(array.dtype, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(array)(context, builder, args[0])
        other = context.make_array(spare)(context, builder, args[2])
        begin = builder.gep(source.data, [_index(builder, source, args[1])])
        chosen = builder.select(args[3], begin, other.data)
        return _row_at(context, builder, result, source, chosen)

    return result(array, place, spare, types.boolean), generate


@njit(error_model="numpy", forceinline=True)
def row_with_edges(everything: Any, begin: Any, length: Any, scratch: Any) -> Any:
    """Take a row that may begin before its line and end behind it.

    What is read there is of no account, but must lie in the array. Where it does not, the row is
    made in ``scratch``, which is at least as long.

    ``everything`` is the array's first row, and ``scratch`` a row too: of arrays that keep their
    memory alive, each call would count the references, which costs more than a short row.
    """
    here = (begin >= 0) & (begin + length <= everything.size)
    if not here:
        _copy_inside(everything, begin, length, scratch)
    return row_or(everything, (begin,), scratch, here)


@njit(error_model="numpy")
def _copy_inside(everything: Any, begin: Any, length: Any, scratch: Any) -> None:
    for i in range(max(0, begin), min(begin + length, everything.size)):
        scratch[i - begin] = everything[i]


@njit(error_model="numpy", fastmath={"contract", "nsz"}, forceinline=True)
def add_row(onto: Any, values: Any, count: Any, begin: Any, width: Any) -> Any:
    """Add values to a line from column ``begin`` on; what lies outside the line is left out."""
    low, high = max(0, begin), min(width, begin + count)
    line, new = row(onto, (low,)), row(values, (low - begin,))
    for i in range(high - low):
        line[i] += new[i]


LANES = 8  # values that pack moves at once; two instructions where vectors are shorter


@_intrinsic
def _copy_lanes(typing: Any, onto: Any, to: Any, line: Any, at: Any) -> Any:
    """Copy LANES neighbouring values."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = context.make_array(onto)(context, builder, args[0])
        source = context.make_array(line)(context, builder, args[2])
        scalar = source.data.type.pointee
        lanes, size = ir.VectorType(scalar, LANES).as_pointer(), context.get_abi_sizeof(scalar)
        begin = builder.bitcast(builder.gep(source.data, [args[3]]), lanes)
        place = builder.bitcast(builder.gep(target.data, [args[1]]), lanes)
        builder.store(builder.load(begin, align=size), place, align=size)
        return context.get_dummy_value()

    return types.void(onto, to, line, at), generate


@njit(error_model="numpy", forceinline=True)
def unharmed(count: Any, step: Any, length: Any) -> Any:
    """Count the runs that may be copied with whole lanes, the others following ``step`` apart.

    What is too much of a run must be overwritten by a later one, and not go beyond the last.
    """
    surplus = (length + LANES - 1) // LANES * LANES - length
    return max(0, count - (surplus + step - 1) // step)


@njit(error_model="numpy", forceinline=True)
def copy_lanes(onto: Any, to: Any, line: Any, at: Any, length: Any) -> Any:
    """Copy a run of values, and what is missing to whole lanes."""
    _copy_lanes(onto, to, line, at)
    for c in range(LANES, length, LANES):
        _copy_lanes(onto, to + c, line, at + c)


@njit(error_model="numpy", forceinline=True)
def copy_exactly(onto: Any, to: Any, line: Any, at: Any, length: Any) -> Any:
    """Copy a run of values."""
    for c in range(length):
        onto[to + c] = line[at + c]


@njit(error_model="numpy", forceinline=True)
def pack(line: Any, step: Any, length: Any, count: Any, onto: Any) -> Any:
    """Copy runs of values that lie ``step`` apart next to each other.

    ``onto`` has room for LANES more.
    """
    safe = unharmed(count, step, length)
    for i in range(safe):
        copy_lanes(onto, i * length, line, i * step, length)
    for i in range(safe, count):
        copy_exactly(onto, i * length, line, i * step, length)


@_intrinsic
def aligned(typing: Any, array: Any) -> Any:
    """Begin an array at the next cache line: its last row may then end behind what was allocated.

    What is written in vectors and read again at once goes from one to the other within the
    processor, but not where it crosses a boundary between cache lines.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = context.make_array(array)(context, builder, args[0])
        word = ir.IntType(64)
        address = builder.ptrtoint(made.data, word)
        mask = ir.Constant(word, -CACHE_LINE)
        address = builder.and_(builder.add(address, ir.Constant(word, CACHE_LINE - 1)), mask)
        made.data = builder.inttoptr(address, made.data.type)
        return impl_ret_borrowed(context, builder, array, made._getvalue())

    return array(array), generate


@_intrinsic
def _address(typing: Any, line: Any) -> Any:
    """Tell where in memory a line begins."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(line)(context, builder, args[0])
        return builder.ptrtoint(source.data, ir.IntType(64))

    return types.int64(line), generate


@_intrinsic
def _stream_cache_line(typing: Any, onto: Any, line: Any, at: Any) -> Any:
    """Copy the values of one cache line, whose beginning is at ``at``, past the caches."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = context.make_array(onto)(context, builder, args[0])
        source = context.make_array(line)(context, builder, args[1])
        scalar = source.data.type.pointee
        size = context.get_abi_sizeof(scalar)
        lanes = ir.VectorType(scalar, CACHE_LINE // size).as_pointer()
        begin = builder.bitcast(builder.gep(source.data, [args[2]]), lanes)
        place = builder.bitcast(builder.gep(target.data, [args[2]]), lanes)
        stored = builder.store(builder.load(begin, align=size), place, align=CACHE_LINE)
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        stored.set_metadata("nontemporal", once)
        return context.get_dummy_value()

    return types.void(onto, line, at), generate


@njit(error_model="numpy", forceinline=True)
def stream(onto: Any, line: Any, count: Any) -> Any:
    """Copy a line to memory past the caches.

    An ordinary store reads what it overwrites first, and puts out of the caches what is used again.
    """
    length = CACHE_LINE // line.itemsize
    first = min(count, (-_address(onto) % CACHE_LINE) // line.itemsize)
    last = first + (count - first) // length * length
    for i in range(first):
        onto[i] = line[i]
    for i in range(first, last, length):
        _stream_cache_line(onto, line, i)
    for i in range(last, count):
        onto[i] = line[i]


@njit(error_model="numpy")
def bring(onto: Any, line: Any, count: Any, streamed: Any) -> None:
    """Copy a line to where it belongs, past the caches if that is better."""
    if streamed:
        stream(onto, line, count)
    else:
        for i in range(count):
            onto[i] = line[i]


@_intrinsic
def wait_for_streams(typing: Any) -> Any:
    """Let no other thread see what is written later before what was streamed."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


def exp(a: Any) -> Any:
    """Raise e to the power a."""


@overload(exp, jit_options=_OPTIONS)
def _exp(a: Any) -> Any:
    f = _format(a)
    above, below = f.above, f.below
    per_ln2, ln2_high, ln2_low = f.real(1 / math.log(2)), f.ln2_high, f.ln2_low
    polynomial, nearest, scale = _polynomial(f.exp_terms), _nearest(f), _scale(f)

    def implementation(a: Any) -> Any:
        inside = choose(a > above, above, a)  # beyond both, scaling gives infinity or zero
        inside = choose(inside < below, below, inside)
        n, places = nearest(inside * per_ln2)
        r = (inside - n * ln2_high) - n * ln2_low
        return scale(polynomial(r), places)

    return implementation


def expm1(a: Any) -> Any:
    """Compute exp(a) - 1."""


@overload(expm1, jit_options=_OPTIONS)
def _expm1(a: Any) -> Any:
    f = _format(a)
    one, half, polynomial = f.real(1), f.real(0.5), _polynomial(f.expm1_terms)

    def implementation(a: Any) -> Any:
        inside = _larger(_smaller(a, half), -half)
        return choose(abs(a) < half, inside * polynomial(inside), exp(a) - one)

    return implementation


def _polynomial(terms: tuple[Any, ...]) -> Callable[..., Any]:
    """Write out Horner's rule, the coefficient of the highest power first."""
    names = {f"c{n}": term for n, term in enumerate(terms)}
    body = "c0"
    for n in range(1, len(terms)):
        body = f"({body}) * r + c{n}"
    scope: dict[str, Any] = dict(names)
    exec(f"def polynomial(r):\n    return {body}\n", scope)  # our own numbers
    made: Callable[..., Any] = _exactly(scope["polynomial"])
    return made


def _nearest(f: _Format) -> Callable[..., Any]:
    """Round to a whole number, and give it as an integer too.

    A float of 1.5 * 2**mantissa is so large that its last digit is 1, so adding it rounds, and its
    bits count on from there: no conversion is needed, which could not tell NaN.
    """
    whole, large = f.whole, f.real(1.5 * 2.0**f.mantissa)
    offset = large.view(whole)

    @_exactly
    def nearest(a: Any) -> Any:
        shifted = a + large
        return shifted - large, whole(_bits(shifted) - offset)

    made: Callable[..., Any] = nearest
    return made


def _scale(f: _Format) -> Callable[..., Any]:
    """Multiply by 2**n in two steps, so that neither factor leaves the normal numbers."""
    whole = f.whole
    biases, mantissa = whole(2 * f.bias), whole(f.mantissa)

    @_exactly
    def scale(value: Any, n: Any) -> Any:
        both = whole(n + biases)
        low = _half(both)
        high = whole(both - low)
        return value * _bits(whole(low << mantissa)) * _bits(whole(high << mantissa))

    made: Callable[..., Any] = scale
    return made


def _split(f: _Format) -> Callable[..., Any]:
    """Split a positive number into m * 2**e with sqrt(1/2) <= m < sqrt(2); log m and e."""
    whole, mantissa = f.whole, f.whole(f.mantissa)
    tiny, lift, lifted = np.finfo(f.real).tiny, f.real(2.0**f.mantissa), f.real(f.mantissa)
    offset = f.real(math.sqrt(0.5)).view(whole)
    one, zero, two = f.real(1), f.real(0), f.real(2)
    polynomial = _polynomial(f.log_terms)

    @_exactly
    def split(a: Any) -> Any:
        small = a < tiny
        normal = choose(small, a * lift, a)
        bits = _bits(normal)
        e = _halved(whole(bits - offset), mantissa)  # whole() narrows what Numba widens
        m = _bits(whole(bits - (e << mantissa)))
        s = (m - one) / (m + one)
        square = s * s
        log_m = s * (square * polynomial(square) + two)
        return log_m, _floating(e) - choose(small, lifted, zero)

    made: Callable[..., Any] = split
    return made


def log(a: Any) -> Any:
    """Take the natural logarithm."""


@overload(log, jit_options=_OPTIONS)
def _log(a: Any) -> Any:
    f = _format(a)
    split, ln2_high, ln2_low = _split(f), f.ln2_high, f.ln2_low
    zero, infinity, nan = f.real(0), f.real(np.inf), f.real(np.nan)

    def implementation(a: Any) -> Any:
        log_m, e = split(a)
        value = e * ln2_high + (e * ln2_low + log_m)
        value = choose(a == infinity, infinity, value)
        return choose(a > zero, value, choose(a == zero, -infinity, nan))  # of NaN, too

    return implementation


def log1p(a: Any) -> Any:
    """Compute log(1 + a)."""


@overload(log1p, jit_options=_OPTIONS)
def _log1p(a: Any) -> Any:
    """Give back to the logarithm of the rounded sum what rounding took."""
    real = _format(a).real
    one, zero, infinity = real(1), real(0), real(np.inf)

    def implementation(a: Any) -> Any:
        near = a + one
        value = log(near) - ((near - one) - a) / near
        value = choose(near == zero, -infinity, value)
        return _with_sign(choose(a == infinity, infinity, value), a)

    return implementation


def power(a: Any, p: Any) -> Any:
    """Raise a to the power p, as C's pow does."""


@overload(power, jit_options=_OPTIONS)
def _power(a: Any, p: Any) -> Any:
    """Compute 2**(p e) and e**(p log m) apart: e is whole, so little of p e is rounded away."""
    f = _format(a)
    real = f.real
    split, polynomial = _split(f), _polynomial(f.exp_terms)
    nearest, scale = _nearest(f), _scale(f)
    per_ln2, ln2_high, ln2_low = real(1 / math.log(2)), f.ln2_high, f.ln2_low
    half, one, zero, two = real(0.5), real(1), real(0), real(2)
    infinity = real(np.inf)
    most = real(f.bias + f.mantissa + 10)  # beyond it, scaling gives infinity or zero

    def implementation(a: Any, p: Any) -> Any:
        size = abs(a)
        log_m, e = split(size)
        exponent = _larger(_smaller(p * e + p * log_m * per_ln2, most), -most)
        n, places = nearest(exponent)
        r = (_fused(p, e, -n) * ln2_high + p * log_m) + _fused(p, e, -n) * ln2_low
        value = scale(polynomial(_larger(_smaller(r, one), -one)), places)
        at_zero = choose(p > zero, zero, infinity)
        at_infinity = choose(p > zero, infinity, zero)
        value = choose(size == zero, at_zero, value)
        value = choose(size == infinity, at_infinity, value)
        # Where a < 0: 1 for an even exponent, -1 for an odd one, NaN for one that is not whole. It
        # is computed, as LLVM would make a loop of its own for each outcome of a choice.
        turned = one + two * (floor(p * half) * two - p) + _root(floor(p) - p)
        value = value * choose(a < zero, turned, one)
        value = choose((a != a) | (p != p), a + p, value)
        return choose((p == zero) | (a == one), one, value)

    return implementation


def sqrt(a: Any) -> Any:
    """Take the square root."""


@overload(sqrt)
def _sqrt(a: Any) -> Any:
    def implementation(a: Any) -> Any:
        return _root(a)

    return implementation


def sigmoid(a: Any) -> Any:
    """Compute 1 / (1 + exp(-a))."""


@overload(sigmoid, jit_options=_OPTIONS)
def _sigmoid(a: Any) -> Any:
    one = _format(a).real(1)

    def implementation(a: Any) -> Any:
        return one / (one + exp(-a))

    return implementation


def tanh(a: Any) -> Any:
    """Compute the hyperbolic tangent."""


@overload(tanh, jit_options=_OPTIONS)
def _tanh(a: Any) -> Any:
    two = _format(a).real(2)

    def implementation(a: Any) -> Any:
        shrunk = expm1(-two * abs(a))
        return _with_sign(shrunk / (shrunk + two), a)

    return implementation


def sign(a: Any) -> Any:
    """Give 1, 0 or -1; NaN for NaN."""


@overload(sign)
def _sign(a: Any) -> Any:
    one, zero = _format(a).real(1), _format(a).real(0)

    def implementation(a: Any) -> Any:
        value = choose(a > zero, one, choose(a < zero, -one, zero))
        return choose(a != a, a, value)

    return implementation


def uniform(key: Any, offset: Any, index: Any) -> Any:
    """Draw the random number of one window: :func:`flexpool.backends.philox.uniform`."""


@overload(uniform)
def _uniform(key: Any, offset: Any, index: Any) -> Any:
    mask, multiplier = np.uint64(philox.MASK), np.uint64(philox.MULTIPLIER)
    increment, rounds = np.uint64(philox.INCREMENT), philox.ROUNDS
    half, dropped, unit = np.uint64(32), np.uint64(8), 2.0**-24

    def implementation(key: Any, offset: Any, index: Any) -> Any:
        k = np.uint64(key)
        low = np.uint64(index) & mask
        high = ((np.uint64(index) >> half) + np.uint64(offset)) & mask
        for _ in range(rounds):
            product = low * multiplier
            low = (product >> half) ^ k ^ high
            high = product & mask
            k = (k + increment) & mask
        return np.int64(low >> dropped) * unit

    return implementation
