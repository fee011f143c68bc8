"""The downsamplings that a net can be built with.

Every pooling operator is one, as its module of :mod:`flexpool.nn` with default arguments: what the
operator declares as learnable is learned, one number per layer. Operators that need a second input
are left out, since no net of the laboratory computes one. Two downsamplings are no pooling:
``strided`` and ``slice``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from flexpool.declare import Argument, OnInput, OnOutput, Operator, Random, Weight, operators
from flexpool.errors import ArgumentError, expected, unknown
from flexpool.nn.generate import camel_case, class_named

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
        summary: what it does, in one sentence.
        layer: builds the layer from (channels, kernel_size, stride).
        joins_convolution: whether a convolution just before it does the same by its own stride, so
            that no layer is added there.
    """

    name: str
    summary: str
    layer: Callable[[int, int, int], nn.Module]
    joins_convolution: bool = False


def _class_of(operator: Operator) -> str:
    return f"{camel_case(operator.name)}Pool2d"


def _needs(operator: Operator) -> list[str]:
    """List the arguments that an operator cannot do without, each with what it is."""
    return [
        f"{name}, {argument.domain}"
        for name, argument in operator.arguments.items()
        if isinstance(argument, OnInput | OnOutput)
        or (argument.required and not isinstance(argument, Random) and not _starts(argument))
    ]


def _starts(argument: Argument) -> bool:
    """Tell whether a module has a first value for a weight that functions must be given."""
    return isinstance(argument, Weight) and argument.first is not None


def _pooling(operator: Operator) -> Downsampling:
    module: Callable[[int, int], nn.Module] = class_named(_class_of(operator))
    return Downsampling(
        operator.name,
        operator.summary,
        lambda channels, kernel_size, stride: module(kernel_size, stride),
    )


DOWNSAMPLINGS = {
    entry.name: entry
    for entry in (
        *(_pooling(operator) for operator in operators().values() if not _needs(operator)),
        Downsampling(
            "strided",
            "Convolve with a stride: learned.",
            lambda channels, kernel_size, stride: nn.Conv2d(
                channels, channels, kernel_size, stride
            ),
            joins_convolution=True,
        ),
        Downsampling(
            "slice",
            "Keep the first pixel of each window: the do-nothing control.",
            lambda channels, kernel_size, stride: Slice2d(kernel_size, stride),
        ),
    )
}


def find(name: str) -> Downsampling:
    """Look a downsampling up by name.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest, or says what an operator
            of that name needs.
    """
    if name in DOWNSAMPLINGS:
        return DOWNSAMPLINGS[name]
    if name in operators():
        operator = operators()[name]
        instead = (
            f"It takes {' and '.join(_needs(operator))}: "
            f"use flexpool.nn.{_class_of(operator)} in a net of your own."
        )
        raise ArgumentError(
            expected("downsampling", "to need nothing besides its input", name, instead)
        )
    raise unknown("downsampling", name, DOWNSAMPLINGS)
