"""Arrays of other types than a kernel computes with: half floats and whole numbers.

They are converted a piece at a time, as many images or planes as the caches hold; the kernel runs
on the piece, and its results are converted back. So memory is read and written once, in the arrays'
own types, and no copy of a whole array is made.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from flexpool.backends import kernel_files, memory, threads
from flexpool.backends.formats import BFLOAT16, Types, bounds, converting, numbers, refuse_nan
from flexpool.backends.numba_cpu import launch
from flexpool.backends.task import Task
from flexpool.ir import Graph, Grid

__all__ = ["run"]

Array = np.ndarray[Any, Any]
Place = tuple[slice, slice]
Piece = tuple[Task, Place]

PIECE = 1 << 19  # elements of a piece; the memory of larger ones is kept for the next

_HALVES = {np.dtype(np.float16): "float16", BFLOAT16: "bfloat16"}
_DTYPES = {name: np.dtype(name) for name in ("float32", "float64")}
_NOTHING = np.empty(0)


def run(task: Task, leaves: Mapping[str, Any], types: Types | None = None) -> dict[str, Array]:
    """Compute a graph's results by name.

    Args:
        task: what to compute.
        leaves: the arrays; of ``task.dtype``, unless ``types`` is given.
        types: of the results by name, where they are of another type than ``task.dtype``.

    Raises:
        DtypeError: if a result of a whole type is NaN.
    """
    if types is None:
        return launch.run(task, leaves)
    if _draws(task.graph):
        return _as_a_whole(task, leaves, types)  # windows are numbered, and draw by their number
    return _in_pieces(task, leaves, types)


@functools.lru_cache(maxsize=4096)
def _draws(graph: Graph) -> bool:
    return any(node.op == "random" for node in graph.leaves().values())


_as_a_whole = converting(launch.run)


def _in_pieces(task: Task, leaves: Mapping[str, Any], types: Types) -> dict[str, Array]:
    last = launch.channels_last(task.graph, leaves)
    pieces, outputs = _pieces(task, last), _outputs(task)
    results = {
        name: _empty(shape, types.get(name, _DTYPES[task.dtype]), last)
        for name, shape in outputs.items()
    }
    sums = {o.name: [_NOTHING] * len(pieces) for o in task.graph.outputs if o.name not in outputs}

    def work(begin: int, end: int) -> None:
        for number in range(begin, end):
            part, place = pieces[number]
            found = launch.run(part, _given(part, leaves, place, last))
            for name, parts in sums.items():
                parts[number] = found[name]
            for name, result in results.items():
                _narrow(found[name], result[place], last)

    if len(pieces) == 1:
        work(0, 1)
    else:
        threads.run(work, len(pieces), math.prod(task.batch) * math.prod(task.geometry.sizes))
    for name, parts in sums.items():
        results[name] = _summed(parts, pieces, task)
    return results


@functools.lru_cache(maxsize=4096)
def _pieces(task: Task, last: bool) -> list[Piece]:
    """Divide a task into pieces: some images each or, where one is too much, some of its channels.

    Example:
        >>> from flexpool.backends.task import geometry
        >>> from flexpool.declare import find
        >>> from flexpool.window import window
        >>> where = geometry(window(2, 2), (512, 512))
        >>> whole = Task(find("max").graph(), where, (1, 3), "float32")
        >>> [part.batch for part, _ in _pieces(whole, last=False)]
        [(1, 2), (1, 1)]
        >>> [part.batch for part, _ in _pieces(whole, last=True)]
        [(1, 3)]
    """
    images, channels = task.batch
    plane = math.prod(task.geometry.sizes)
    at_once = max(1, PIECE // (channels * plane))
    each = channels if last or channels * plane <= PIECE else max(1, PIECE // plane)
    pieces = []
    for n in range(0, images, at_once):
        for c in range(0, channels, each):
            batch = min(at_once, images - n), min(each, channels - c)
            part = Task(task.graph, task.geometry, batch, task.dtype)
            pieces.append((part, (slice(n, n + batch[0]), slice(c, c + batch[1]))))
    return pieces


@functools.lru_cache(maxsize=4096)
def _outputs(task: Task) -> dict[str, tuple[int, ...]]:
    """Give the shapes of the results that have a number for each window or element."""
    spread = (Grid.ELEMENT, Grid.WINDOW)
    return {o.name: task.shape_of(o) for o in task.graph.outputs if o.onto in spread}


def _given(part: Task, leaves: Mapping[str, Any], place: Place, last: bool) -> dict[str, Array]:
    """Give the arrays that a piece reads."""
    spread, (_, channels) = launch.spread_leaves(part.graph), place
    given = {}
    for name, leaf in leaves.items():
        if name in spread:
            given[name] = _widened(leaf[place], _DTYPES[part.dtype], last)
        else:
            given[name] = numbers(leaf[channels] if len(leaf) > 1 else leaf, part.dtype)
    return given


def _summed(parts: list[Array], pieces: list[Piece], task: Task) -> Array:
    """Add up what pieces gave per channel, in their order, whichever was ready first."""
    total = np.zeros((task.batch[1], *parts[0].shape[1:]), np.float64)
    for part, (_, (_, channels)) in zip(parts, pieces, strict=True):
        total[channels] += part
    return total.astype(task.dtype)


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], last: bool) -> Array:
    if not last:
        return memory.array(shape, dtype)
    images, channels, *sizes = shape
    laid = memory.array((images, *sizes, channels), dtype)
    return laid.transpose(0, -1, *range(1, laid.ndim - 1))


# Conversions, of arrays that are contiguous in one of the two layouts.


def _widened(array: Array, dtype: np.dtype[Any], last: bool) -> Array:
    """Convert a piece to the type that is computed in."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), order="K")
    if array.dtype == dtype:
        return array
    laid = launch.with_channels_last(array) if last else array
    made = memory.array(laid.shape, dtype)
    _kernel(laid.dtype, dtype)(_bits(launch.writable(laid)), made.reshape(-1))
    return made.transpose(0, -1, *range(1, made.ndim - 1)) if last else made


