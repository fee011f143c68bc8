"""The array operations that the eager backend needs, in PyTorch.

The same as in :mod:`flexpool.backends.eager_arrays`. All can be differentiated twice, batched by
``torch.func.vmap`` and traced; nothing is changed in place and no value is read on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["TorchArrays"]


class TorchArrays:
    """Compute with tensors of one dtype on one device."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {
        "neg": torch.neg,
        "abs": torch.abs,
        "exp": torch.exp,
        "expm1": torch.expm1,
        "log": torch.log,
        "log1p": torch.log1p,
        "sqrt": torch.sqrt,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "sign": lambda a: torch.where(torch.isnan(a), a.detach(), torch.sign(a)),
        "floor": torch.floor,
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "div": torch.div,
        "pow": torch.pow,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "lt": torch.lt,
        "le": torch.le,
        "eq": torch.eq,
        "ne": torch.ne,
        "and": torch.logical_and,
        "or": torch.logical_or,
        "not": torch.logical_not,
        "where": torch.where,
        "detach": torch.detach,
    }

    isnan = staticmethod(torch.isnan)
    broadcast_to = staticmethod(torch.broadcast_to)
    permute = staticmethod(torch.permute)

    def __init__(self, dtype: str, device: torch.device) -> None:
        """Take the name of the floating dtype, and the device."""
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._device = device

    def quiet(self) -> AbstractContextManager[object]:
        """Let infinities and NaN arise without a warning; PyTorch gives none."""
        return nullcontext()

    def number(self, value: float) -> Tensor:
        """Make a 0-d array."""
        return torch.full((), value, dtype=self._dtype, device=self._device)

    def zeros(self, shape: Sequence[int]) -> Tensor:
        """Make an array of zeros."""
        return torch.zeros(shape, dtype=self._dtype, device=self._device)

    def constant(self, array: np.ndarray) -> Tensor:
        """Take an integer or boolean array that depends on no data."""
        dtype = torch.bool if array.dtype == np.bool_ else torch.int64
        return torch.tensor(array.tolist(), dtype=dtype, device=self._device)

    def arange(self, stop: int) -> Tensor:
        """Count from 0 in 64-bit integers."""
        return torch.arange(stop, device=self._device)

    def floats(self, array: Tensor) -> Tensor:
        """Convert integers or booleans."""
        return array.to(self._dtype)

    def ints(self, array: Tensor) -> Tensor:
        """Convert whole numbers to 64-bit integers."""
        return array.to(torch.int64)

    def copy(self, array: Tensor) -> Tensor:
        """Make a contiguous array that shares no memory."""
        return array.clone(memory_format=torch.contiguous_format)

    def where(self, mask: Tensor, array: Tensor, otherwise: float) -> Tensor:
        """Take the array's numbers where the mask holds and one number elsewhere."""
        return torch.where(mask, array, self.number(otherwise))

    def where_int(self, mask: Tensor, array: Tensor, otherwise: int | Tensor) -> Tensor:
        """Do the same with integers."""
        return torch.where(mask, array, otherwise)

    def sum_last(self, array: Tensor) -> Tensor:
        """Add up."""
        return torch.sum(array, dim=-1)

    def max_last(self, array: Tensor) -> Tensor:
        """Take the largest; NaN if there is one."""
        return torch.amax(array, dim=-1)

    def min_last(self, array: Tensor) -> Tensor:
        """Take the smallest; NaN if there is one."""
        return torch.amin(array, dim=-1)

    def cumsum_last(self, array: Tensor) -> Tensor:
        """Add up so far."""
        return torch.cumsum(array, dim=-1)

    def take_last(self, array: Tensor, index: Tensor) -> Tensor:
        """Pick along the last axis, of the same length in both but for that axis."""
        return torch.gather(array, -1, index)

    def sum_but(self, array: Tensor, kept: Sequence[int]) -> Tensor:
        """Add up over all axes but those kept."""
        return torch.sum(array, dim=[a for a in range(array.ndim) if a not in kept])

    def take(self, array: Tensor, index: Tensor, axis: int) -> Tensor:
        """Pick along an axis."""
        return torch.index_select(array, axis, index)

    def add_up(self, array: Tensor, index: Tensor, axis: int, size: int) -> Tensor:
        """Undo ``take``: add what was picked onto zeros where it came from."""
        zeros = self.zeros((*array.shape[:axis], size, *array.shape[axis + 1 :]))
        return torch.index_add(zeros, axis, index, array)

    def slide(
        self, array: Tensor, span: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> Tensor:
        """See the windows that lie inside without a copy: (N, C, *output_shape, *kernel)."""
        for axis, (extent, step) in enumerate(zip(span, stride, strict=True), start=2):
            array = array.unfold(axis, extent, step)
        steps = tuple(slice(None, None, step) for step in (*(1,) * len(span), *dilation))
        return array[(slice(None), slice(None), *steps)]
