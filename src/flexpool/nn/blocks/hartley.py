"""Downsampling by leaving out high frequencies of a real transform."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.nn.block import block
from flexpool.nn.fourier import FrequencyPool

__all__ = ["HartleyPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return HartleyPool2d(2), (torch.arange(96.0).view(1, 2, 8, 6).sin(),)


@block(
    paper="Zhang, Ma (2018), Hartley spectral pooling for deep learning, arXiv:1810.04028",
    family="frequency",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: HartleyPool2d(stride),
)
class HartleyPool2d(FrequencyPool):
    r"""Keep the low frequencies of each map's Hartley transform and leave out the high ones.

    $$ y_{u,v} = \frac{1}{HW} \sum_{k,l} h_{k,l} \operatorname{cas} 2 \pi \Bigl( \frac{ku}{H'} +
    \frac{lv}{W'} \Bigr), \qquad h_{k,l} = \sum_{m,n} x_{m,n} \operatorname{cas} 2 \pi \Bigl(
    \frac{km}{H} + \frac{ln}{W} \Bigr) $$

    with $\operatorname{cas} t = \cos t + \sin t$, $-H'/2 \le k < H'/2$ and $-W'/2 \le l < W'/2$ for
    a result of $H' \times W'$ pixels.

    Args:
        stride: by how much height and width shrink, a number >= 1 or one per dimension; need not
            be an integer. Default 2.
        ceil_mode: whether H / stride and W / stride are rounded up instead of down. Default False.
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
        A constant keeps its value. Where both sizes of the result are odd it is
        :class:`SpectralPool2d` exactly; else they differ in the frequencies without a partner,
        -H'/2 and -W'/2.

    Use:
        To repeat its paper; :class:`SpectralPool2d` needs no complex numbers here either.

    Example:
        >>> import torch
        >>> x = torch.tensor([0.0, 1.0, 0.0, -1.0]).view(1, 1, 1, 4)  # sin(pi m / 2)
        >>> HartleyPool2d(output_size=(1, 2))(x)  # of the frequency -1: -1/2 cas(-pi j)
        tensor([[[[-0.5000,  0.5000]]]])

    Reference:
        Zhang, Ma (2018), Hartley spectral pooling for deep learning, arXiv:1810.04028.
    """

    def _downsampled(self, x: Tensor) -> Tensor:
        """Add to the Fourier transform's what sines of unpaired frequencies contribute."""
        products, (rows, columns) = self.products(x)
        y = products[..., :rows, :columns]
        row_signs, column_signs = self.signs(rows, x)[:, None], self.signs(columns, x)
        if rows % 2 == 0:
            y = y - row_signs * _mirrored(products[..., -1:, :columns], -1)
        if columns % 2 == 0:
            y = y - column_signs * _mirrored(products[..., :rows, -1:], -2)
        if rows % 2 == 0 and columns % 2 == 0:
            y = y - row_signs * column_signs * products[..., -1:, -1:]
        return y


def _mirrored(values: Tensor, dimension: int) -> Tensor:
    """Put the value of -j at j, all positions modulo the size."""
    first = values.narrow(dimension, 0, 1)
    others = values.narrow(dimension, 1, values.shape[dimension] - 1)
    return torch.cat([first, others.flip(dimension)], dimension)
