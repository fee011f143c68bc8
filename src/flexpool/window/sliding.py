"""Windows that slide over the input with a stride: max_pool, avg_pool and convolution windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flexpool.errors import ArgumentError, ShapeError, expected
from flexpool.window.arguments import (
    Ints,
    Padding,
    Pairs,
    check_padding_is_at_most_half,
    checked_dimensions,
    checked_flag,
    checked_ints,
    checked_padding,
    checked_sizes,
)
from flexpool.window.placement import Placement, taps_below

__all__ = ["Window", "window"]


@dataclass(frozen=True)
class Window:
    """Hold the geometry of a sliding window; make it with :func:`window`, which checks it.

    Args:
        kernel_size: elements per dimension.
        stride: distance of neighbouring windows.
        padding: (before, after) per dimension, or "same" until the input's size is known.
        dilation: distance of neighbouring elements of one window.
        ceil_mode: whether a last window may overhang the padded input.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs | Literal["same"]
    dilation: tuple[int, ...]
    ceil_mode: bool

    @property
    def dimensions(self) -> int:
        """Count the spatial dimensions."""
        return len(self.kernel_size)

    @property
    def effective_kernel(self) -> tuple[int, ...]:
        """Give the extent of one window in the input, d * (k - 1) + 1 per dimension."""
        pairs = zip(self.kernel_size, self.dilation, strict=True)
        return tuple(dilation * (kernel - 1) + 1 for kernel, dilation in pairs)

    @property
    def is_disjoint(self) -> bool:
        """Tell whether no element is in two windows."""
        each = zip(self.stride, self.effective_kernel, strict=True)
        return all(stride >= extent for stride, extent in each)

    def padding_at(self, sizes: Sequence[int]) -> Pairs:
        r"""Give (before, after) per dimension for an input of these sizes.

        They depend on the sizes only for padding="same", where

        $$ \mathrm{total} = \max\bigl((\lceil n/s \rceil - 1)\,s + e - n,\ 0\bigr), \qquad
           \mathrm{before} = \lfloor \mathrm{total}/2 \rfloor $$

        with input size n, stride s, effective kernel e. The odd element goes after the input.

        Args:
            sizes: the input's spatial sizes, each >= 1.

        Raises:
            ShapeError: if sizes has the wrong length or a 0.

        Example:
            >>> window(1, kernel_size=2, stride=2, padding="same").padding_at((5,))
            ((0, 1),)

        Reference:
            TensorFlow, "Notes on padding", https://www.tensorflow.org/api_docs/python/tf/nn. At
            stride 1 it is what torch.nn.Conv2d(padding="same") does.
        """
        sizes = checked_sizes(sizes, self.dimensions)
        if self.padding != "same":
            return self.padding
        return tuple(map(_same_padding, sizes, self.effective_kernel, self.stride))

    def output_shape(self, sizes: Sequence[int]) -> tuple[int, ...]:
        r"""Count the windows per dimension.

        $$ o = \Bigl\lfloor \frac{n + p_b + p_a - e}{s} \Bigr\rfloor + 1, \qquad
           e = d\,(k - 1) + 1 $$

        with input size n, padding p_b before and p_a after, kernel size k, dilation d, stride s.
        In ceil mode the fraction is rounded up, and a last window that would start in the padding
        after the input is dropped. With padding="same" the result is ceil(n / s).

        Args:
            sizes: the input's spatial sizes, each >= 1.

        Raises:
            ShapeError: if sizes has the wrong length or a 0, or no window fits.

        Note:
            One rule for all. torch 2.13 agrees for max_pool1d/2d/3d and avg_pool1d/2d; avg_pool3d
            also refuses every input smaller than the kernel, even where padding makes it fit.

        Example:
            >>> window(1, kernel_size=2).output_shape((5,))
            (2,)
            >>> window(1, kernel_size=2, ceil_mode=True).output_shape((5,))
            (3,)

        Reference:
            Dumoulin, Visin (2016), A guide to convolution arithmetic for deep learning,
            arXiv:1603.07285, section 5.1. Ceil mode: pooling_output_shape_pad_lr in
            aten/src/ATen/native/Pool.h of pytorch.
        """
        sizes = checked_sizes(sizes, self.dimensions)
        paddings = self.padding_at(sizes)
        each = zip(sizes, paddings, self.effective_kernel, self.stride, strict=True)
        counts = tuple(_window_count(*geometry, self.ceil_mode) for geometry in each)
        for dimension, count in enumerate(counts):
            if count < 1:
                raise self._too_small(sizes, dimension, paddings[dimension])
        return counts

    def place(self, sizes: Sequence[int]) -> tuple[Placement, ...]:
        """Say where each window lies in an input of these sizes, one dimension at a time.

        Args:
            sizes: the input's spatial sizes, each >= 1.

        Raises:
            ShapeError: if sizes has the wrong length or a 0, or no window fits.

        Example:
            >>> (placement,) = window(1, kernel_size=2, padding=1, dilation=4).place((3,))
            >>> placement.start.tolist(), placement.empty.tolist()
            ([-1], [True])
        """
        counts, paddings = self.output_shape(sizes), self.padding_at(sizes)
        each = zip(
            sizes, counts, paddings, self.kernel_size, self.stride, self.dilation, strict=True
        )
        return tuple(_place(*geometry) for geometry in each)

    def _too_small(
        self, sizes: tuple[int, ...], dimension: int, padding: tuple[int, int]
    ) -> ShapeError:
        before, after = padding
        effective = self.effective_kernel[dimension]
        overhang = self.stride[dimension] - 1 if self.ceil_mode else 0
        rule = (
            f"to have at least {effective - before - after - overhang} elements in spatial "
            f"dimension {dimension} (kernel_size {self.kernel_size[dimension]} with dilation "
            f"{self.dilation[dimension]} spans {effective}, padding is {before} + {after})"
        )
        instead = "Use a smaller kernel_size or dilation, more padding, or a larger input."
        return ShapeError(expected("the input", rule, sizes, instead))


