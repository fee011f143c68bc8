"""Downsampling half by convolution, half by maxima."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_ints

__all__ = ["ADown2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ADown2d(4, 2), (torch.arange(140.0).view(1, 4, 7, 5).sin(),)


@block(
    paper="Wang, Yeh, Liao (2024), YOLOv9: Learning what you want to learn using programmable "
    "gradient information, ECCV, arXiv:2402.13616",
    family="learned",
    name="adown",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: ADown2d(channels, channels),
)
class ADown2d(MapBlock):
    r"""Blur, then shrink one half of the channels by a convolution and the other by maxima.

    $$ y = \bigl[ f(w_1 *_2 \bar x_{c < C/2}),\; f(w_2 * \max\nolimits_{3 \times 3,\, 2}
    \bar x_{c \ge C/2}) \bigr], \qquad f(z) = \operatorname{silu}(\operatorname{norm}(z)) $$

    with $\bar x$ the averages of 2 x 2 pixels at every position, $*_2$ a convolution with 3 x 3
    weights and stride 2, $w_2$ of 1 x 1 and $\operatorname{norm}$ batch normalisation.

    Args:
        channels: of the input, an even int > 0.
        out_channels: of the result, an even int > 0. Default None: as many as ``channels``.

    Shape:
        (N, channels, H, W) -> (N, out_channels, H // 2, W // 2).

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has less than 2 x 2 pixels.
        DtypeError: if x holds no floating-point numbers.

    Example:
        >>> import torch
        >>> ADown2d(64, 128)(torch.randn(2, 64, 28, 28)).shape
        torch.Size([2, 128, 14, 14])

    Reference:
        Wang, Yeh, Liao (2024), YOLOv9: Learning what you want to learn using programmable gradient
        information, ECCV, arXiv:2402.13616.
    """

    def __init__(self, channels: int, out_channels: int | None = None) -> None:
        super().__init__()
        with called("ADown2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            wanted = channels if out_channels is None else out_channels
            (out,) = checked_ints("out_channels", wanted, 1)
            for name, value in {"channels": self.channels, "out_channels": out}.items():
                if value % 2:
                    raise ArgumentError(expected(name, "to be even", value))
        self.strided = nn.Sequential(
            nn.Conv2d(self.channels // 2, out // 2, 3, 2, 1, bias=False),
            nn.BatchNorm2d(out // 2),
            nn.SiLU(),
        )
        self.mixed = nn.Sequential(
            nn.Conv2d(self.channels // 2, out // 2, 1, bias=False),
            nn.BatchNorm2d(out // 2),
            nn.SiLU(),
        )

    def _downsampled(self, x: Tensor) -> Tensor:
        """Blur, split, shrink both and join."""
        check_numbers(self, x)
        if min(x.shape[-2:]) < 2:
            with called("ADown2d"):
                raise ShapeError(
                    expected("the input", "to have at least 2 x 2 pixels", tuple(x.shape))
                )
        first, second = F.avg_pool2d(x, 2, 1).chunk(2, 1)
        return torch.cat([self.strided(first), self.mixed(F.max_pool2d(second, 3, 2, 1))], 1)
