"""One pooling layer per operator, kind of window and number of dimensions, made when asked for."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from flexpool.declare import REQUIRED, Operator, camel_case, operators
from flexpool.numpy.pooling import AdaptivePool, GlobalPool, SlidingPool, WindowLayer, settings

__all__ = ["class_named", "names"]

HOME = "flexpool.numpy"
DIMENSIONS = (1, 2, 3)
KINDS: dict[str, type[WindowLayer]] = {
    "": SlidingPool,
    "Adaptive": AdaptivePool,
    "Global": GlobalPool,
}


@functools.cache
def _table() -> dict[str, tuple[type[WindowLayer], int, Operator | None]]:
    """Map the name of each class to its base, its dimensions, and its operator if that is fixed."""
    return {
        f"{prefix}{camel_case(name)}Pool{dimensions}d": (base, dimensions, operator)
        for prefix, base in KINDS.items()
        for name, operator in {"": None, **operators()}.items()
        for dimensions in DIMENSIONS
    }


def names() -> list[str]:
    """List the names of all classes."""
    return list(_table())


@functools.cache
def class_named(name: str) -> Any:
    """Make the class of a name; the same one each time.

    Raises:
        KeyError: if there is none of that name.

    Example:
        >>> class_named("GlobalSoftPool2d")
        <class 'flexpool.numpy.GlobalSoftPool2d'>
    """
    base, dimensions, operator = _table()[name]
    contents: dict[str, object] = {
        "__module__": HOME,
        "__qualname__": name,
        "__doc__": base.__doc__,
        "dimensions": dimensions,
    }
    if operator is not None:
        generic = name.replace(camel_case(operator.name), "", 1)
        contents["__doc__"] = f"{operator.doc}\n\nThe window is that of :class:`{generic}`."
        contents["__init__"] = functools.partialmethod(base.__init__, operator)
        contents["__signature__"] = _signature(base, operator)
    return type(name, (base,), contents)


def _signature(base: type[WindowLayer], operator: Operator) -> inspect.Signature:
    kinds = inspect.Parameter
    generic = inspect.signature(base).parameters.values()
    window = [p for p in generic if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "operator"]
    keywords = [
        kinds(name, kinds.KEYWORD_ONLY, default=kinds.empty if default is REQUIRED else default)
        for name, default in settings(operator).items()
    ]
    return inspect.Signature([*window, *keywords])
