"""The array operations that the eager backend needs, in NumPy.

:mod:`flexpool.backends.eager_torch` has the same ones. "last" is the last axis, which the result
lacks (but for ``take_last`` and ``cumsum_last``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np

__all__ = ["NumpyArrays"]


class NumpyArrays:
    """Compute with NumPy arrays of one dtype."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {
        "neg": np.negative,
        "abs": np.abs,
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "sqrt": np.sqrt,
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "tanh": np.tanh,
        "sign": np.sign,
        "floor": np.floor,
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "pow": np.power,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "lt": np.less,
        "le": np.less_equal,
        "eq": np.equal,
        "ne": np.not_equal,
        "and": np.logical_and,
        "or": np.logical_or,
        "not": np.logical_not,
        "where": np.where,
        "detach": lambda a: a,
    }

    isnan = staticmethod(np.isnan)
    broadcast_to = staticmethod(np.broadcast_to)
    permute = staticmethod(np.transpose)

    def __init__(self, dtype: str) -> None:
        """Take the name of the floating dtype."""
        self._dtype = np.dtype(dtype)

    def quiet(self) -> AbstractContextManager[object]:
        """Let infinities and NaN arise without a warning."""
        return np.errstate(all="ignore")

    def number(self, value: float) -> np.ndarray:
        """Make a 0-d array."""
        return np.asarray(value, dtype=self._dtype)

    def zeros(self, shape: Sequence[int]) -> np.ndarray:
        """Make an array of zeros."""
        return np.zeros(shape, dtype=self._dtype)

    def constant(self, array: np.ndarray) -> np.ndarray:
        """Take an integer or boolean array that depends on no data."""
        return array

    def arange(self, stop: int) -> np.ndarray:
        """Count from 0 in 64-bit integers."""
        return np.arange(stop, dtype=np.int64)

    def floats(self, array: np.ndarray) -> np.ndarray:
        """Convert integers or booleans."""
        return array.astype(self._dtype)

    def ints(self, array: np.ndarray) -> np.ndarray:
        """Convert whole numbers to 64-bit integers."""
        return array.astype(np.int64)

    def copy(self, array: np.ndarray) -> np.ndarray:
        """Make a contiguous array that shares no memory."""
        return np.array(array, order="C")

    def where(self, mask: np.ndarray, array: np.ndarray, otherwise: float) -> np.ndarray:
        """Take the array's numbers where the mask holds and one number elsewhere."""
        return np.where(mask, array, self.number(otherwise))

    def where_int(self, mask: np.ndarray, array: np.ndarray, otherwise: int | np.ndarray) -> Any:
        """Do the same with integers."""
        return np.where(mask, array, otherwise)

    def sum_last(self, array: np.ndarray) -> Any:
        """Add up."""
        return np.sum(array, axis=-1)

    def max_last(self, array: np.ndarray) -> Any:
        """Take the largest; NaN if there is one. Of nothing there is no largest, nor a result."""
        return np.max(array, axis=-1)

    def min_last(self, array: np.ndarray) -> Any:
        """Take the smallest; NaN if there is one."""
        return np.min(array, axis=-1)

    def cumsum_last(self, array: np.ndarray) -> np.ndarray:
        """Add up so far."""
        return np.cumsum(array, axis=-1)

    def take_last(self, array: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Pick along the last axis, of the same length in both but for that axis."""
        return np.take_along_axis(array, index, axis=-1)

    def sum_but(self, array: np.ndarray, kept: Sequence[int]) -> Any:
        """Add up over all axes but those kept."""
        return np.sum(array, axis=tuple(a for a in range(array.ndim) if a not in kept))

    def take(self, array: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
        """Pick along an axis."""
        return np.take(array, index, axis=axis)

    def add_up(self, array: np.ndarray, index: np.ndarray, axis: int, size: int) -> np.ndarray:
        """Undo ``take``: add what was picked onto zeros where it came from.

        What goes to the same place is brought together first, which is many times faster than
        ``np.add.at``.
        """
        added = self.zeros((*array.shape[:axis], size, *array.shape[axis + 1 :]))
        order = np.argsort(index, kind="stable")
        places, first = np.unique(index[order], return_index=True)
        sums = np.add.reduceat(np.take(array, order, axis=axis), first, axis=axis)
        added[(slice(None),) * axis + (places,)] = sums
        return added

    def slide(
        self, array: np.ndarray, span: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> np.ndarray:
        """See the windows that lie inside without a copy: (N, C, *output_shape, *kernel)."""
        axes = tuple(range(2, array.ndim))
        view = np.lib.stride_tricks.sliding_window_view(array, tuple(span), axes)
        steps = tuple(slice(None, None, step) for step in (*stride, *dilation))
        return view[(slice(None), slice(None), *steps)]
