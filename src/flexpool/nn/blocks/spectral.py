"""Downsampling by leaving out high frequencies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.nn.block import block
from flexpool.nn.fourier import FrequencyPool

__all__ = ["SpectralPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return SpectralPool2d(2), (torch.arange(96.0).view(1, 2, 8, 6).sin(),)


@block(
    paper="Rippel, Snoek, Adams (2015), Spectral representations for convolutional neural "
    "networks, NIPS, arXiv:1506.03767",
    family="frequency",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: SpectralPool2d(stride),
)
class SpectralPool2d(FrequencyPool):
    r"""Keep the low frequencies of each map and leave out the high ones.

    $$ y_{u,v} = \Re \frac{1}{HW} \sum_{k,l} X_{k,l}\, e^{2 \pi i (ku/H' + lv/W')}, \qquad
    -\tfrac{H'}{2} \le k < \tfrac{H'}{2},\; -\tfrac{W'}{2} \le l < \tfrac{W'}{2} $$

    with $X$ the discrete Fourier transform of a map of $H \times W$ pixels and $H' \times W'$ the
    size of the result. Any size can be had, not only a fraction of the input's.

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
        A constant keeps its value. The frequency -H'/2 of an even size has no partner; taking the
        real part shares its energy between both, as in a Fourier transform of real numbers. It is
        computed as two products with real matrices, which ONNX and half types have too.

    Use:
        For results of any size, and to keep more of a map than windows do at the same size.

    Disagreement:
        The gain: a transform back that divides by the new size multiplies all values by HW /
        (H'W'). And the frequencies of even sizes that have no partner: see the note.

    Example:
        >>> import torch
        >>> x = torch.tensor([[4.0, 2.0, 0.0, 2.0]]).view(1, 1, 1, 4)  # 2 + 2 cos(pi m / 2)
        >>> SpectralPool2d(output_size=(1, 3))(x).round(decimals=4)  # 2 + 2 cos(2 pi j / 3)
        tensor([[[[4., 1., 1.]]]])

    Reference:
        Rippel, Snoek, Adams (2015), Spectral representations for convolutional neural networks,
        NIPS, arXiv:1506.03767.
    """