def _narrow(array: Array, onto: Array, last: bool) -> None:
    """Convert a piece of a result to the type it is kept in."""
    if last:
        array, onto = launch.with_channels_last(array), launch.with_channels_last(onto)
    if array.dtype == onto.dtype:
        onto[...] = array
        return
    if onto.dtype.kind in "iub":
        refuse_nan(array, onto.dtype)
    _kernel(array.dtype, onto.dtype)(array.reshape(-1), _bits(onto))


def _bits(array: Array) -> Array:
    """View a contiguous array as a line of a type that Numba compiles for."""
    return array.reshape(-1).view(_compiled_as(array.dtype))


def _compiled_as(dtype: np.dtype[Any]) -> str:
    if dtype in _HALVES:
        return "int16"
    return "uint8" if dtype.kind == "b" else dtype.name


@functools.cache
def _kernel(source: np.dtype[Any], target: np.dtype[Any]) -> Any:
    function, value = _conversion(source, target)
    types = _compiled_as(source), _compiled_as(target)
    text = f"""\
import numpy as np
from flexpool.backends.{function}

S, T = np.{types[0]}, np.{types[1]}


def kernel(source, target):
    for i in range(len(target)):
        target[i] = {value}
"""
    return kernel_files.load(text, "convert", f"void({types[0]}[::1], {types[1]}[::1])")


def _conversion(source: np.dtype[Any], target: np.dtype[Any]) -> tuple[str, str]:
    """Write how a number is converted: what that imports, and the expression."""
    if source in _HALVES:
        name = f"from_{_HALVES[source]}"
        return f"numba_formats import {name}", f"{name}(source[i])"
    if target in _HALVES:
        name = f"to_{_HALVES[target]}"
        return f"numba_formats import {name}", f"{name}(source[i])"
    value = "T(source[i])"
    if target.kind in "iub":  # infinities have no whole number
        least, most = bounds(target)
        value = f"choose(source[i] >= S({most}), T({most}), {value})"
        value = f"choose(source[i] <= S({least}), T({least}), {value})"
    return "numba_math import choose", value
