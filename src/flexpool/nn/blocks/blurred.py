"""Downsampling behind a low-pass filter, so that what lies above half the new rate cannot alias."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool import functional
from flexpool.errors import FlexpoolError, called
from flexpool.nn.block import block
from flexpool.nn.map_block import (
    BLUR,
    MAX,
    PADDING_MODES,
    MapBlock,
    checked_choice,
    checked_count,
    padded,
)
from flexpool.window import Window, window

__all__ = ["BlurConv2d", "MaxBlurPool2d", "PaddedBlurPool2d"]

_PAPER = "Zhang (2019), Making convolutional networks shift-invariant again, ICML, arXiv:1904.11486"


def _ramp() -> Tensor:
    return torch.linspace(-1, 1, 50).view(1, 2, 5, 5)


def _sample_of_blur() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return PaddedBlurPool2d(4), (_ramp(),)


def _sample_of_max() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return MaxBlurPool2d(2), (_ramp(),)


def _sample_of_conv() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return BlurConv2d(2, 3, 3, padding=1, activation=nn.Tanh()), (_ramp(),)


@block(
    paper=_PAPER,
    family="anti-aliasing",
    sample=_sample_of_blur,
    layer=lambda channels, kernel_size, stride: PaddedBlurPool2d(kernel_size, stride),
)
class PaddedBlurPool2d(MapBlock):
    r"""Average with binomial weights around every s-th pixel, the map padded by reflection.

    $$ y_{u,v} = \sum_{i,j} b_i\, b_j\, \tilde{x}_{su+i-\lfloor (t-1)/2 \rfloor,\,
       sv+j-\lfloor (t-1)/2 \rfloor}, \qquad b_i = 2^{1-t} \binom{t-1}{i} $$

    with $t$ taps, the stride $s$ and $\tilde{x}$ the padded map.

    Args:
        taps: $t$, an int > 0: 3 for (1, 2, 1) / 4, 4 for (1, 3, 3, 1) / 8. Default 4.
        stride: $s$, an int > 0. Default 2.
        padding_mode: "reflect", "replicate", "circular" or "zeros". Default "reflect".

    Shape:
        (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)), without N alike, whatever the
        taps.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if a map is too small to be reflected or repeated.

    Note:
        The weights are no state and follow the input's type and device. "zeros" darkens the border.
        :class:`BlurPool2d` instead leaves the padding out and learns its weights if told to.

    Use:
        Before a stride, as the paper has it; for weights that are learned, or no padding, there is
        :class:`BlurPool2d`.

    Disagreement:
        The size for an even number of taps: of 32 rows timm makes 17, the authors 16; of 31 rows
        kornia makes 15, the authors 16. Here it is as theirs. kornia pads with zeros.

    Example:
        >>> import torch
        >>> PaddedBlurPool2d(3, 1)(torch.tensor([[[[0.0, 0.0, 4.0, 0.0, 0.0]] * 2]]))[0, 0, 0]
        tensor([0., 1., 2., 1., 0.])

    Reference:
        Zhang (2019), Making convolutional networks shift-invariant again, ICML, arXiv:1904.11486.
    """

    shown = ("taps", "stride", "padding_mode")

    def __init__(self, taps: int = 4, stride: int = 2, padding_mode: str = "reflect") -> None:
        super().__init__()
        with called(type(self).__name__):
            self.taps = checked_count("taps", taps)
            self.stride = checked_count("stride", stride)
            self.padding_mode = checked_choice("padding_mode", padding_mode, tuple(PADDING_MODES))
            self.window = window(2, self.taps, self.stride)

    def _downsampled(self, x: Tensor) -> Tensor:
        return _blurred(x, self.window, self.padding_mode)


@block(
    paper=_PAPER,
    family="anti-aliasing",
    sample=_sample_of_max,
    layer=lambda channels, kernel_size, stride: MaxBlurPool2d(kernel_size, stride),
)
class MaxBlurPool2d(MapBlock):
    r"""Take the maximum of the window around every pixel, then blur and keep every s-th.

    $$ y_{u,v} = \sum_{i,j} b_i\, b_j\, m_{su+i,\, sv+j}, \qquad
       m_{u,v} = \max_{0 \le i,j < k} x_{u+i,\, v+j} $$

    with the binomial weights $b$ of :class:`PaddedBlurPool2d`, the kernel size $k$, the stride $s$.

    Args:
        kernel_size: of the maximum, an int > 0 or a tuple of two. Default 2.
        stride: $s$, an int > 0. Default 2.
        padding: absent elements around the input of the maximum. Default 0.
        taps: of the blur, an int > 0. Default 4.
        padding_mode: how the maxima are padded for the blur: "reflect", "replicate", "circular" or
            "zeros". Default "reflect".

    Shape:
        (N, C, H, W) -> (N, C, rows, columns), without N alike: those of a maximum with that stride,
        (H + 2 padding - kernel_size) // stride + 1.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if no window fits, or the maxima are too few to be reflected or repeated.

    Use:
        In the place of a maximum with stride: the same maxima, smoothed before pixels are left out.

    Disagreement:
        As for :class:`PaddedBlurPool2d`, sizes and the border.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 1, 5, 5)
        >>> x[..., 0] = 8.0  # a column at the edge; the maximum without stride has it once
        >>> MaxBlurPool2d(2, 2, taps=3)(x)[0, 0, 0], MaxBlurPool2d(2, 2, taps=1)(x)[0, 0, 0]
        (tensor([4., 0.]), tensor([8., 0.]))

    Reference:
        Zhang (2019), Making convolutional networks shift-invariant again, ICML, arXiv:1904.11486.
    """

    shown = ("kernel_size", "stride", "padding", "taps", "padding_mode")

    def __init__(
        self,
        kernel_size: Any = 2,
        stride: int = 2,
        padding: Any = 0,
        *,
        taps: int = 4,
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.window = window(2, kernel_size, 1, padding)
            self.stride = checked_count("stride", stride)
            self.taps = checked_count("taps", taps)
            self.blur_window = window(2, self.taps, self.stride)
            self.padding_mode = checked_choice("padding_mode", padding_mode, tuple(PADDING_MODES))
        self.kernel_size = kernel_size
        self.padding = padding

    def _downsampled(self, x: Tensor) -> Tensor:
        largest = functional.apply(x, MAX, self.window, options={}, values={})
        return _blurred(largest, self.blur_window, self.padding_mode)


@block(
    paper=_PAPER,
    family="anti-aliasing",
    sample=_sample_of_conv,
    layer=lambda channels, kernel_size, stride: BlurConv2d(channels, channels, kernel_size, stride),
)
class BlurConv2d(nn.Conv2d):
    r"""Convolve at every pixel, apply an activation if there is one, then blur and keep every s-th.

    $$ y_{u,v} = \sum_{i,j} b_i\, b_j\; f\Bigl( (w * x)_{su+i,\, sv+j} \Bigr) $$

    with the binomial weights $b$ of :class:`PaddedBlurPool2d`, the weights $w$ of the convolution,
    the activation $f$ and the stride $s$. It takes the place of a convolution with that stride.

    Args:
        in_channels, out_channels, kernel_size: as those of ``torch.nn.Conv2d``.
        stride: $s$, an int > 0. Default 2.
        padding: as that of ``torch.nn.Conv2d``. Default 0.
        taps: of the blur, an int > 0. Default 4.
        blur_padding_mode: how the blur's input is padded: "reflect", "replicate", "circular" or
            "zeros". Default "reflect".
        activation: $f$, a module, or None for none. Default None.
        others: all other arguments of ``torch.nn.Conv2d``, by name; ``padding_mode`` is the
            convolution's.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, rows, columns), without N alike: those of
        ``torch.nn.Conv2d`` with that stride.

    Raises:
        ArgumentError: if stride, taps or blur_padding_mode is outside its domain.
        ShapeError: if what is blurred is too small to be reflected or repeated.
        ValueError, TypeError: as ``torch.nn.Conv2d`` does.

    Note:
        Its state is that of a ``torch.nn.Conv2d``, so weights of a strided convolution can be
        loaded. The order convolution, activation, blur is the paper's: leave the activation after
        it out.

    Use:
        In the place of a convolution with stride, new or with its weights loaded.

    Example:
        >>> import torch
        >>> conv = BlurConv2d(3, 8, 3, padding=1, activation=torch.nn.ReLU())
        >>> conv(torch.zeros(1, 3, 31, 32)).shape
        torch.Size([1, 8, 16, 16])

    Reference:
        Zhang (2019), Making convolutional networks shift-invariant again, ICML, arXiv:1904.11486.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: int = 2,
        padding: Any = 0,
        *,
        taps: int = 4,
        blur_padding_mode: str = "reflect",
        activation: nn.Module | None = None,
        **others: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, 1, padding, **others)
        with called(type(self).__name__):
            self.blur_stride = checked_count("stride", stride)
            self.taps = checked_count("taps", taps)
            self.blur_window = window(2, self.taps, self.blur_stride)
            self.blur_padding_mode = checked_choice(
                "blur_padding_mode", blur_padding_mode, tuple(PADDING_MODES)
            )
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, activate, blur."""
        filtered = super().forward(input)
        if self.activation is not None:
            filtered = self.activation(filtered)
        try:
            return _blurred(filtered, self.blur_window, self.blur_padding_mode)
        except FlexpoolError:
            with called(type(self).__name__):
                raise

    def extra_repr(self) -> str:
        """Show the convolution and the blur."""
        blur = f"blur_stride={self.blur_stride}, blur_padding_mode={self.blur_padding_mode!r}"
        return f"{nn.Conv2d.extra_repr(self)}, taps={self.taps}, {blur}"


def _blurred(x: Tensor, sliding: Window, padding_mode: str) -> Tensor:
    filled = padded(x, sliding.kernel_size[0], padding_mode)
    pooled: Tensor = functional.apply(filled, BLUR, sliding, options={}, values={})
    return pooled
