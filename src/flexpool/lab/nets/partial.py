"""A convolution whose result maps each see some of the input maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexpool.errors import ArgumentError, called, expected

__all__ = ["PartialConv2d"]


class PartialConv2d(nn.Module):
    r"""Convolve, each result map with kernels for those input maps alone that a table names.

    $$ y_{o,u,v} = b_o + \sum_{c \in T_o} \sum_{i,j} w_{o,c,i,j}\, x_{c,\, u+i,\, v+j} $$

    with $T_o$ the input maps of result map $o$. There are weights for the connections of the table
    and for no others; they are computed as one full convolution, in which the others are 0.

    Args:
        in_channels: number of input maps, an int > 0.
        table: for each result map the input maps it sees, ints in [0, in_channels), none twice.
        kernel_size: height and width of the kernels, an int > 0.

    Attributes:
        weight: (connections, kernel_size, kernel_size), in the order of the table.
        bias: one number per result map.

    Shape:
        (N, in_channels, H, W) -> (N, len(table), H - kernel_size + 1, W - kernel_size + 1).

    Raises:
        ArgumentError: if an argument lies outside its domain.

    Example:
        >>> layer = PartialConv2d(2, [[0], [0, 1]], 1)
        >>> _ = layer.weight.data.copy_(torch.tensor([1.0, 10.0, 100.0]).view(3, 1, 1))
        >>> _ = layer.bias.data.zero_()
        >>> layer(torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)).flatten().tolist()  # 30 + 500
        [3.0, 530.0]

    Reference:
        LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document
        recognition, Proceedings of the IEEE 86(11), table I.
    """

    outputs: Tensor
    inputs: Tensor

    def __init__(self, in_channels: int, table: Sequence[Sequence[int]], kernel_size: int) -> None:
        super().__init__()
        with called("PartialConv2d"):
            for name, value in (("in_channels", in_channels), ("kernel_size", kernel_size)):
                if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                    raise ArgumentError(expected(name, "to be an int > 0", value))
            if not table or not all(_is_choice(maps, in_channels) for maps in table):
                rule = f"to name for each result map input maps in 0..{in_channels - 1}, none twice"
                raise ArgumentError(expected("table", rule, table))
        self.in_channels, self.kernel_size = in_channels, kernel_size
        self.table = tuple(tuple(maps) for maps in table)
        pairs = torch.tensor([(o, c) for o, maps in enumerate(self.table) for c in maps])
        self.register_buffer("outputs", pairs[:, 0].contiguous(), persistent=False)
        self.register_buffer("inputs", pairs[:, 1].contiguous(), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(pairs), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(len(self.table)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every map's numbers within 1 / sqrt(what the map adds up), as nn.Conv2d does."""
        terms = [len(maps) * self.kernel_size**2 for maps in self.table]
        bounds = torch.tensor([1 / math.sqrt(n) for n in terms])
        with torch.no_grad():
            self.weight.uniform_(-1, 1).mul_(bounds[self.outputs.cpu(), None, None].to(self.weight))
            self.bias.uniform_(-1, 1).mul_(bounds.to(self.bias))

    def full(self) -> Tensor:
        """Give the weights as those of a full convolution, 0 where there is no connection."""
        shape = (len(self.table), self.in_channels, self.kernel_size, self.kernel_size)
        return self.weight.new_zeros(shape).index_put((self.outputs, self.inputs), self.weight)

    def take(self, full: Tensor) -> None:
        """Set the weights from those of a full convolution; the rest of them is left out."""
        with torch.no_grad():
            self.weight.copy_(full[self.outputs, self.inputs])

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Shape:
            (N, in_channels, H, W) -> (N, len(table), H - kernel_size + 1, W - kernel_size + 1).
        """
        return functional.conv2d(x, self.full(), self.bias)

    def extra_repr(self) -> str:
        """Show the sizes, and how many of the connections there are."""
        full = self.in_channels * len(self.table)
        return (
            f"{self.in_channels}, {len(self.table)}, kernel_size={self.kernel_size}, "
            f"connections={len(self.weight)} of {full}"
        )


def _is_choice(maps: Sequence[int], in_channels: int) -> bool:
    return 0 < len(maps) == len({*maps}) and all(m in range(in_channels) for m in maps)
