"""Downsampling that does nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, called, expected
from flexpool.nn.block import block

__all__ = ["Slice2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Slice2d(2, 2), (torch.arange(32.0).view(1, 2, 4, 4),)


@block(
    paper="",  # nobody claims it
    family="rearrangement",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: Slice2d(kernel_size, stride),
)
class Slice2d(nn.Module):
    r"""Keep the first pixel of each window and drop the others.

    $$ y_{u,v} = x_{su,\, sv} $$

    with $s$ the stride. After a convolution with stride 1 it gives exactly that convolution with a
    larger stride, which makes it the control for every other downsampling.

    Args:
        kernel_size: height and width of the window, an int > 0; decides only how many windows fit.
        stride: distance between windows, an int > 0.

    Shape:
        (N, C, H, W) -> (N, C, (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1)

    Raises:
        ArgumentError: if one of them is not an int > 0.

    Use:
        As the control of a comparison: what follows from leaving pixels out alone.

    Example:
        >>> import torch
        >>> Slice2d(2, 2)(torch.arange(16.0).view(1, 1, 4, 4))
        tensor([[[[ 0.,  2.],
                  [ 8., 10.]]]])
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        with called("Slice2d"):
            for name, value in {"kernel_size": kernel_size, "stride": stride}.items():
                if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                    raise ArgumentError(expected(name, "to be an int > 0", value))
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
