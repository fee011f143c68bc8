"""Small inputs of max and average pooling, which PyTorch computes sooner.

A call of a kernel from Python takes longer than PyTorch takes for a few thousand elements. Where
both compute the same, to the bit for max, and nothing but speed depends on who does it, such inputs
are handed over to PyTorch. Whoever asks for a backend by name gets that backend.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from flexpool import calls
from flexpool.declare import Option, as_operator, operators
from flexpool.window import Window

__all__ = [
    "MOST",
    "MOST_CHANNELS_LAST",
    "by_torch",
    "called_with",
    "is_small",
    "nothing_handed_over",
]

# As many elements as PyTorch is surely faster for, with and without a backward pass: ours takes 20
# and 60 microseconds whatever the size.
MOST = 8_192
MOST_CHANNELS_LAST = 65_536  # there PyTorch's own loops are vectors over channels

_DTYPES = (torch.float32, torch.float64)
_MAX = (torch.max_pool1d, torch.max_pool2d, torch.max_pool3d)
_AVG = (torch.avg_pool1d, torch._C._nn.avg_pool2d, torch._C._nn.avg_pool3d)


def is_small(x: Any) -> bool:
    """Tell whether an input is a plain tensor that PyTorch pools sooner."""
    if torch.compiler.is_compiling() or type(x) is not Tensor:
        return False
    elements: int = x.numel()
    if elements > MOST and (elements > MOST_CHANNELS_LAST or x.is_contiguous()):
        return False
    return elements > 0 and x.is_cpu and x.dtype in _DTYPES


@contextlib.contextmanager
def nothing_handed_over() -> Iterator[None]:
    """Keep small inputs inside the block, as where their kernels are to be compiled."""
    global MOST, MOST_CHANNELS_LAST
    before = MOST, MOST_CHANNELS_LAST
    MOST = MOST_CHANNELS_LAST = 0
    try:
        yield
    finally:
        MOST, MOST_CHANNELS_LAST = before


@functools.lru_cache(maxsize=1024, typed=True)
def called_with(
    operator: object, dimensions: int, *where: Any, **plain: Any
) -> Callable[[Tensor], Tensor] | None:
    """Give what PyTorch calls a pooling by a function, or None; see :func:`by_torch`.

    Args:
        operator: a name or an operator.
        dimensions: of the window.
        where: the window's arguments.
        plain: the operator's.

    Raises:
        ArgumentError: if an argument is outside its domain.
        TypeError: if one cannot be looked up, such as a list.
    """
    chosen, given = as_operator(operator), tuple(plain.items())
    call = calls.call_of(calls.sliding_spec(chosen, dimensions, where, given, (), "auto"))
    if operators().get(chosen.name) is not chosen or not isinstance(call.window, Window):
        return None
    arguments = chosen.arguments.items()
    options = {n: a.default for n, a in arguments if isinstance(a, Option)} | plain
    return by_torch(chosen.name, call.window, tuple(options.items()))


@functools.lru_cache(maxsize=1024, typed=True)
def by_torch(
    operator: str, window: Window, options: tuple[tuple[str, Any], ...]
) -> Callable[[Tensor], Tensor] | None:
    """Give what PyTorch calls a pooling, or None where it has none that is equal.

    Args:
        operator: its name.
        window: where the windows lie.
        options: the operator's options, all of them.
    """
    pairs, index = window.padding, window.dimensions - 1
    if pairs == "same" or any(before != after for before, after in pairs) or index >= len(_MAX):
        return None
    where: dict[str, Any] = {
        "kernel_size": window.kernel_size,
        "stride": window.stride,
        "padding": tuple(before for before, _ in pairs),
        "ceil_mode": window.ceil_mode,
    }
    if operator == "max":
        return functools.partial(_MAX[index], dilation=window.dilation, **where)
    given = dict(options)
    if index == 0 and given.pop("divisor_override") is not None:
        return None
    if operator != "avg" or max(window.dilation) > 1:
        return None
    return functools.partial(_AVG[index], **where, **given)
