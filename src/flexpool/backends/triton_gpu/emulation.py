"""NVIDIA's libdevice functions for Triton's interpreter, which has none: NumPy's instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["exp", "expm1", "log", "log1p", "pow", "tanh"]


def exp(a: Any) -> Any:
    """Raise e to the power a."""
    return _applied(np.exp, a)


def expm1(a: Any) -> Any:
    """Compute exp(a) - 1."""
    return _applied(np.expm1, a)


def log(a: Any) -> Any:
    """Take the natural logarithm."""
    return _applied(np.log, a)


def log1p(a: Any) -> Any:
    """Compute log(1 + a)."""
    return _applied(np.log1p, a)


def tanh(a: Any) -> Any:
    """Compute the hyperbolic tangent."""
    return _applied(np.tanh, a)


def pow(a: Any, b: Any) -> Any:
    """Raise a to the power b."""
    return _applied(np.power, a, b)


def _applied(function: Callable[..., Any], *args: Any) -> Any:
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    result = function(*(arg.handle.data for arg in args))
    number = args[0].dtype
    kind = tl.block_type(number, list(result.shape)) if result.ndim else number
    return tl.tensor(TensorHandle(np.asarray(result), number), kind)
