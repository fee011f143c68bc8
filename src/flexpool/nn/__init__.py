"""Pooling as torch modules: one class per operator, kind of window and number of dimensions.

* ``SoftPool2d(kernel_size, ...)``, ``AdaptiveSoftPool2d(output_size)``, ``GlobalSoftPool2d()`` and
  so on, for every operator of :mod:`flexpool.ops`, each also as ``1d`` and ``3d``;
* ``Pool2d(operator, kernel_size, ...)``, ``AdaptivePool2d``, ``GlobalPool2d`` for any operator,
  also one of your own;
* the blocks of :mod:`flexpool.nn.blocks`, for what is more than one formula over a window;
* ``MaxPool2d``, ``AvgPool2d``, ``LPPool2d``, ``AdaptiveMaxPool2d``, ``AdaptiveAvgPool2d``, which
  take the place of torch's.

Example:
    >>> import torch
    >>> from flexpool.nn import BoltzmannPool2d
    >>> BoltzmannPool2d(2, beta=4.0, channels=8)
    BoltzmannPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False, \
beta=(8,) learned)
"""

from __future__ import annotations

from torch.nn import Module

from flexpool.nn.block import blocks as _all_blocks
from flexpool.nn.generate import class_named, names
from flexpool.nn.module import Pooling

_BLOCKS = {block.module.__name__: block.module for block in _all_blocks().values()}

__all__ = ["Pooling", *names(), *_BLOCKS]


def __getattr__(name: str) -> type[Module]:
    """Make a class when it is first used."""
    if name in _BLOCKS:
        return _BLOCKS[name]
    try:
        return class_named(name)
    except KeyError:
        raise AttributeError(f"module 'flexpool.nn' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    """List the classes, made or not."""
    return sorted(__all__)
