"""PyTorch's pooling modules, with flexpool at work inside.

Each is a subclass of PyTorch's with a ``forward`` of its own: a module becomes one, or PyTorch's
again, by a change of its class, and stays the same object with the same attributes, hooks and place
in the model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: F401 - torch.jit.script looks it up here
from torch import Tensor, nn

from flexpool.drop_in import rules
from flexpool.drop_in.functions import FUNCTIONS, of_module

__all__ = ["FASTER", "NAMES", "PLAIN"]

_is_compiling = torch.compiler.is_dynamo_compiling
_overriding = torch._C._len_torch_function_stack
_STRIDED = torch.strided

# What the function of PyTorch's is called with, after the input.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "MaxPool": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "AvgPool": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "LPPool": ("norm_type", "kernel_size", "stride", "ceil_mode"),
    "AdaptiveMaxPool": ("output_size",),
    "AdaptiveAvgPool": ("output_size",),
}
NAMES = tuple(f"{family}{dimensions}d" for family in _ARGUMENTS for dimensions in (1, 2, 3))

# PyTorch's own function in C, where its module calls that with just these arguments, the first five
# of which tell nearly all. To a maximum's leads more Python than what asks here.
_IN_C: Mapping[str, Callable[..., Tensor]] = {
    "MaxPool1d": torch.max_pool1d,
    "MaxPool2d": torch.max_pool2d,
    "MaxPool3d": torch.max_pool3d,
    "AvgPool1d": torch.avg_pool1d,
    "AvgPool2d": torch._C._nn.avg_pool2d,
    "AvgPool3d": torch._C._nn.avg_pool3d,
}


def _five(module: nn.Module, names: tuple[str, ...]) -> tuple[Any, ...]:
    """List what PyTorch's function in C is told after the input; nothing where five do not do."""
    its = vars(module)
    if not names or its.get("return_indices") or its.get("divisor_override") is not None:
        return ()
    size, stride, *others = (its.get(name) for name in names)
    five = (size, size if stride is None else stride, *others)
    return () if None in five else five


def _kind(input: Tensor) -> tuple[Any, ...]:
    """Give all that the rules ask of an input, and of where it is pooled."""
    trained = input.requires_grad and torch.is_grad_enabled()
    strides = input.stride() if input.layout is _STRIDED else None  # some others raise
    return input.shape, strides, input.dtype, trained, torch.get_num_threads()


_FOUND = ("_five", "_left")  # what calls have found, and attributes do not say


def _set(self: Any, name: str, value: Any) -> None:
    """Set an attribute, be it the class; what was found with the others is to be found anew."""
    for found in _FOUND:
        self.__dict__.pop(found, None)
    nn.Module.__setattr__(self, name, value)


def _state(self: Any) -> dict[str, Any]:
    """Give what is pickled and copied: the attributes of PyTorch's module."""
    return {name: item for name, item in self.__dict__.items() if name not in _FOUND}


def _left_to_torch(*arguments: object) -> None:
    """Answer for a function that flexpool never takes over."""


def _made(name: str) -> type[nn.Module]:
    base: type[nn.Module] = getattr(nn, name)
    pooled_by_torch: Callable[..., Any] = base.forward
    arguments = _ARGUMENTS[name[:-2]]
    if name in ("AvgPool2d", "AvgPool3d"):
        arguments = (*arguments, "divisor_override")
    plain = FUNCTIONS[of_module(name, with_indices=False)]
    with_indices = plain
    if "Max" in name:
        with_indices = FUNCTIONS.get(of_module(name, with_indices=True), _left_to_torch)

    in_c: Callable[..., Any] = _IN_C.get(name, pooled_by_torch)
    is_max = "Max" in name
    first = arguments[:5] if name in _IN_C else ()

    # torch.jit.script reads the source of what is wrapped, PyTorch's own.
    @functools.wraps(base.forward)
    def forward(self: Any, input: Tensor) -> Any:
        # What is left to PyTorch should not wait: each question is a twentieth of a small input's
        # time, and to ask the rules again would be a tenth of what they leave.
        if type(input) is Tensor and not _is_compiling():
            elements = input.numel()
            if type(elements) is not int:
                return pooled_by_torch(self, input)
            if elements < rules.LEAST_ELEMENTS or self._left == _kind(input):
                five = self._five
                if five is None:
                    five = self.__dict__["_five"] = _five(self, first)
                # A mode is told which function is called: of a maximum the one that is in Python.
                if not five or (is_max and _overriding()):
                    return pooled_by_torch(self, input)
                size, stride, padding, fourth, fifth = five
                return in_c(input, size, stride, padding, fourth, fifth)
        if not rules.takes(input):
            return pooled_by_torch(self, input)
        asked = with_indices if getattr(self, "return_indices", False) else plain
        instead = asked(input, *[getattr(self, name) for name in arguments])
        if instead is None:
            self.__dict__["_left"] = _kind(input)
            return pooled_by_torch(self, input)
        return instead()

    contents = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": f"``torch.nn.{name}``, computed by flexpool where that is faster.",
        "forward": forward,
        **dict.fromkeys(_FOUND),
        "__jit_ignored_attributes__": list(_FOUND),  # torch.jit.script would compile them too
        "__setattr__": _set,
        "__getstate__": _state,
    }
    return type(name, (base,), contents)


# By class: from PyTorch's to ours, and back.
FASTER: dict[type[nn.Module], type[nn.Module]] = {getattr(nn, name): _made(name) for name in NAMES}
PLAIN = {ours: theirs for theirs, ours in FASTER.items()}

# Pickle finds a class by its name in its module.
globals().update({ours.__name__: ours for ours in PLAIN})
