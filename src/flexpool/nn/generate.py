"""One class per operator, kind of window and number of dimensions, made when first asked for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping

from flexpool.declare import REQUIRED, Operator, camel_case, operators
from flexpool.nn.like_torch import LIKE_TORCH
from flexpool.nn.module import AdaptivePool, GlobalPool, Pooling, SlidingPool, settings

__all__ = ["camel_case", "class_named", "names"]

HOME = "flexpool.nn"
DIMENSIONS = (1, 2, 3)
KINDS: Mapping[str, type[Pooling]] = {
    "": SlidingPool,
    "Adaptive": AdaptivePool,
    "Global": GlobalPool,
}


@functools.cache
def _table() -> dict[str, tuple[type[Pooling], int, Operator | None]]:
    """Map the name of each class to its base, its dimensions, and its operator if that is fixed."""
    bases = {
        f"{prefix}{camel_case(name)}Pool": (base, operator)
        for prefix, base in KINDS.items()
        for name, operator in {"": None, **operators()}.items()
    }
    generated = {
        f"{name}{dimensions}d": (base, dimensions, operator)
        for name, (base, operator) in bases.items()
        for dimensions in DIMENSIONS
    }
    return generated | {name: (*made, None) for name, made in LIKE_TORCH.items()}


def names() -> list[str]:
    """List the names of all classes."""
    return list(_table())


@functools.cache
def class_named(name: str) -> type[Pooling]:
    """Make the class of a name; the same one each time.

    Raises:
        KeyError: if there is none of that name.

    Example:
        >>> class_named("GlobalSoftPool2d")
        <class 'flexpool.nn.GlobalSoftPool2d'>
    """
    base, dimensions, operator = _table()[name]
    contents: dict[str, object] = {
        "__module__": HOME,
        "__qualname__": name,
        "dimensions": dimensions,
    }
    if operator is None:
        contents["__doc__"] = base.__doc__
        return type(name, (base,), contents)
    generic = name.replace(camel_case(operator.name), "", 1)
    contents["__doc__"] = f"{operator.doc}\n\nThe window is that of :class:`{generic}`."
    contents["fixed"] = True
    contents["__init__"] = functools.partialmethod(base.__init__, operator)
    contents["__signature__"] = _signature(base, operator)
    return type(name, (base,), contents)


def _signature(base: type[Pooling], operator: Operator) -> inspect.Signature:
    generic = inspect.signature(base).parameters.values()
    window = [p for p in generic if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "operator"]
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is REQUIRED else default,
        )
        for name, default in settings(operator).items()
    ]
    return inspect.Signature([*window, *keywords])