def window(
    dimensions: int,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    *,
    any_padding: bool = False,
) -> Window:
    """Check the arguments of a pooling (or convolution) window and bring them into one form.

    Args:
        dimensions: number of spatial dimensions, an int > 0.
        kernel_size: int > 0, or a tuple with one per dimension.
        stride: int > 0, or a tuple with one per dimension; None or () means kernel_size.
        padding: int >= 0 for both sides of all dimensions; a tuple of ints, one per dimension, for
            both its sides; a tuple of pairs (before, after), one per dimension; or "same" for
            ceil(size / stride) outputs. At most kernel_size // 2 on each side. Default 0.
        dilation: int > 0, or a tuple with one per dimension. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False. Not with
            padding="same", which it could not change.
        any_padding: allow more padding than kernel_size // 2, as convolutions do. Default False.

    Raises:
        ArgumentError: if an argument is outside its domain.

    Note:
        A tuple needs one int per dimension; torch also takes a single int in a tuple.

    Example:
        >>> window(2, kernel_size=3, stride=(2, 1), padding=1)
        Window(kernel_size=(3, 3), stride=(2, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), \
ceil_mode=False)
    """
    dimensions = checked_dimensions(dimensions)
    kernel = checked_ints("kernel_size", kernel_size, dimensions)
    steps = kernel if _is_left_out(stride) else checked_ints("stride", stride, dimensions)
    amounts = checked_padding(padding, dimensions)
    spread = checked_ints("dilation", dilation, dimensions)
    overhang = checked_flag("ceil_mode", ceil_mode)
    unbounded = checked_flag("any_padding", any_padding)
    if amounts == "same":
        _refuse_ceil_mode_with_same(overhang)
    elif not unbounded:
        check_padding_is_at_most_half(padding, amounts, kernel)
    return Window(kernel, steps, amounts, spread, overhang)


def _is_left_out(stride: object) -> bool:
    return stride is None or (isinstance(stride, tuple | list) and len(stride) == 0)


def _refuse_ceil_mode_with_same(ceil_mode: bool) -> None:
    if ceil_mode:
        instead = "Leave it out: 'same' gives ceil(size / stride) outputs already."
        rule = "to be False with padding='same'"
        raise ArgumentError(expected("ceil_mode", rule, ceil_mode, instead))


def _same_padding(size: int, effective_kernel: int, stride: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + effective_kernel - size, 0)
    return total // 2, total - total // 2


def _window_count(
    size: int, padding: tuple[int, int], effective_kernel: int, stride: int, ceil_mode: bool
) -> int:
    before, after = padding
    room = size + before + after - effective_kernel
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    last_starts_in_padding_after = (count - 1) * stride >= size + before
    return count - 1 if last_starts_in_padding_after else count


def _place(
    size: int, count: int, padding: tuple[int, int], kernel: int, stride: int, dilation: int
) -> Placement:
    before, _ = padding
    start = np.arange(count, dtype=np.int64) * stride - before
    begin = min(-(-before // stride), count)
    fitting = (size + before - dilation * (kernel - 1) - 1) // stride + 1
    return Placement(
        start=start,
        first=taps_below(0, start, dilation, kernel),
        stop=taps_below(size, start, dilation, kernel),
        dilation=dilation,
        interior=(begin, min(max(fitting, begin), count)),
    )
