"""Downsampling that is learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool.nn.block import block

__all__ = ["StridedConv2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return StridedConv2d(2, 2, 3, padding=1), (torch.arange(32.0).view(1, 2, 4, 4) / 32,)


@block(
    paper="Springenberg, Dosovitskiy, Brox, Riedmiller (2015), Striving for simplicity: The all "
    "convolutional net, ICLR workshop, arXiv:1412.6806",
    family="learned",
    name="strided",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: StridedConv2d(
        channels, channels, kernel_size, stride
    ),
)
class StridedConv2d(nn.Conv2d):
    r"""Convolve with a stride, so that the downsampling itself is learned.

    $$ y_{o,u,v} = b_o + \sum_{c,i,j} w_{o,c,i,j}\, x_{c,\, su+i,\, sv+j} $$

    with $s$ the stride. It is ``torch.nn.Conv2d`` with another default of ``stride``.

    Args:
        in_channels, out_channels, kernel_size: as those of ``torch.nn.Conv2d``.
        stride: distance between windows, an int > 0 or one per dimension. Default 2.
        others: all other arguments of ``torch.nn.Conv2d``, by name.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, rows, columns), as ``torch.nn.Conv2d``.

    Raises:
        ValueError, TypeError: as ``torch.nn.Conv2d`` does.

    Use:
        Where the downsampling itself should be learned, at the price of its weights.

    Example:
        >>> import torch
        >>> StridedConv2d(6, 16, 3, padding=1)(torch.zeros(1, 6, 28, 28)).shape
        torch.Size([1, 16, 14, 14])

    Reference:
        Springenberg, Dosovitskiy, Brox, Riedmiller (2015), Striving for simplicity: The all
        convolutional net, ICLR workshop, arXiv:1412.6806.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 2,
        **others: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, **others)
