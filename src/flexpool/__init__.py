"""Pooling and downsampling for convolutional networks."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PARTS = ("lab", "math", "nn", "numpy", "window")
_NAMES = {
    **dict.fromkeys(("pool", "adaptive_pool", "global_pool", "pool_backward"), "functional"),
    **dict.fromkeys(("operator", "operators"), "declare"),
    **dict.fromkeys(
        ("Param", "Weight", "RankWeight", "OnInput", "OnOutput", "Random", "Option"), "declare"
    ),
    **dict.fromkeys(("conv2d", "corr2d"), "correlation"),
    **dict.fromkeys(("accelerate", "accelerated", "acceleration", "decelerate"), "drop_in"),
}

__all__ = ["__version__", *_PARTS, *_NAMES]


def __getattr__(name: str) -> Any:
    """Load a part of flexpool when it is first used: importing the package alone stays quick.

    Besides parts and names there is a function for each operator, such as ``soft_pool``.
    """
    found: Any
    if name in _PARTS:
        return importlib.import_module(f"flexpool.{name}")
    if name in _NAMES:
        found = getattr(importlib.import_module(f"flexpool.{_NAMES[name]}"), name)
    elif name.endswith("_pool") and name in _functional().function_names():
        found = _functional().function_of(name.removesuffix("_pool"))
    else:
        raise AttributeError(f"module 'flexpool' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List what there is, the operators' functions too."""
    return sorted({*globals(), *__all__, *_functional().function_names()})


def _functional() -> Any:
    return importlib.import_module("flexpool.functional")
