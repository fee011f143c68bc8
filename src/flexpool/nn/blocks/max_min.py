"""Both extremes of each window."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.map_block import MAX, MIN, EitherWindowBlock, checked_choice
from flexpool.window.arguments import checked_flag

__all__ = ["MaxMinPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return MaxMinPool2d(2), (torch.arange(32.0).view(1, 2, 4, 4) - 15.5,)


@block(
    paper="Blot, Cord, Thome (2016), Max-min convolutional neural networks for image "
    "classification, ICIP, arXiv:1610.07882",
    family="elementary",
    sample=_sample,
    apart="It gives twice as many channels.",
)
class MaxMinPool2d(EitherWindowBlock):
    r"""Give the largest and the smallest value of each window, as two channels.

    $$ y_c = \max_i x_{c,i}, \qquad y_{C+c} = \min_i x_{c,i} $$

    with $x_{c,i}$ the values of the window in channel $c$ of $C$.

    Args:
        kernel_size: elements per dimension, an int > 0 or a tuple of two.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        output_size: instead of all these: windows per dimension, an int, None for the input's
            size, or a tuple of two; 1 pools the whole map. Default None.
        order: "halves", all maxima before all minima, or "pairs", the two of a channel next to
            each other. Default "halves".
        rectified: whether to give max(max x, 0) and max(-min x, 0), True or False. Default False.

    Shape:
        (N, C, H, W) -> (N, 2 C, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain, or output_size comes with another.
        ShapeError: if no window fits.

    Note:
        With ``rectified`` it is the paper's block: a map and its negative, each rectified, then
        pooled by the maximum. It must then come before the activation, not after it. Ties go to
        the first element, NaN propagates.

    Use:
        Where small values say as much as large ones: before an activation, with ``rectified``.

    Disagreement:
        What the name means: with or without ``rectified``, and in which ``order``.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[1.0, -5.0], [2.0, 3.0]]]])
        >>> MaxMinPool2d(2)(x).flatten(), MaxMinPool2d(2, rectified=True)(x).flatten()
        (tensor([ 3., -5.]), tensor([3., 5.]))

    Reference:
        Blot, Cord, Thome (2016), Max-min convolutional neural networks for image classification,
        ICIP, arXiv:1610.07882.
    """

    def __init__(
        self,
        kernel_size: Any = None,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        output_size: Any = None,
        order: str = "halves",
        rectified: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode, output_size=output_size)
        with called(type(self).__name__):
            self.order = checked_choice("order", order, ("halves", "pairs"))
            self.rectified = checked_flag("rectified", rectified)

    def _downsampled(self, x: Tensor) -> Tensor:
        largest, smallest = self._pooled(x, MAX), self._pooled(x, MIN)
        if self.rectified:
            largest, smallest = largest.relu(), (-smallest).relu()
        if self.order == "halves":
            return torch.cat([largest, smallest], 1)
        return torch.stack([largest, smallest], 2).flatten(1, 2)

    def extra_repr(self) -> str:
        """Show the window and the order."""
        return f"{super().extra_repr()}, order={self.order!r}, rectified={self.rectified}"
