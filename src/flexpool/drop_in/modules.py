"""PyTorch's pooling modules, with flexpool at work inside.

Each is a subclass of PyTorch's and has nothing of its own but ``forward``: a module becomes one, or
PyTorch's again, by a change of its class, and stays the same object with the same attributes, hooks
and place in the model.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: F401 - torch.jit.script looks it up here
from torch import Tensor, nn

from flexpool.drop_in import rules
from flexpool.drop_in.functions import FUNCTIONS, of_module

__all__ = ["FASTER", "NAMES", "PLAIN"]

_TYPES = rules.TYPES
_is_compiling = torch.compiler.is_dynamo_compiling

# What the function of PyTorch's is called with, after the input.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "MaxPool": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "AvgPool": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "LPPool": ("norm_type", "kernel_size", "stride", "ceil_mode"),
    "AdaptiveMaxPool": ("output_size",),
    "AdaptiveAvgPool": ("output_size",),
}
NAMES = tuple(f"{family}{dimensions}d" for family in _ARGUMENTS for dimensions in (1, 2, 3))


def _left_to_torch(*arguments: object) -> None:
    """Answer for a function that flexpool never takes over."""


def _made(name: str) -> type[nn.Module]:
    base: type[nn.Module] = getattr(nn, name)
    pooled_by_torch = base.forward
    arguments = _ARGUMENTS[name[:-2]]
    if name in ("AvgPool2d", "AvgPool3d"):
        arguments = (*arguments, "divisor_override")
    plain = FUNCTIONS[of_module(name, with_indices=False)]
    with_indices = plain
    if "Max" in name:
        with_indices = FUNCTIONS.get(of_module(name, with_indices=True), _left_to_torch)

    # torch.jit.script reads the source of what is wrapped, PyTorch's own.
    @functools.wraps(base.forward)
    def forward(self: nn.Module, input: Tensor) -> Any:
        # The rules' first questions: a call of a function is a twentieth of a small input's time.
        elements = None if _is_compiling() or type(input) not in _TYPES else input.numel()
        few = type(elements) is not int or elements < rules.LEAST_ELEMENTS
        if few or not rules.takes(input):
            return pooled_by_torch(self, input)
        asked = with_indices if getattr(self, "return_indices", False) else plain
        instead = asked(input, *[getattr(self, name) for name in arguments])
        return pooled_by_torch(self, input) if instead is None else instead()

    contents = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": f"``torch.nn.{name}``, computed by flexpool where that is faster.",
        "forward": forward,
    }
    return type(name, (base,), contents)


# By class: from PyTorch's to ours, and back.
FASTER: dict[type[nn.Module], type[nn.Module]] = {getattr(nn, name): _made(name) for name in NAMES}
PLAIN = {ours: theirs for theirs, ours in FASTER.items()}

# Pickle finds a class by its name in its module.
globals().update({ours.__name__: ours for ours in PLAIN})
