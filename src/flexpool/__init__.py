"""Pooling and downsampling for convolutional networks."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

__all__ = ["__version__", "lab", "window"]


def __getattr__(name: str) -> ModuleType:
    """Load a part of flexpool when it is first used: importing the package alone stays quick."""
    if name in ("lab", "window"):
        return importlib.import_module(f"flexpool.{name}")
    raise AttributeError(f"module 'flexpool' has no attribute {name!r}")
