"""The average and the maximum of each window, added or side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.nn.block import block
from flexpool.nn.map_block import AVG, MAX, MIXED, EitherWindowBlock

__all__ = ["AvgMaxPool2d", "CatAvgMaxPool2d"]


def _input() -> tuple[Tensor, ...]:
    return (torch.arange(32.0).view(1, 2, 4, 4),)


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return AvgMaxPool2d(2), _input()


def _sample_of_both() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return CatAvgMaxPool2d(2), _input()


@block(
    paper="",  # a habit of model libraries
    family="mixed",
    name="avgmax",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: AvgMaxPool2d(kernel_size, stride),
)
class AvgMaxPool2d(EitherWindowBlock):
    r"""Take half the average and half the maximum of each window, or of the whole map.

    $$ y = \frac{1}{2} \Bigl( \frac{1}{n} \sum_i x_i + \max_i x_i \Bigr) $$

    with $x_i$ the $n$ values of the window.

    Args:
        kernel_size: elements per dimension, an int > 0 or a tuple of two.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        output_size: instead of all these: windows per dimension, an int, None for the input's
            size, or a tuple of two; 1 pools the whole map. Default None.

    Shape:
        (N, C, H, W) -> (N, C, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain, or output_size comes with another.
        ShapeError: if no window fits.

    Note:
        It is ``mixed`` with a = 1/2, which is not learned here. Padding counts for neither.

    Use:
        At the end of a network in the place of the average: both in one, without weights.

    Disagreement:
        Some add the two without halving.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])  # average 1, maximum 4
        >>> AvgMaxPool2d(2)(x), AvgMaxPool2d(output_size=1)(x)
        (tensor([[[[2.5000]]]]), tensor([[[[2.5000]]]]))
    """

    def _downsampled(self, x: Tensor) -> Tensor:
        return self._pooled(x, MIXED, a=0.5)


@block(
    paper="",  # a habit of model libraries
    family="mixed",
    name="catavgmax",
    sample=_sample_of_both,
    apart="It gives twice as many channels.",
)
class CatAvgMaxPool2d(EitherWindowBlock):
    r"""Give the average and the maximum of each window, one after the other as channels.

    $$ y_c = \frac{1}{n} \sum_i x_{c,i}, \qquad y_{C+c} = \max_i x_{c,i} $$

    with $x_{c,i}$ the $n$ values of the window in channel $c$ of $C$.

    Args:
        kernel_size: elements per dimension, an int > 0 or a tuple of two.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        output_size: instead of all these: windows per dimension, an int, None for the input's
            size, or a tuple of two; 1 pools the whole map. Default None.

    Shape:
        (N, C, H, W) -> (N, 2 C, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain, or output_size comes with another.
        ShapeError: if no window fits.

    Note:
        All averages come first, then all maxima. Padding counts for neither.

    Use:
        At the end of a network, where the classifier can weigh both.

    Example:
        >>> import torch
        >>> CatAvgMaxPool2d(2)(torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])).flatten()
        tensor([1., 4.])
    """

    def _downsampled(self, x: Tensor) -> Tensor:
        average = self._pooled(x, AVG, count_include_pad=False)
        return torch.cat([average, self._pooled(x, MAX)], 1)
