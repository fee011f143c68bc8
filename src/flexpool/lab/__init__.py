"""The laboratory: train the same network with each downsampling and say which is better."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexpool.lab.comparison import Comparison, VariantResult
    from flexpool.lab.laboratory import compare, train
    from flexpool.lab.published import Published
    from flexpool.lab.recipe import Recipe, load
    from flexpool.lab.reproduction import Reproduction, reproduce
    from flexpool.lab.resumption import resume
    from flexpool.lab.store import Record, Store

__all__ = [
    "Comparison",
    "Published",
    "Recipe",
    "Record",
    "Reproduction",
    "Store",
    "VariantResult",
    "compare",
    "load",
    "reproduce",
    "resume",
    "train",
]

_HOMES = {
    "Comparison": "comparison",
    "VariantResult": "comparison",
    "compare": "laboratory",
    "resume": "resumption",
    "train": "laboratory",
    "Published": "published",
    "Recipe": "recipe",
    "Reproduction": "reproduction",
    "reproduce": "reproduction",
    "load": "recipe",
    "Record": "store",
    "Store": "store",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: a worker process that only trains need not load the plots."""
    if name not in _HOMES:
        raise AttributeError(f"module 'flexpool.lab' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"flexpool.lab.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"flexpool.lab needs the package {error.name!r}: pip install 'flexpool[lab]'",
            name=error.name,
        ) from error
