"""From the module or function that was called on a tensor alone to whoever computes it.

For small inputs that is a race: what is the same for all calls is looked up once, and each call
asks as little as it can.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flexpool import calls, torch_alone, torch_small
from flexpool.backends.task import AnyWindow
from flexpool.declare import Operator, as_operator, operators
from flexpool.errors import FlexpoolError

__all__ = [
    "RECENT",
    "Quick",
    "adaptive",
    "alone",
    "is_compiling",
    "pool_with_indices",
    "quick",
    "sliding",
]

is_compiling = torch.compiler.is_dynamo_compiling

# By function: the type and number of axes of the last tensor that came with a window alone, that
# window as it was given, and what pools such tensors.
RECENT: dict[str, tuple[Any, ...]] = {}

# Pools a tensor alone; None where whoever asked has to take the general way. Nothing is being
# compiled.
Quick = Callable[[Tensor], Tensor | None]


def quick(
    operator: Operator, window: AnyWindow, plain: tuple[tuple[str, Any], ...], backend: str
) -> Quick | None:
    """Check a call, and make what runs it; None where it brings more than a tensor.

    Args:
        operator: the operator.
        window: of either kind.
        plain: its options and numbers.
        backend: the name of a backend, or "auto".

    Raises:
        ArgumentError: if an argument is outside its domain.
    """
    return _of_spec(operator, calls.spec(operator, window, plain, (), backend))


def sliding(
    x: object,
    operator: object,
    dimensions: int | None,
    backend: str,
    where: tuple[Any, ...],
    parameters: dict[str, Any],
) -> Tensor | None:
    """Pool with a sliding window, given as to a function; None for all but plain quick calls.

    What is wrong with a call is said by whoever is asked next.
    """
    if type(x) is not Tensor or is_compiling():
        return None
    try:
        if parameters:
            pool = _with(parameters, _sliding, operator, x.ndim, dimensions, backend, *where)
        else:
            pool = _sliding(operator, x.ndim, dimensions, backend, *where)
        return None if pool is None else pool(x)
    except (FlexpoolError, TypeError):
        return None


def alone(x: object, operator: Operator, where: tuple[Any, ...]) -> Quick | None:
    """Find what pools tensors such as this one with a sliding window, and nothing else given.

    It returns None, too, where something is wrong. Nothing is being compiled.
    """
    if type(x) is not Tensor:
        return None
    try:
        return _sliding(operator, x.ndim, None, "auto", *where)
    except (FlexpoolError, TypeError):
        return None


def adaptive(
    x: object,
    operator: object,
    dimensions: int | None,
    backend: str,
    output_size: Any,
    parameters: dict[str, Any],
) -> Tensor | None:
    """Pool with an adaptive window alike."""
    if type(x) is not Tensor or is_compiling():
        return None
    try:
        if parameters:
            pool = _with(parameters, _adaptive, operator, x.ndim, dimensions, backend, output_size)
        else:
            pool = _adaptive(operator, x.ndim, dimensions, backend, output_size)
        return None if pool is None else pool(x)
    except (FlexpoolError, TypeError):
        return None


def _with(
    parameters: dict[str, Any], find: Callable[..., Quick | None], *about: Any
) -> Quick | None:
    """Look a call up that brings arguments of its operator; but arrays would be compared."""
    if any(hasattr(value, "shape") for value in parameters.values()):
        return None
    return find(*about, **parameters)


def pool_with_indices(x: object, spec: str) -> tuple[Tensor, Tensor] | None:
    """Leave a small contiguous tensor to PyTorch where that finds the same places sooner."""
    if type(x) is not Tensor or is_compiling():
        return None
    theirs = _with_indices(spec)
    if theirs is None or not theirs.is_sooner(x) or not x.is_contiguous():
        return None
    try:
        found: tuple[Tensor, Tensor] = theirs.function(x, *theirs.arguments)
    except RuntimeError:  # the errors are ours
        return None
    return found


@functools.lru_cache(maxsize=4096)
def _with_indices(spec: str) -> torch_small.Theirs | None:
    call = calls.call_of(spec)
    if call.backend != "auto" or call.operator is not operators()["max"]:
        return None
    return torch_small.by_torch("max with indices", call.window, ())


@functools.lru_cache(maxsize=4096, typed=True)
def _sliding(
    operator: object, axes: int, dimensions: int | None, backend: str, *where: Any, **plain: Any
) -> Quick | None:
    count, chosen = _count(axes, dimensions, where[0]), as_operator(operator)
    spec = calls.sliding_spec(chosen, count, where, tuple(plain.items()), (), backend)
    return _of_spec(chosen, spec)


@functools.lru_cache(maxsize=4096, typed=True)
def _adaptive(
    operator: object, axes: int, dimensions: int | None, backend: str, size: Any, **plain: Any
) -> Quick | None:
    count, chosen = _count(axes, dimensions, size), as_operator(operator)
    spec = calls.adaptive_spec(chosen, count, size, tuple(plain.items()), (), backend)
    return _of_spec(chosen, spec)


def _count(axes: int, dimensions: int | None, per_dimension: Any) -> int:
    """Count the spatial dimensions."""
    if dimensions is not None:
        return dimensions
    return len(per_dimension) if isinstance(per_dimension, tuple) else axes - 2


def _of_spec(operator: Operator, spec: str) -> Quick | None:
    call = calls.call_of(spec)
    if calls.bound_arrays(operator):
        return None
    ours = torch_alone.pooling(spec)
    if call.backend != "auto" or operators().get(operator.name) is not operator:
        return ours
    theirs = torch_small.by_torch(operator.name, call.window, tuple(call.options.items()))
    return ours if theirs is None else theirs.or_else(ours)
