"""A low-pass filter that is found anew for each place and each group of channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, called, expected
from flexpool.nn.block import block
from flexpool.nn.map_block import (
    PADDING_MODES,
    MapBlock,
    checked_choice,
    checked_count,
    padded,
)
from flexpool.nn.norms import BatchNorm2d

__all__ = ["DDACPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return DDACPool2d(4), (torch.linspace(-3, 3, 200).view(2, 4, 5, 5).sin(),)


@block(
    paper="Zou, Xiao, Yu, Lee (2020), Delving deeper into anti-aliasing in ConvNets, BMVC, "
    "arXiv:2008.09604",
    family="anti-aliasing",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: DDACPool2d(channels, kernel_size, stride),
)
class DDACPool2d(MapBlock):
    r"""Average around every s-th pixel with weights found in the input, for each group of channels.

    $$ y_{c,u,v} = \sum_{i,j} w_{g(c),i,j,u,v}\, \tilde{x}_{c,\, su+i,\, sv+j}, \qquad
       w_{g,\cdot,u,v} = \mathrm{softmax}\bigl( \mathrm{BN}(F * \tilde{x}) \bigr)_{g,\cdot,u,v} $$

    with the padded map $\tilde{x}$, the stride $s$, the group $g(c)$ of a channel, a convolution
    $F$ with one result per group and position, and batch normalisation BN.

    Args:
        channels: of the input, an int > 0.
        kernel_size: of the filters, an int > 0. Default 3.
        stride: $s$, an int > 0. Default 2.
        groups: of neighbouring channels with the same filter, an int > 0 that divides channels.
            Default 2.
        padding_mode: "reflect", "replicate", "circular" or "zeros". Default "reflect".

    Shape:
        (N, channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if the channels differ, or a map is too small to be reflected or repeated.

    Note:
        The weights of each group add up to 1, so a constant stays what it is. Filters are found
        where they are used only, so the normalisation's statistics come from every s-th pixel.
        Nothing of kernel_size squared times the input is laid out.

    Use:
        Where a blur that is the same everywhere would cost too much detail.

    Disagreement:
        The authors' program takes one softmax over all groups together. It has 2 groups unless told
        otherwise, the nets that were published 8.

    Example:
        >>> import torch
        >>> y = DDACPool2d(2)(torch.full((2, 2, 3, 4), 5.0))
        >>> y.shape, bool((y - 5).abs().max() < 1e-5)
        (torch.Size([2, 2, 2, 2]), True)

    Reference:
        Zou, Xiao, Yu, Lee (2020), Delving deeper into anti-aliasing in ConvNets, BMVC,
        arXiv:2008.09604.
    """

    shown = ("channels", "kernel_size", "stride", "groups", "padding_mode")

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        stride: int = 2,
        *,
        groups: int = 2,
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.channels = checked_count("channels", channels)
            self.kernel_size = checked_count("kernel_size", kernel_size)
            self.stride = checked_count("stride", stride)
            self.groups = checked_count("groups", groups)
            if self.channels % self.groups:
                rule = f"to divide channels, {self.channels}"
                raise ArgumentError(expected("groups", rule, groups))
            self.padding_mode = checked_choice("padding_mode", padding_mode, tuple(PADDING_MODES))
        filters = self.groups * self.kernel_size**2
        self.filter = _Filters2d(self.channels, filters, self.kernel_size, self.stride, bias=False)
        self.norm = BatchNorm2d(filters)

    def _downsampled(self, x: Tensor) -> Tensor:
        filled = padded(x, self.kernel_size, self.padding_mode)
        found = self.norm(self.filter(filled))
        rows, columns = found.shape[-2:]
        weights = found.unflatten(1, (self.groups, 1, self.kernel_size**2)).softmax(3)
        grouped = filled.unflatten(1, (self.groups, -1))
        y = torch.zeros((), dtype=x.dtype, device=x.device)
        for tap in range(self.kernel_size**2):
            i, j = divmod(tap, self.kernel_size)
            reach = grouped[
                ...,
                i : i + (rows - 1) * self.stride + 1 : self.stride,
                j : j + (columns - 1) * self.stride + 1 : self.stride,
            ]
            y = y + weights[:, :, :, tap] * reach
        return y.flatten(1, 2)


class _Filters2d(nn.Conv2d):
    """Start as the authors' does, and again when a net is given new weights."""

    def reset_parameters(self) -> None:
        """Draw the weights."""
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
