"""Poolings of a window that the whole map has a say in."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.declare import OnOutput, operator
from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.map_block import WINDOW, WindowBlock, checked_choice, checked_count
from flexpool.nn.norms import BatchNorm2d
from flexpool.ops.boltzmann import boltzmann
from flexpool.ops.gaussian import gaussian

__all__ = ["GFGPPool2d", "GuidedGaussianPool2d"]


@operator
def peaked(x, beta=OnOutput()):  # type: ignore[no-untyped-def]
    """Average as boltzmann does, with one beta per window."""
    return boltzmann.formula(x, beta)


@operator
def gaussian_guided(x, eta=OnOutput()):  # type: ignore[no-untyped-def]
    """Add eta deviations to the mean as gaussian does, with one eta per window."""
    return gaussian.formula(x, eta, 1e-6)


def _wave() -> tuple[Tensor, ...]:
    return (torch.linspace(-3, 3, 100).view(2, 2, 5, 5).sin(),)


def _sample_of_gfgp() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return GFGPPool2d(2, 2), _wave()


def _sample_of_gaussian() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return GuidedGaussianPool2d(2, 2), _wave()


def _hidden_layer(channels: int, hidden: int) -> list[nn.Module]:
    """See the map's averages, and mix them."""
    return [
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, hidden, 1),
        BatchNorm2d(hidden),
        nn.ReLU(),
    ]


def _number_layer(channels: int, hidden: int) -> list[nn.Module]:
    """Give one number per channel."""
    return [nn.Conv2d(hidden, channels, 1), BatchNorm2d(channels)]


