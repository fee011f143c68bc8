"""Bring what the caller gave into the shapes a backend takes: the same code for every library."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from flexpool import calls
from flexpool.errors import ArgumentError, ShapeError, expected
from flexpool.ir import Grid

__all__ = ["as_leaves", "as_seed", "summed_to"]

_CHANNEL = Grid.CHANNEL.value
_POSITION = (Grid.POSITION | Grid.CHANNEL).value
_RANK = (Grid.RANK | Grid.CHANNEL).value
_ELEMENT = Grid.ELEMENT.value


def as_leaves(
    arrays: Mapping[str, Any],
    grids: tuple[int, ...],
    spec: str,
    x: Any,
    batched: bool,
    broadcast_to: Callable[[Any, tuple[int, ...]], Any],
) -> list[Any]:
    """Bring the given arrays into the shapes of :mod:`flexpool.backends.task`.

    Args:
        arrays: the given arrays by name.
        grids: over what each varies, from :func:`flexpool.calls.facts`.
        spec: the call.
        x: the input, (N, C, *sizes).
        batched: whether the caller's input had the axis N.
        broadcast_to: the library's.

    Raises:
        ShapeError: if one has a shape that does not fit.
    """
    leaves = []
    for (name, array), grid in zip(arrays.items(), grids, strict=True):
        if grid == _CHANNEL:
            leaves.append(_per_channel(name, array, x.shape[1]))
        elif grid == _POSITION:
            leaves.append(_per_position(name, array, x, spec))
        elif grid == _RANK:
            leaves.append(_per_rank(name, array, x, spec))
        else:
            shape = tuple(x.shape)
            if grid != _ELEMENT:
                _, outputs = calls.shapes(spec, shape[2:])
                shape = (*shape[:2], *outputs)
            leaves.append(_spread(name, array, shape, batched, broadcast_to))
    return leaves


def _per_channel(name: str, array: Any, channels: int) -> Any:
    shape = tuple(array.shape)
    if shape in ((), (1,)):
        return array.reshape(1)
    if shape != (channels,):
        rule = f"to hold one number or one per channel, {channels}"
        raise ShapeError(expected(name, rule, _shaped(shape)))
    return array


def _per_position(name: str, array: Any, x: Any, spec: str) -> Any:
    kernel, _ = calls.shapes(spec, tuple(x.shape[2:]))
    shape, channels = tuple(array.shape), x.shape[1]
    if shape == kernel:
        return array.reshape(1, -1)
    if shape != (channels, *kernel):
        rule = f"to have the kernel's shape {kernel} or {(int(channels), *kernel)}"
        raise ShapeError(expected(name, rule, _shaped(shape)))
    return array.reshape(channels, -1)


def _per_rank(name: str, array: Any, x: Any, spec: str) -> Any:
    kernel, _ = calls.shapes(spec, tuple(x.shape[2:]))
    shape, channels, ranks = tuple(array.shape), x.shape[1], math.prod(kernel)
    if shape not in ((ranks,), (channels, ranks)):
        rule = f"to hold one number per rank, {(ranks,)}, or {(int(channels), ranks)}"
        raise ShapeError(expected(name, rule, _shaped(shape)))
    return array.reshape(-1, ranks)


def _spread(
    name: str,
    array: Any,
    shape: tuple[int, ...],
    batched: bool,
    broadcast_to: Callable[[Any, tuple[int, ...]], Any],
) -> Any:
    wanted = shape if batched else shape[1:]
    own = tuple(array.shape)
    if own != wanted:
        pairs = zip(reversed(own), reversed(wanted), strict=False)
        if len(own) > len(wanted) or not all(a in (1, b) for a, b in pairs):
            rule = f"to have the shape {tuple(map(int, wanted))} or one that broadcasts to it"
            raise ShapeError(expected(name, rule, _shaped(own)))
        array = broadcast_to(array, wanted)
    return array if batched else array[None]


def _shaped(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(int, shape))


def summed_to(result: Any, shape: tuple[int, ...], grid: Grid, batched: bool) -> Any:
    """Bring a gradient back from a backend's shape to that of the argument it belongs to.

    Args:
        result: the gradient as the backend gave it.
        shape: of the argument; () for a number.
        grid: over what it varies.
        batched: whether the caller's input had the axis N.
    """
    if not grid & (Grid.ELEMENT | Grid.WINDOW):
        own = grid.in_kernel
        shared = len(shape) < result.ndim or (not own and shape == (1,))
        if own:  # (C, K), or (C, *kernel) where each channel has its own
            shared = math.prod(shape) < math.prod(result.shape) or result.shape[0] == 1
        return (result.sum(0) if shared else result).reshape(shape)
    whole = result if batched else result[0]
    added = tuple(range(whole.ndim - len(shape)))
    if added:
        whole = whole.sum(added)
    spread = tuple(d for d, size in enumerate(shape) if size == 1 and whole.shape[d] != 1)
    if spread:
        whole = whole.sum(spread)
    return whole.reshape(shape)


def as_seed(seed: object, facts: calls.Facts) -> object:
    """Check a seed: an int, None, or whatever array it is.

    Raises:
        ArgumentError: if it is an int out of range, or the operator draws nothing.
    """
    if seed is None:
        return None
    if not facts.random:
        instead = f"Leave it out: {facts.operator} draws no random numbers."
        raise ArgumentError(expected("seed", "to be None", seed, instead))
    if isinstance(seed, bool | float | str) or (isinstance(seed, int) and not 0 <= seed < 2**63):
        raise ArgumentError(expected("seed", "to be an int in [0, 2**63)", seed))
    return seed
