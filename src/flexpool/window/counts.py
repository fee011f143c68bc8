"""How many elements each window has, and what an average over it divides by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from flexpool.window.adaptive import AdaptiveWindow
from flexpool.window.arguments import checked_divisor_override, checked_flag
from flexpool.window.placement import IntArray, Placement, taps_below
from flexpool.window.sliding import Window

__all__ = ["divisors", "element_counts", "padded_counts"]


def element_counts(placements: Sequence[Placement]) -> IntArray:
    """Count the input elements of every window, the product of the counts per dimension.

    Args:
        placements: one per dimension, as ``place`` of either kind of window gives them.

    Shape:
        -> (Ho, Wo) for two placements, one axis per placement in general.

    Example:
        >>> from flexpool.window import window
        >>> element_counts(window(2, kernel_size=2, ceil_mode=True).place((3, 3))).tolist()
        [[4, 2], [2, 1]]
    """
    return _outer_product([placement.count for placement in placements])


def divisors(
    window: Window,
    sizes: Sequence[int],
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> IntArray:
    r"""Give the number by which avg pooling divides the sum of each window's input elements.

    Per dimension, and multiplied over the dimensions,

    $$ D_i = \#\{u : -p_b \le \mathrm{start}_i + d\,u < n + p_a\} $$

    with input size n, padding p_b before and p_a after, dilation d, and u the kernel's positions.
    So the padding counts and the overhang of ceil mode never does. Without count_include_pad the
    padding is left out too: p_b = p_a = 0.

    Args:
        window: a sliding window; with dilation, its elements are counted, not its extent.
        sizes: the input's spatial sizes, each >= 1.
        count_include_pad: whether the padding counts. Default True, as in torch.
        divisor_override: an int other than 0 that replaces every divisor, whatever
            count_include_pad says, as in torch. Default None.

    Shape:
        -> the output's spatial shape, such as (Ho, Wo).

    Raises:
        ArgumentError: if count_include_pad is not a bool, or divisor_override is 0 or no int.
        ShapeError: if sizes has the wrong length or a 0, or no window fits.

    Note:
        Without count_include_pad a dilated window may have no element; its divisor is 0. torch's
        average pooling has no dilation, and in one dimension no divisor_override.

    Example:
        >>> from flexpool.window import window
        >>> average = window(1, kernel_size=3, stride=2, padding=1, ceil_mode=True)
        >>> divisors(average, (4,)).tolist(), divisors(average, (4,), False).tolist()
        ([3, 3, 2], [2, 3, 1])

    Reference:
        torch.nn.AvgPool2d; pool_size in aten/src/ATen/native/cpu/AvgPoolKernel.cpp of pytorch.
    """
    override = checked_divisor_override(divisor_override)
    include_pad = checked_flag("count_include_pad", count_include_pad)
    if override is not None:
        return np.full(window.output_shape(sizes), override, dtype=np.int64)
    if not include_pad:
        return element_counts(window.place(sizes))
    return _outer_product(padded_counts(window, sizes))


def padded_counts(window: Window | AdaptiveWindow, sizes: Sequence[int]) -> tuple[IntArray, ...]:
    """Count each window's elements along each dimension, those in the padding included.

    Args:
        window: of either kind; adaptive windows have no padding.
        sizes: the input's spatial sizes, each >= 1.

    Shape:
        -> one array of shape (output size,) per dimension; :func:`divisors` multiplies them.

    Raises:
        ShapeError: if sizes has the wrong length or a 0, or no window fits.

    Example:
        >>> from flexpool.window import window
        >>> [counts.tolist() for counts in padded_counts(window(1, 3, 2, 1, ceil_mode=True), (4,))]
        [[3, 3, 2]]
    """
    placements = window.place(sizes)
    if isinstance(window, AdaptiveWindow):
        return tuple(placement.count for placement in placements)
    each = zip(sizes, window.padding_at(sizes), placements, window.kernel_size, strict=True)
    return tuple(
        taps_below(size + after, placement.start, placement.dilation, kernel)
        for size, (_, after), placement, kernel in each
    )


def _outer_product(counts: Sequence[IntArray]) -> IntArray:
    return reduce(np.multiply.outer, counts)
