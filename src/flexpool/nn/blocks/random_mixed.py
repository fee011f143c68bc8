"""Maximum or average, as the dice fall."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.map_block import (
    AVG,
    MAX,
    MIXED,
    WINDOW,
    WindowBlock,
    checked_choice,
    checked_share,
)

__all__ = ["RandomMixedPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return RandomMixedPool2d(2), (torch.linspace(-9, 9, 128).view(2, 4, 4, 4).sin(),)


@block(
    paper="Yu, Wang, Chen, Wei (2014), Mixed pooling for convolutional neural networks, RSKT",
    family="random",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: RandomMixedPool2d(kernel_size, stride),
    random=True,
)
class RandomMixedPool2d(WindowBlock):
    r"""Take either the maximum or the average of a window, drawn anew for each map.

    $$ y = \lambda \max_i x_i + (1 - \lambda)\, \frac{1}{n} \sum_i x_i, \qquad
       P(\lambda = 1) = p, \quad P(\lambda = 0) = 1 - p $$

    with $x_i$ the $n$ values of the window. Evaluation takes $\lambda = p$.

    Args:
        kernel_size: elements per dimension, an int > 0 or a tuple of two.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input, at most half of kernel_size. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        p: how probable the maximum is, a number >= 0 and <= 1. Default 0.5.
        per: what a draw is for: the whole "call", a "map" or a "window". Default "map".

    Shape:
        (N, C, H, W) -> (N, C, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if no window fits.

    Note:
        Padding counts for neither. What was not drawn gets no gradient, nor passes its NaN on. The
        draw is torch's, so ``torch.manual_seed`` decides it. :class:`MixedPool2d` learns a share
        instead.

    Use:
        To regularise where average and maximum both make sense.

    Disagreement:
        What a draw is for, a call, a map or a window: see ``per``. Where the share is learned the
        name is the same, see :class:`MixedPool2d`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])  # average 1, maximum 4
        >>> RandomMixedPool2d(2)(x).item() in (1, 4), RandomMixedPool2d(2).eval()(x).item()
        (True, 2.5)

    Reference:
        Yu, Wang, Chen, Wei (2014), Mixed pooling for convolutional neural networks, RSKT.
    """

    shown = (*WINDOW, "p", "per")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        p: float = 0.5,
        per: str = "map",
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        with called(type(self).__name__):
            self.p = checked_share("p", p)
            self.per = checked_choice("per", per, ("call", "map", "window"))

    def _downsampled(self, x: Tensor) -> Tensor:
        if not self.training:
            return self._pooled(x, MIXED, a=self.p)
        largest = self._pooled(x, MAX)
        average = self._pooled(x, AVG, count_include_pad=False)
        drawn = {"call": (), "map": (*largest.shape[:2], 1, 1), "window": largest.shape}[self.per]
        return torch.where(torch.rand(drawn, device=x.device) < self.p, largest, average)
