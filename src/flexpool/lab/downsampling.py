"""The downsamplings that a net can be built with.

Every pooling operator is one, as its module of :mod:`flexpool.nn` with default arguments: what the
operator declares as learnable is learned, one number per layer. Operators that need a second input
are left out, since no net of the laboratory computes one. So is every block of
:mod:`flexpool.nn.blocks` that can stand where a net has a pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from flexpool.declare import Argument, OnInput, OnOutput, Operator, Random, Weight, operators
from flexpool.errors import ArgumentError, expected, unknown
from flexpool.nn.block import blocks
from flexpool.nn.generate import camel_case, class_named

__all__ = ["DOWNSAMPLINGS", "Downsampling", "find"]

# A convolution just before one of these does the same by its own stride.
_JOIN_CONVOLUTIONS = {"strided"}


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
        *(
            Downsampling(block.name, block.summary, block.layer, block.name in _JOIN_CONVOLUTIONS)
            for block in blocks().values()
            if block.layer is not None
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
    if name in blocks():
        rule = "to stand where a net has a pooling"
        raise ArgumentError(expected("downsampling", rule, name, blocks()[name].apart))
    raise unknown("downsampling", name, DOWNSAMPLINGS)
