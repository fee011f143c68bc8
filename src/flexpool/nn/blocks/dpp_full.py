"""Detail-preserving pooling around a guide that is learned."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.map_block import WINDOW, WindowBlock, checked_count
from flexpool.ops.blur import binomial
from flexpool.ops.dpp_guided import dpp_guided
from flexpool.window import Window
from flexpool.window.arguments import checked_flag

__all__ = ["DPPPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return DPPPool2d(2), (torch.linspace(-3, 3, 50).view(1, 2, 5, 5).sin(),)


@block(
    paper="Saeedan, Weber, Goesele, Roth (2018), Detail-preserving pooling in deep networks, CVPR, "
    "arXiv:1804.04076",
    family="deviation-weighted",
    name="dpp_full",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: DPPPool2d(channels, kernel_size, stride),
)
class DPPPool2d(WindowBlock):
    r"""Average each window, the more weight the farther a value is from a learned guide.

    $$ y = \frac{\sum_i w_i x_i}{\sum_i w_i}, \qquad
       w_i = \Bigl( \frac{d_i}{\bar{d}} \Bigr)^{e^\lambda / 2} + e^\alpha, \qquad
       d_i = (x_i - g)^2 + \varepsilon $$

    with $x_i$ the values of the window, the guide $g$, $\bar{d}$ the mean of the $d_i$,
    $\lambda$ and $\alpha$ learned per channel, and $\varepsilon = 10^{-3}$. The guide is a
    convolution of each channel with a filter of its own, around the window.

    Args:
        channels: of the input, an int > 0.
        kernel_size: elements per dimension, an int > 0 or a tuple of two. Default 2.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input, at most half of kernel_size. Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        symmetric: whether values below the guide count as those above, True or False; if not,
            $\max(x_i - g, 0)$ takes the place of $x_i - g$. Default True.
        guide_size: of the guide's filters, an int > 0. Default 3.

    Shape:
        (N, channels, H, W) -> (N, channels, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if no window fits, or the channels differ.

    Note:
        lambda and alpha start at 0, the filters as binomial ones, so that the guide starts as a
        smoothed input; their bias at 0. Beyond the edge the guide sees the outermost pixels
        repeated. Whatever lambda and alpha, no weight overflows. Leave lambda and alpha out of
        weight decay, as the authors do.

    Use:
        As ``dpp``, where values should be compared with a learned filter's result instead of the
        mean of their window.

    Disagreement:
        The authors start from a random filter with a bias, here it is a blur. What deviations are
        divided by: see ``dpp``.

    Example:
        >>> import torch
        >>> DPPPool2d(1)(torch.tensor([[[[0.0, 0.0], [0.0, 4.0]]]])).item() > 1  # the average
        True

    Reference:
        Saeedan, Weber, Goesele, Roth (2018), Detail-preserving pooling in deep networks, CVPR,
        arXiv:1804.04076.
    """

    shown = ("channels", *WINDOW, "symmetric", "guide_size")
    window: Window

    def __init__(
        self,
        channels: int,
        kernel_size: Any = 2,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        symmetric: bool = True,
        guide_size: int = 3,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        with called(type(self).__name__):
            self.channels = checked_count("channels", channels)
            self.symmetric = checked_flag("symmetric", symmetric)
            self.guide_size = checked_count("guide_size", guide_size)
        self.lambda_ = nn.Parameter(torch.empty(self.channels))
        self.alpha = nn.Parameter(torch.empty(self.channels))
        rows, columns = self.window.stride
        self.guide = _Guide2d(
            self.channels, self.channels, self.guide_size, (rows, columns), groups=self.channels
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set lambda and alpha to 0."""
        nn.init.zeros_(self.lambda_)
        nn.init.zeros_(self.alpha)

    def _downsampled(self, x: Tensor) -> Tensor:
        return self._pooled(
            x,
            dpp_guided,
            guide=self._guided(x),
            lambda_=self.lambda_,
            alpha=self.alpha,
            symmetric=self.symmetric,
        )

    def _guided(self, x: Tensor) -> Tensor:
        """Filter around the middle of each window; the odd pixel lies before it."""
        sizes = tuple(int(size) for size in x.shape[2:])
        outputs = self.window.output_shape(sizes)
        fill = []
        for d, (size, count) in enumerate(zip(sizes, outputs, strict=True)):
            inset = (self.window.effective_kernel[d] - self.guide_size) // 2
            start = inset - self.window.padding_at(sizes)[d][0]
            last = start + (count - 1) * self.window.stride[d] + self.guide_size
            x = x.narrow(2 + d, max(start, 0), size - max(start, 0))
            fill.append((max(-start, 0), max(last - size, 0)))
        (top, bottom), (left, right) = fill
        filled = F.pad(x, (left, right, top, bottom), "replicate")
        guide: Tensor = self.guide(filled)
        return guide[..., : outputs[0], : outputs[1]]


class _Guide2d(nn.Conv2d):
    """Start as a binomial filter, and again when a net is given new weights."""

    def reset_parameters(self) -> None:
        """Set the weights, and the bias to 0."""
        filters = torch.from_numpy(binomial(tuple(self.kernel_size)))
        with torch.no_grad():
            self.weight.copy_(filters.expand_as(self.weight))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
