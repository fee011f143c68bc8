"""Halving without aliasing and without ringing."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flexpool.nn.block import block
from flexpool.nn.fourier import FrequencyPool, Weights

__all__ = ["ASAPPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ASAPPool2d(), (torch.arange(84.0).view(1, 2, 6, 7).sin(),)


def _hamming(frequencies: Tensor, size: int) -> Tensor:
    """Give the root of Hamming's window of a signal's whole spectrum, 1 at the frequency 0."""
    return (0.54 + 0.46 * torch.cos(2 * math.pi / size * frequencies)).sqrt()


@block(
    paper="Grabinski, Jung, Keuper, Keuper (2023), Fix your downsampling ASAP! Be natively more "
    "robust via aliasing and spectral artifact free pooling, arXiv:2307.09804",
    family="frequency",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: ASAPPool2d(stride),
)
class ASAPPool2d(FrequencyPool):
    r"""Keep low frequencies, the higher the weaker, so that edges do not ring.

    $$ y_{u,v} = \Re \frac{1}{HW} \sum_{k,l} h_{k/H}\, h_{l/W}\, X_{k,l}\,
    e^{2 \pi i (ku/H' + lv/W')}, \qquad h_f = \sqrt{0.54 + 0.46 \cos 2 \pi f} $$

    with $X$ the discrete Fourier transform of a map of $H \times W$ pixels, $h$ the root of
    Hamming's window over its whole spectrum, $-H'/2 \le k < H'/2$, $-W'/2 \le l < W'/2$ and
    $H' = \lfloor H/s \rfloor$, $W' = \lfloor W/s \rfloor$ for the stride $s$.

    Args:
        stride: by how much height and width shrink, a number >= 1 or one per dimension. Default 2,
            that of the paper.
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
        The window has its top at the frequency 0, so a constant keeps its value at every size; one
        window per size is computed where it is needed.

    Use:
        As :class:`FLCPool2d`, where its ringing at sharp edges does harm.

    Disagreement:
        The authors' code places the top of the window between two frequencies where H is even, so
        that a constant loses a few percent.

    Example:
        >>> import torch
        >>> x = torch.tensor([1.0, 0.0, -1.0, 0.0]).view(1, 1, 1, 4)  # the frequency 1/4
        >>> ASAPPool2d(output_size=(1, 3))(x)[..., 0].round(decimals=4)  # the root of 0.54
        tensor([[[0.7348]]])

    Reference:
        Grabinski, Jung, Keuper, Keuper (2023), Fix your downsampling ASAP! Be natively more robust
        via aliasing and spectral artifact free pooling, arXiv:2307.09804.
    """

    def weights(self) -> Weights:
        """Give the window."""
        return _hamming
