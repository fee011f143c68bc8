"""Halving without aliasing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.nn.block import block
from flexpool.nn.fourier import FrequencyPool

__all__ = ["FLCPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return FLCPool2d(), (torch.arange(84.0).view(1, 2, 6, 7).sin(),)


@block(
    paper="Grabinski, Jung, Keuper, Keuper (2022), FrequencyLowCut pooling: Plug & play against "
    "catastrophic overfitting, ECCV, arXiv:2204.00491",
    family="frequency",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: FLCPool2d(stride),
)
class FLCPool2d(FrequencyPool):
    r"""Keep the frequencies that the smaller map can show, so that none is seen as another.

    $$ y_{u,v} = \Re \frac{1}{HW} \sum_{k,l} X_{k,l}\, e^{2 \pi i (ku/H' + lv/W')}, \qquad
    -\tfrac{H'}{2} \le k < \tfrac{H'}{2},\; -\tfrac{W'}{2} \le l < \tfrac{W'}{2} $$

    with $X$ the discrete Fourier transform of a map of $H \times W$ pixels and
    $H' = \lfloor H/s \rfloor$, $W' = \lfloor W/s \rfloor$ for the stride $s$.

    Args:
        stride: by how much height and width shrink, a number >= 1 or one per dimension. Default 2,
            that of the paper.
        ceil_mode: whether H / stride and W / stride are rounded up instead of down, as a padded
            convolution with stride does. Default False.
        output_size: the size of the result instead of a stride, an int > 0 or one per dimension.
            Default None.

    Shape:
        (N, C, H, W) -> (N, C, H // stride, W // stride), at least 1; or (N, C, \*output_size);
        without N alike.

    Raises:
        ArgumentError: if one of them is outside its domain, or both sizes are given.
        ShapeError: if x is not (N, C, H, W), or smaller than output_size.
        DtypeError: if x holds no floating-point numbers.

    Note:
        The mean of a map is kept for every size.

    Use:
        Where no frequency may pass for another; sharp edges ring a little, with :class:`ASAPPool2d`
        less.

    Disagreement:
        Implementations that cut the shifted spectrum from H/4 to 3H/4 lose the mean where H is even
        and no multiple of 4, such as 14.

    Example:
        >>> import torch
        >>> x = torch.ones(1, 1, 6, 6)
        >>> x[..., ::2] = -1.0  # a frequency that three columns cannot show
        >>> FLCPool2d()(x + 5.0).round(decimals=4)
        tensor([[[[5., 5., 5.],
                  [5., 5., 5.],
                  [5., 5., 5.]]]])

    Reference:
        Grabinski, Jung, Keuper, Keuper (2022), FrequencyLowCut pooling: Plug & play against
        catastrophic overfitting, ECCV, arXiv:2204.00491.
    """
