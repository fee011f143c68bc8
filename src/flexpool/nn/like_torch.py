"""Modules that take the place of torch's: the same names, arguments, attributes, repr and results.

What ours can do besides is a keyword that comes after torch's arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from flexpool import functional
from flexpool.declare import find
from flexpool.errors import ArgumentError, FlexpoolError, called, expected
from flexpool.nn.module import AdaptivePool, Pooling, SlidingPool, is_compiling
from flexpool.window import Window
from flexpool.window.arguments import checked_flag

__all__ = ["LIKE_TORCH"]


class _ShownAsTorch(Pooling):
    """A module whose repr is that of torch's module of the same name."""

    shown: ClassVar[tuple[str, ...]]

    def forward(self, input: Tensor) -> Any:  # type: ignore[override] # as torch's, one tensor
        """Pool an input.

        Args:
            input: tensor of shape (N, C, *sizes) or (C, *sizes).

        Shape:
            (N, C, *sizes) -> (N, C, *output_shape), or both without N.

        Raises:
            ShapeError: if no window fits.
        """
        try:
            y = None if is_compiling() else self._quick(input)
        except FlexpoolError:  # will be said below, with the name of the module
            y = None
        return super().forward(input) if y is None else y

    def extra_repr(self) -> str:
        """Show what torch shows, and what torch lacks where it is used."""
        names = [*self.shown, *(n for n, default in _EXTRA.items() if self._uses(n, default))]
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)

    def _uses(self, name: str, default: object) -> bool:
        return name not in self.shown and _one(getattr(self, name, default)) != default


class _Sliding(_ShownAsTorch, SlidingPool):
    """A sliding window as torch reads it: a tuple of one int stands for all dimensions."""

    def placed(self, **geometry: Any) -> Window:
        """Make the sliding window."""
        return super().placed(**{name: _one(item) for name, item in geometry.items()})


class _ReturnsIndices(Pooling):
    """A module that can also say where each maximum lies."""

    return_indices: bool

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, return_indices only to True or False."""
        if name == "return_indices":
            with called(type(self).__name__):
                value = checked_flag(name, value)
        super().__setattr__(name, value)

    def _plain(self) -> dict[str, Any] | None:
        return None if self.return_indices else super()._plain()

    def _pool(self, input: Tensor, values: Mapping[str, Any]) -> Any:
        if not self.return_indices:
            return super()._pool(input, values)
        return functional.apply_with_indices(
            input, self.operator, self.window, backend=self.backend
        )


class MaxPool(_ReturnsIndices, _Sliding):
    """Take the largest value of each window, as torch's module of the same name.

    Args:
        kernel_size: elements per dimension, an int > 0 or a tuple of such.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input, at most half of kernel_size; ours also takes
            pairs (before, after) and "same". Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        return_indices: whether to return also where each maximum lies, for torch's MaxUnpool.
            Default False.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        backend: what computes it. Default "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.
    """

    shown = SlidingPool.geometry

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        backend: str = "auto",
    ) -> None:
        super().__init__("max", kernel_size, stride, padding, dilation, ceil_mode, backend=backend)
        self.return_indices = return_indices


class AvgPool(_Sliding):
    """Average each window, as torch's module of the same name.

    Args:
        kernel_size: elements per dimension, an int > 0 or a tuple of such.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: zeros around the input, at most half of kernel_size; ours also takes pairs (before,
            after) and "same". Default 0.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        count_include_pad: whether the padding counts in the divisor. Default True.
        divisor_override: the divisor of all windows, an int other than 0. Default None.
        dilation: distance of neighbouring elements of one window; torch has none. Default 1.
        backend: what computes it. Default "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.
    """

    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: Any = 1,
        backend: str = "auto",
    ) -> None:
        super().__init__(
            "avg",
            kernel_size,
            stride,
            padding,
            dilation,
            ceil_mode,
            backend=backend,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )


class AvgPool1(AvgPool):
    """Average each window, as torch.nn.AvgPool1d, which keeps sizes as tuples.

    Args:
        kernel_size: elements of a window, an int > 0.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: zeros around the input, at most half of kernel_size; ours also takes a pair
            (before, after) in a tuple and "same". Default 0.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        count_include_pad: whether the padding counts in the divisor. Default True.
        divisor_override: the divisor of all windows, an int other than 0; torch has none in one
            dimension. Default None.
        dilation: distance of neighbouring elements of one window; torch has none. Default 1.
        backend: what computes it. Default "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        divisor_override: int | None = None,
        dilation: Any = 1,
        backend: str = "auto",
    ) -> None:
        super().__init__(
            _tuple(kernel_size),
            _tuple(kernel_size if stride is None else stride),
            padding if isinstance(padding, str) else _tuple(padding),
            ceil_mode,
            count_include_pad,
            divisor_override,
            dilation=dilation,
            backend=backend,
        )