@block(
    paper="Kobayashi (2019), Global feature guided local pooling, ICCV",
    family="softmax-weighted",
    sample=_sample_of_gfgp,
    layer=lambda channels, kernel_size, stride: GFGPPool2d(channels, kernel_size, stride),
)
class GFGPPool2d(WindowBlock):
    r"""Average each window with the weights e^(beta x), where the whole map decides beta.

    $$ y = \frac{\sum_i e^{\beta x_i}\, x_i}{\sum_i e^{\beta x_i}}, \qquad
       \beta = f\Bigl( \mathrm{BN}\, B\, \mathrm{ReLU}\, \mathrm{BN}\, A\, \bar{x} \Bigr) $$

    with $x_i$ the values of the window, the averages $\bar{x}$ of all maps of the image, learned
    matrices $A$ and $B$, batch normalisations BN, and $f$ the activation. There is one beta per
    image and channel: 0 averages, a large one comes near the maximum.

    Args:
        channels: of the input, an int > 0.
        kernel_size: elements per dimension, an int > 0 or a tuple of two. Default 2.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input, at most half of kernel_size. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        activation: $f$, "sigmoid" or "softplus". Default "sigmoid".
        hidden: rows of $A$, an int > 0. Default None: half of channels.

    Shape:
        (N, channels, H, W) -> (N, channels, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if no window fits, or the channels differ.

    Note:
        The window's largest value is subtracted, so no weight overflows and no sum of weights
        underflows. A batch of a single image is normalised as in evaluation.

    Use:
        Where each image and channel should have its own place between average and maximum.

    Disagreement:
        The authors' kernels begin from the shift 0, so that all weights underflow where beta x is
        far below 0 everywhere.

    Example:
        >>> import torch
        >>> pool = GFGPPool2d(1).eval()
        >>> y = pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).item()
        >>> 3 < y < 6  # between average and maximum
        True

    Reference:
        Kobayashi (2019), Global feature guided local pooling, ICCV.
    """

    shown = ("channels", *WINDOW, "activation", "hidden")

    def __init__(
        self,
        channels: int,
        kernel_size: Any = 2,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        activation: str = "sigmoid",
        hidden: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        with called(type(self).__name__):
            self.channels = checked_count("channels", channels)
            self.hidden = _checked_hidden(hidden, self.channels)
            self.activation = checked_choice("activation", activation, ("sigmoid", "softplus"))
        self.to_beta = nn.Sequential(
            *_hidden_layer(self.channels, self.hidden), *_number_layer(self.channels, self.hidden)
        )

    def _downsampled(self, x: Tensor) -> Tensor:
        number = self.to_beta(x)
        beta = number.sigmoid() if self.activation == "sigmoid" else F.softplus(number)
        return self._pooled(x, peaked, beta=beta)


@block(
    paper="Kobayashi (2019), Gaussian-based pooling for convolutional neural networks, NeurIPS",
    family="random",
    sample=_sample_of_gaussian,
    layer=lambda channels, kernel_size, stride: GuidedGaussianPool2d(channels, kernel_size, stride),
    random=True,
)
class GuidedGaussianPool2d(WindowBlock):
    r"""Add to each window's mean a random part of its deviation; the whole map decides how large.

    $$ y = m + \eta\, s, \qquad \eta = \log(1 + e^{\mu + \sigma z}), \qquad
       z \sim \mathcal{N}(0, 1) $$

    with the window's mean $m$ and standard deviation $s$; $\mu$ and $\sigma$, one each per image
    and channel, come from the averages of all maps of the image through a hidden layer with ReLU.
    Evaluation takes $z = 0$.

    Args:
        channels: of the input, an int > 0.
        kernel_size: elements per dimension, an int > 0 or a tuple of two. Default 2.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input, at most half of kernel_size. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        noise: "window" draws a $z$ for each window, "map" one for each map. Default "window".
        hidden: of the hidden layer, an int > 0. Default None: half of channels.

    Shape:
        (N, channels, H, W) -> (N, channels, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if no window fits, or the channels differ.

    Note:
        Padding counts for neither mean nor deviation. The deviation comes from distances to the
        mean, so large values lose no digits, and is at least 0.001. z is drawn by torch, so
        ``torch.manual_seed`` decides it. A batch of a single image is normalised as in evaluation.

    Use:
        Where the map should decide how far above its mean a window is represented, with noise
        against overfitting.

    Disagreement:
        Whether padding counts: the defaults of the authors' two programs differ; here it does not.

    Example:
        >>> import torch
        >>> pool = GuidedGaussianPool2d(1).eval()
        >>> y = pool(torch.tensor([[[[1.0, 1.0], [3.0, 3.0]]]])).item()  # 2 + eta
        >>> 2 < y
        True

    Reference:
        Kobayashi (2019), Gaussian-based pooling for convolutional neural networks, NeurIPS.
    """

    shown = ("channels", *WINDOW, "noise", "hidden")

    def __init__(
        self,
        channels: int,
        kernel_size: Any = 2,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        noise: str = "window",
        hidden: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        with called(type(self).__name__):
            self.channels = checked_count("channels", channels)
            self.hidden = _checked_hidden(hidden, self.channels)
            self.noise = checked_choice("noise", noise, ("window", "map"))
        self.to_hidden = nn.Sequential(*_hidden_layer(self.channels, self.hidden))
        self.to_mean = nn.Sequential(*_number_layer(self.channels, self.hidden))
        self.to_scale = nn.Sequential(*_number_layer(self.channels, self.hidden), nn.Sigmoid())

    def _downsampled(self, x: Tensor) -> Tensor:
        seen = self.to_hidden(x)
        factor = self.to_mean(seen)
        if self.training:
            drawn = factor
            if self.noise == "window":
                outputs = self.window.output_shape(tuple(int(size) for size in x.shape[2:]))
                drawn = factor.expand(-1, -1, *outputs)
            factor = factor + self.to_scale(seen) * torch.randn_like(drawn)
        return self._pooled(x, gaussian_guided, eta=F.softplus(factor))


def _checked_hidden(hidden: int | None, channels: int) -> int:
    return max(channels // 2, 1) if hidden is None else checked_count("hidden", hidden)
