"""The downsamplings that a net can be built with.

Each one is a name, a sentence and a way to build its layer for a given number of channels and a
window. A net takes any of them as an argument, so an operator registered here is at once a value of
``--downsampling``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from flexpool.errors import unknown

__all__ = ["DOWNSAMPLINGS", "Downsampling", "Slice2d", "find"]


class Slice2d(nn.Module):
    """Keep the first pixel of each window and drop the others: downsampling that does nothing else.

    After a convolution with stride 1 it gives exactly that convolution with a larger stride, which
    makes it the control for every other downsampling.

    Args:
        kernel_size: height and width of the window, an int > 0; decides only how many windows fit.
        stride: distance between windows, an int > 0.

    Shape:
        (N, C, H, W) -> (N, C, (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1)

    Example:
        >>> import torch
        >>> Slice2d(2, 2)(torch.arange(16.0).view(1, 1, 4, 4))
        tensor([[[[ 0.,  2.],
                  [ 8., 10.]]]])
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Take every ``stride``-th row and column."""
        last = self.kernel_size - 1
        height, width = x.shape[-2] - last, x.shape[-1] - last
        return x[..., : height : self.stride, : width : self.stride]

    def extra_repr(self) -> str:
        """Show the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


@dataclass(frozen=True)
class Downsampling:
    """One way to make a feature map smaller.

    Attributes:
        name: the value of ``--downsampling``.
        summary: what it does, in one phrase.
        layer: builds the layer from (channels, kernel_size, stride).
        joins_convolution: whether a convolution just before it does the same by its own stride, so
            that no layer is added there.
    """

    name: str
    summary: str
    layer: Callable[[int, int, int], nn.Module]
    joins_convolution: bool = False


DOWNSAMPLINGS = {
    entry.name: entry
    for entry in (
        Downsampling(
            "max",
            "largest value of each window",
            lambda channels, kernel_size, stride: nn.MaxPool2d(kernel_size, stride),
        ),
        Downsampling(
            "avg",
            "mean of each window",
            lambda channels, kernel_size, stride: nn.AvgPool2d(kernel_size, stride),
        ),
        Downsampling(
            "sum",
            "sum of each window",
            lambda channels, kernel_size, stride: nn.AvgPool2d(
                kernel_size, stride, divisor_override=1
            ),
        ),
        Downsampling(
            "strided",
            "convolution with a stride: learned",
            lambda channels, kernel_size, stride: nn.Conv2d(
                channels, channels, kernel_size, stride
            ),
            joins_convolution=True,
        ),
        Downsampling(
            "slice",
            "first pixel of each window: the do-nothing control",
            lambda channels, kernel_size, stride: Slice2d(kernel_size, stride),
        ),
    )
}


def find(name: str) -> Downsampling:
    """Look a downsampling up by name.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest.
    """
    if name not in DOWNSAMPLINGS:
        raise unknown("downsampling", name, DOWNSAMPLINGS)
    return DOWNSAMPLINGS[name]
