"""A block: downsampling that is more than one formula over a window, and the register of those.

A block is a torch module in a file of :mod:`flexpool.nn.blocks`, declared where it is defined::

    @block(paper="Rippel, Snoek, Adams (2015), ...", family="frequency", sample=..., layer=...)
    class SpectralPool2d(nn.Module):
        ...

``flexpool list``, the pages of the documentation, the tests that all blocks must pass and the
laboratory's ``--downsampling`` follow from the declaration.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

__all__ = ["Block", "block", "blocks"]

Module = TypeVar("Module", bound=type[nn.Module])
Sample = Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]
Layer = Callable[[int, int, int], nn.Module]


@dataclass(frozen=True)
class Block:
    """What is declared about a block.

    Attributes:
        name: snake_case; the name in ``flexpool list`` and the value of ``--downsampling``.
        module: the class.
        paper: where it comes from: authors (year), title, identifier; "" if it is nobody's.
        family: the heading it is listed under.
        sample: makes a small module and what to call it with; tests and pictures use them.
        layer: builds the layer of a net from (channels, kernel_size, stride), keeping the channels;
            None if it cannot stand where a net has a pooling.
        apart: why it cannot, a full sentence.
        random: whether it draws numbers while training.
        unexported: why it cannot be exported to ONNX, a full sentence; "" if it can.
    """

    name: str
    module: type[nn.Module]
    paper: str
    family: str
    sample: Sample
    layer: Layer | None = None
    apart: str = ""
    random: bool = False
    unexported: str = ""

    @property
    def doc(self) -> str:
        """Give the class's docstring."""
        return inspect.getdoc(self.module) or ""

    @property
    def summary(self) -> str:
        """Give the first line of the docstring."""
        return self.doc.split("\n")[0]


_KNOWN: dict[str, Block] = {}


def block(
    *,
    paper: str,
    family: str,
    sample: Sample,
    layer: Layer | None = None,
    apart: str = "",
    random: bool = False,
    unexported: str = "",
    name: str | None = None,
) -> Callable[[Module], Module]:
    """Declare a class to be a block; see :class:`Block`.

    Args:
        name: its name; default: the class's, without the dimensions and ``Pool``.

    Raises:
        TypeError: if neither ``layer`` nor ``apart`` is given, or both.
    """

    def declare(module: Module) -> Module:
        own = name or snake_case(module.__name__)
        if (layer is None) == (not apart):
            raise TypeError(f"{own}: give layer, or say apart why there is none.")
        _KNOWN[own] = Block(own, module, paper, family, sample, layer, apart, random, unexported)
        return module

    return declare


@functools.cache
def blocks() -> Mapping[str, Block]:
    """Map names to all blocks, in the order of their names.

    Example:
        >>> blocks()["slice"].summary
        'Keep the first pixel of each window and drop the others.'
    """
    package = importlib.import_module("flexpool.nn.blocks")
    for file in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{file.name}")
    return dict(sorted(_KNOWN.items()))


def snake_case(name: str) -> str:
    """Turn a class's name into the block's.

    Example:
        >>> snake_case("SpectralPool2d"), snake_case("StridedConv2d")
        ('spectral', 'strided_conv')
    """
    own = re.sub(r"(Pool)?\d?d?$", "", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", own).lower()
