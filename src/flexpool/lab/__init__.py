"""The laboratory: train the same network with each downsampling and say which is better."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flexpool.lab.comparison import Comparison, VariantResult
    from flexpool.lab.evaluation import Evaluation, evaluate
    from flexpool.lab.exporting import Exported, export
    from flexpool.lab.inputs import Inputs
    from flexpool.lab.kept import Kept, load
    from flexpool.lab.laboratory import compare, train
    from flexpool.lab.published import Published
    from flexpool.lab.recipe import Recipe
    from flexpool.lab.recipe import load as load_recipe
    from flexpool.lab.reproduction import Reproduction, reproduce
    from flexpool.lab.resumption import resume
    from flexpool.lab.store import Record, Store

__all__ = [
    "Comparison",
    "Evaluation",
    "Exported",
    "Inputs",
    "Kept",
    "Published",
    "Recipe",
    "Record",
    "Reproduction",
    "Store",
    "VariantResult",
    "compare",
    "evaluate",
    "export",
    "load",
    "load_recipe",
    "reproduce",
    "resume",
    "train",
]

# Where each stands: its module, and its name there if that is another.
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
    "load_recipe": "recipe.load",
    "Inputs": "inputs",
    "Kept": "kept",
    "load": "kept",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "Exported": "exporting",
    "export": "exporting",
    "Record": "store",
    "Store": "store",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: a worker process that only trains need not load the plots."""
    if name not in _HOMES:
        raise AttributeError(f"module 'flexpool.lab' has no attribute {name!r}")
    try:
        module, _, own = _HOMES[name].partition(".")
        return getattr(importlib.import_module(f"flexpool.lab.{module}"), own or name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"flexpool.lab needs the package {error.name!r}: pip install 'flexpool[lab]'",
            name=error.name,
        ) from error