class LPPool(_Sliding):
    r"""Take the p-norm of each window, as torch's module of the same name, of any input.

    $$ y = \Bigl( \sum_i |x_i|^p \Bigr)^{1/p} $$

    Args:
        norm_type: p, a number > 0, or inf for the largest and -inf for the smallest |x|.
        kernel_size: elements per dimension, an int > 0 or a tuple of such.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        ceil_mode: whether a last window may overhang the input. Default False.
        mode: "stable", or "torch" for the very formula of torch. Default "stable".
        padding: absent elements around the input; torch has none. Default 0.
        dilation: distance of neighbouring elements of one window; torch has none. Default 1.
        backend: what computes it. Default "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.

    Note:
        torch takes no absolute value: odd p give NaN or a signed sum where x < 0, and p that are no
        integers NaN. Its powers overflow, and a window that overhangs in ceil mode is scaled as if
        it were whole. mode="torch" does all that, and raises torch's errors; in mode "stable" both
        agree for x >= 0 without overhang. A p that is trained has :class:`LpPool2d`.
    """

    shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
        *,
        mode: str = "stable",
        padding: Any = 0,
        dilation: Any = 1,
        backend: str = "auto",
    ) -> None:
        with called(type(self).__name__):
            if mode not in ("stable", "torch"):
                raise ArgumentError(expected("mode", "to be 'stable' or 'torch'", mode))
            _check_norm_type(norm_type, mode)
            for name, given, default in (("padding", padding, 0), ("dilation", dilation, 1)):
                if mode == "torch" and _one(given) != default:
                    rule = f"to be {default} in mode 'torch'"
                    raise ArgumentError(expected(name, rule, given, "Leave out mode."))
        super().__init__("lp", kernel_size, stride, padding, dilation, ceil_mode, backend=backend)
        self.stride = stride  # None stays None here, as in torch
        self.norm_type = norm_type
        self.mode = mode

    def placed(self, **geometry: Any) -> Window:
        """Make the sliding window."""
        stride = geometry["kernel_size"] if geometry["stride"] is None else geometry["stride"]
        return super().placed(**{**geometry, "stride": stride})

    def _initial_values(self, *_: Any) -> Iterator[tuple[str, np.ndarray]]:
        """Register no p: norm_type stands for it, and torch's module has no state."""
        return iter(())

    def _plain(self) -> dict[str, Any] | None:
        if self.mode == "torch" or math.isinf(self.norm_type):
            return None
        return {"p": float(self.norm_type)}

    def _pool(self, input: Tensor, values: Mapping[str, Any]) -> Tensor:
        if self.mode == "torch":
            torch_pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.dimensions - 1]
            stride = self.stride and _one(self.stride)
            window = (_one(self.kernel_size), stride, self.ceil_mode)
            return torch_pool(input, float(self.norm_type), *window)  # type: ignore[arg-type]
        if math.isinf(self.norm_type):
            extremum = find("max" if self.norm_type > 0 else "min")
            pooled: Tensor = functional.apply(
                input.abs(), extremum, self.window, options={}, values={}, backend=self.backend
            )
            return pooled
        return super()._pool(input, {"p": float(self.norm_type)})


class AdaptiveMaxPool(_ReturnsIndices, _ShownAsTorch, AdaptivePool):
    """Take the largest value of each part of the input, as torch's module of the same name.

    Args:
        output_size: parts per dimension, an int >= 0, None for the input's size, or a tuple of
            these.
        return_indices: whether to return also where each maximum lies. Default False.
        backend: what computes it. Default "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.
    """

    shown = AdaptivePool.geometry

    def __init__(
        self, output_size: Any, return_indices: bool = False, *, backend: str = "auto"
    ) -> None:
        super().__init__("max", output_size, backend=backend)
        self.return_indices = return_indices


class AdaptiveAvgPool(_ShownAsTorch, AdaptivePool):
    """Average each part of the input, as torch's module of the same name.

    Args:
        output_size: parts per dimension, an int >= 0, None for the input's size, or a tuple of
            these.
        backend: what computes it. Default "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.
    """

    shown = AdaptivePool.geometry

    def __init__(self, output_size: Any, *, backend: str = "auto") -> None:
        super().__init__("avg", output_size, backend=backend)


_OF_ANY_DIMENSIONS: Mapping[str, type[Pooling]] = {
    "MaxPool": MaxPool,
    "AvgPool": AvgPool,
    "LPPool": LPPool,
    "AdaptiveMaxPool": AdaptiveMaxPool,
    "AdaptiveAvgPool": AdaptiveAvgPool,
}
LIKE_TORCH: Mapping[str, tuple[type[Pooling], int]] = {
    f"{name}{dimensions}d": (AvgPool1 if base is AvgPool and dimensions == 1 else base, dimensions)
    for name, base in _OF_ANY_DIMENSIONS.items()
    for dimensions in (1, 2, 3)
}

# What ours has besides, with its default: of the torch-equal modules not all have all of these.
_EXTRA: Mapping[str, object] = {"padding": 0, "dilation": 1, "mode": "stable", "backend": "auto"}


def _tuple(item: Any) -> tuple[Any, ...]:
    return tuple(item) if isinstance(item, tuple | list) else (item,)


def _one(item: Any) -> Any:
    """Take a number out of a tuple of one."""
    alone = isinstance(item, tuple | list) and len(item) == 1 and isinstance(item[0], int)
    return item[0] if alone else item


def _check_norm_type(norm_type: object, mode: str) -> None:
    number = isinstance(norm_type, int | float) and not isinstance(norm_type, bool)
    allowed = number and (norm_type == -math.inf or norm_type > 0)  # type: ignore[operator]
    if mode == "torch":
        allowed = number and norm_type != 0
    if not allowed:
        rule = (
            "to be a number > 0, inf or -inf" if mode == "stable" else "to be a number other than 0"
        )
        instead = "Use 2 for the Euclidean norm."
        raise ArgumentError(expected("norm_type", rule, norm_type, instead))
