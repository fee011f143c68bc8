"""The rules by which weights start."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from flexpool.lab.nets.partial import PartialConv2d

__all__ = ["RULES", "start"]

RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier-uniform": nn.init.xavier_uniform_,
    "kaiming-uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
}


def start(layer: nn.Module, rule: str) -> None:
    """Draw a layer's first values from torch's global stream.

    Args:
        layer: one that has ``reset_parameters``.
        rule: one of :data:`flexpool.lab.options.INITIALISATIONS` but ``own``. Layers other than
            convolutions and linear ones start by their own rule, whatever it is.

    Example:
        >>> layer = nn.Linear(3, 3, bias=False)
        >>> start(layer, "xavier-uniform")
        >>> bool(layer.weight.abs().max() <= 1)   # sqrt(6 / (3 + 3))
        True
    """
    layer.reset_parameters()  # type: ignore[operator]
    if rule == "standard":
        return
    if isinstance(layer, nn.Conv2d | nn.Linear):
        RULES[rule](layer.weight)
    elif isinstance(layer, PartialConv2d):
        layer.take(RULES[rule](torch.empty_like(layer.full())))
