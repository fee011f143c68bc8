"""Types that arrays may have in memory besides float32 and float64, in which all is computed.

Half floats and whole numbers are converted to the type a task computes in, and results back: here
by NumPy and as a whole, in :mod:`flexpool.backends.numba_cpu.staged` a piece at a time.

NumPy has no bfloat16: such arrays are of :data:`BFLOAT16`, a record of its 16 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from flexpool.errors import DtypeError, expected

__all__ = [
    "BFLOAT16",
    "Bounds",
    "Named",
    "Run",
    "Types",
    "bounds",
    "converting",
    "numbers",
    "refuse_nan",
    "stored",
]

Array = np.ndarray[Any, Any]
Types = Mapping[str, np.dtype[Any]]
Run = Callable[..., dict[str, Any]]

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])


def numbers(array: Array, dtype: str) -> Array:
    """Convert an array of any type to the numbers it stands for, exactly."""
    if array.dtype == BFLOAT16:
        bits = array.view(np.uint16).astype(np.uint32) << np.uint32(16)
        array = bits.view(np.float32)
    return array.astype(dtype, order="K", copy=False)


def stored(array: Array, dtype: np.dtype[Any]) -> Array:
    """Convert numbers to the type they are kept in.

    They are rounded to the nearest, halfway cases to even. Of whole numbers, inf is the largest and
    -inf the smallest.

    Raises:
        DtypeError: if the type is whole and one is NaN.

    Example:
        >>> stored(np.array([2049.0, np.inf]), np.dtype("float16")).tolist()
        [2048.0, inf]
        >>> stored(np.array([7.0, -np.inf]), np.dtype("int8")).tolist()
        [7, -128]
    """
    if dtype == BFLOAT16:
        return _rounded(array.astype(np.float32, copy=False)).view(BFLOAT16)
    if dtype.kind not in "iub":
        with np.errstate(over="ignore"):
            return array.astype(dtype, copy=False)
    refuse_nan(array, dtype)
    finite = np.isfinite(array)
    whole = np.where(finite, array, 0).astype(dtype)
    least, most = bounds(dtype)
    whole[array == np.inf], whole[array == -np.inf] = most, least
    return whole


def _rounded(array: Array) -> Array:
    """Round float32 to the upper half of its bits."""
    bits = array.view(np.uint32)
    even = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + even) >> np.uint32(16)
    return np.where(np.isnan(array), np.uint32(0x7FC0), rounded).astype(np.uint16)


class Bounds(NamedTuple):
    """The smallest and the largest number of a whole type."""

    least: int
    most: int


def bounds(dtype: np.dtype[Any]) -> Bounds:
    """Give the range of a whole type, or of bool.

    Example:
        >>> bounds(np.dtype("int8"))
        Bounds(least=-128, most=127)
    """
    if dtype.kind == "b":
        return Bounds(0, 1)
    info = np.iinfo(dtype)
    return Bounds(int(info.min), int(info.max))


def refuse_nan(array: Array, dtype: np.dtype[Any]) -> None:
    """Refuse to convert NaN, which is what windows without elements give, to a whole type.

    Raises:
        DtypeError: if there is one.
    """
    if np.isnan(array).any():
        rule = "to be floating point where a window has no elements"
        got = expected("x", rule, Named(dtype), "Convert it: x.astype(np.float32).")
        raise DtypeError(got)


class Named:
    """Show a type in a message without quotes."""

    def __init__(self, dtype: object) -> None:
        self.dtype = dtype

    def __repr__(self) -> str:
        return str(self.dtype)


def converting(run: Run) -> Run:
    """Let a backend that takes arrays of the task's type take others too, converted as a whole.

    With ``types``, those of the results by name, the arrays may be of any type.
    """

    @functools.wraps(run)
    def converted(task: Any, leaves: Mapping[str, Any], types: Types | None = None) -> Any:
        if types is None:
            return run(task, leaves)
        plain = {
            name: numbers(leaf, task.dtype) if isinstance(leaf, np.ndarray) else leaf
            for name, leaf in leaves.items()
        }
        results = run(task, plain)
        return {name: stored(a, types.get(name, a.dtype)) for name, a in results.items()}

    return converted
