"""Bring arrays into a kernel's layout, make the results' arrays, and run the kernel on threads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flexpool.backends import kernel_files, memory, philox, threads
from flexpool.backends.numba_cpu.handing import hands
from flexpool.backends.numba_cpu.neighbours import has_neighbours
from flexpool.backends.numba_cpu.packed import packs
from flexpool.backends.numba_cpu.places import has_places
from flexpool.backends.numba_cpu.plan import Shape, by_rows, shape_of
from flexpool.backends.numba_cpu.program import Program, program
from flexpool.backends.numba_cpu.short_rows import has_short_rows
from flexpool.backends.numba_cpu.small_extremes import has_small_extremes
from flexpool.backends.numba_cpu.small_planes import has_small_planes
from flexpool.backends.numba_cpu.tiles import has_tiles
from flexpool.backends.numba_cpu.whole import SHORT, is_wholesale
from flexpool.backends.numba_math import CACHE_LINE
from flexpool.backends.task import Geometry, Task, geometry
from flexpool.ir import Graph, Grid, Node, Output
from flexpool.window import AdaptiveWindow, Window

__all__ = [
    "adds_in_order",
    "available",
    "channels_last",
    "prepared",
    "run",
    "source",
    "spread_leaves",
    "with_channels_last",
    "writable",
]

Array = np.ndarray[Any, Any]

_SLOW = ("exp", "log", "pow", "tanh", "sigmoid", "rank")
_LONG = 4  # times as long as a sum takes

_LINE = AdaptiveWindow((1,))  # one window over all that one dimension has

LARGE = 16 << 20  # bytes from which on an array is not found in the caches
LONG_LINE = 6 * CACHE_LINE  # bytes from which on processors do not foresee the next line
VERY_LONG_LINE = 2048  # bytes from which on they foresee the rest of the line


def available() -> str | None:
    """Return None: Numba is always installed."""
    return None


def source(task: Task, channels_last: bool = False) -> str:
    """Give the source of a task's kernel, to be read."""
    if not channels_last:
        task = _as_line(task) or task
    return program(task.graph, _shape(task, channels_last)).text


def run(task: Task, leaves: Mapping[str, Any]) -> dict[str, Array]:
    """Compute a graph's results by name."""
    if 0 in task.batch:  # no kernel is compiled for nothing
        return {o.name: np.zeros(task.shape_of(o), task.dtype) for o in task.graph.outputs}
    last = channels_last(task.graph, leaves)
    if not last and (line := _as_line(task)) is not None:
        spread = spread_leaves(task.graph)
        flat = {name: _flat(a) if name in spread else a for name, a in leaves.items()}
        found = run(line, flat)
        return {o.name: found[o.name].reshape(task.shape_of(o)) for o in task.graph.outputs}
    launch = _launch(task, last)
    arguments = launch.arguments.copy()
    for place, name, over in launch.leaves:
        arguments[place] = _laid_out(leaves[name], over, task, last)
    for place, name in launch.seeds:
        arguments[place : place + 2] = philox.split_seed(int(leaves[name]))
    results = {}
    for place, output in launch.outputs:
        arguments[place] = results[output.name] = _result(output, task, launch.shape)
    launch.start(arguments)
    return {o.name: _shaped(results[o.name], o, task, last) for o in task.graph.outputs}


def prepared(
    task: Task, read: tuple[str, ...], fixed: Mapping[str, Array]
) -> Callable[..., Array] | None:
    """Make the shortest way to a task's result, for calls that differ in nothing but the arrays.

    Args:
        task: what to compute.
        read: the names of the arrays that each call brings, in the order in which it does.
        fixed: the other leaves.

    Returns:
        a function of C-contiguous arrays that may be written, of ``task.dtype`` and the task's
        shapes; None for tasks of several results, or one that is no map, and for random ones.
    """
    (output, *others), leaves = task.graph.outputs, task.graph.leaves()
    random = any(node.op == "random" for node in leaves.values())
    if others or random or output.onto not in (Grid.WINDOW, Grid.ELEMENT):
        return None
    inner = _as_line(task) or task
    launch = _launch(inner, False)
    arguments, places = launch.arguments.copy(), {name: place for place, name, _ in launch.leaves}
    for place, name, over in launch.leaves:
        if name in fixed:
            arguments[place] = _laid_out(fixed[name], over, inner, False)
    onto = [(places[n], (-1, *_spread_over(leaves[n].grid, inner))) for n in read]
    ((end, _),) = launch.outputs
    images, channels = task.batch
    make = memory.maker((images * channels, *_spread_over(output.onto, inner)), task.dtype)
    whole = task.shape_of(output)
    kernel, items = launch.kernel, launch.items
    little = threads.is_little(items, launch.work)

    def run(*arrays: Array) -> Array:
        given = arguments.copy()
        for (place, laid), array in zip(onto, arrays, strict=True):
            given[place] = array.reshape(laid)
        result = given[end] = make()
        if little:
            kernel(0, items, *given)
        else:
            launch.start(given)
        return result.reshape(whole)

    return run


def _spread_over(grid: Grid, task: Task) -> tuple[int, ...]:
    return task.geometry.output_shape if grid == Grid.WINDOW else task.geometry.sizes


def adds_in_order(task: Task) -> bool:
    """Tell whether what windows of planes hand to one element is added in the windows' order."""
    shape = _shape(task, last=False)
    return has_places(task.graph, shape) or hands(task.graph, shape)


def _shape(task: Task, last: bool) -> Shape:
    shape = shape_of(task, last)
    windows = task.geometry.output_shape[-1]
    each = (has_small_planes, has_small_extremes)
    small_planes = any(has(task.graph, shape, task.geometry.output_shape) for has in each)
    return replace(
        shape,
        packed=packs(task.graph, shape, task.batch[1]),
        neighbours=has_neighbours(task.graph, shape, windows),
        tiled=_tiles(task.geometry) and has_tiles(task.graph, shape, windows),
        short_rows=has_short_rows(task.graph, shape, windows),
        small_planes=small_planes,
        column=int(task.geometry.placements[-1].start[0]) if small_planes else 0,
        whole=_whole(task, last),
    )


def _whole(task: Task, last: bool) -> str:
    """Say of a line that is one window whether it is short or long; of anything else, nothing."""
    if last or task.geometry.window != _LINE or not is_wholesale(task.graph):
        return ""
    return "short" if task.geometry.positions <= SHORT else "long"


@functools.lru_cache(maxsize=4096)
def _as_line(task: Task) -> Task | None:
    """Where one window is the whole plane, make the task of pooling the plane as one line.

    A plane of 7 by 7 is then a loop of 49, not seven of 7, which are too short for vectors.
    """
    where = task.geometry
    if where.window == _LINE or not where.inside or where.extent != where.sizes:
        return None
    if not is_wholesale(task.graph) and where.dimensions == 1:
        return None
    return Task(task.graph, geometry(_LINE, (where.positions,)), task.batch, task.dtype)


def _flat(array: Array) -> Array:
    return array.reshape(*array.shape[:2], -1)


@dataclass(frozen=True)
class _Launch:
    """What is the same for every call of one task.

    Attributes:
        kernel: the compiled function.
        shape: the constants it was made for.
        arguments: all but the range of items, with gaps for what each call brings.
        leaves: place, name and kind of each array: what it has one number for.
        seeds: place and name of each random number: its key, and its offset after that.
        outputs: place of each result.
        items: how many there are to share between threads.
        work: how many elements are read, or as many as would take the same time.
    """

    kernel: Callable[..., object]
    shape: Shape
    arguments: list[Any]
    leaves: tuple[tuple[int, str, str], ...]
    seeds: tuple[tuple[int, str], ...]
    outputs: tuple[tuple[int, Output], ...]
    items: int
    work: int

    def start(self, arguments: list[Any]) -> None:
        """Run the kernel with its arguments, on as many threads as pay."""
        kernel = self.kernel
        threads.run(lambda begin, end: kernel(begin, end, *arguments), self.items, self.work)


@functools.lru_cache(maxsize=4096)
def _launch(task: Task, last: bool) -> _Launch:
    shape = _shape(task, last)
    made, kernel = _compiled(task.graph, shape)
    names = made.arguments[2:]
    place = {name: i for i, name in enumerate(names)}
    known: dict[str, Any] = {**_places(task.geometry), "channels": task.batch[1]}
    # Windows that lie inside and tile the input write each element once; else they add to zeros.
    once = shape.whole or (made.unrolled and _tiles(task.geometry))
    known["cleared"] = not once
    known["distant"] = _is_distant(task)
    known["streamed"] = not known["cleared"] and _is_streamed(task, last)
    nodes = sorted(task.graph.leaves().items())
    positions = math.prod(task.geometry.output_shape) * task.geometry.positions
    items = task.batch[0] if last else math.prod(task.batch)
    if by_rows(task.graph, shape):
        items *= task.geometry.output_shape[0]
    return _Launch(
        kernel=kernel,
        shape=shape,
        arguments=[known.get(name) for name in names],
        leaves=tuple((place[f"in_{n}"], n, _kind(a)) for n, a in nodes if a.op == "leaf"),
        seeds=tuple((place[f"{n}_key"], n) for n, node in nodes if node.op == "random"),
        outputs=tuple((place[f"out_{o.name}"], o) for o in task.graph.outputs),
        items=items,
        work=math.prod(task.batch) * positions * _weight(task.graph),
    )


def _weight(graph: Graph) -> int:
    """Tell how many times the work of a sum a graph makes of each element, roughly."""
    return 1 + sum(_LONG for node in graph.nodes() if node.grid.inside and node.op in _SLOW)


@functools.lru_cache(maxsize=4096)
def _compiled(graph: Graph, shape: Shape) -> tuple[Program, Callable[..., object]]:
    made = program(graph, shape)
    return made, kernel_files.load(made.text, "kernel", made.signature)


@functools.lru_cache(maxsize=4096)
def spread_leaves(graph: Graph) -> tuple[str, ...]:
    """Name the leaves that are as large as the input or the output."""
    spread = (Grid.ELEMENT, Grid.WINDOW)
    return tuple(n for n, a in graph.leaves().items() if a.op == "leaf" and a.grid in spread)


def channels_last(graph: Graph, leaves: Mapping[str, Any]) -> bool:
    """Take the layout of the first array that has one."""
    for name in spread_leaves(graph):
        array = leaves[name]
        return not array.flags.c_contiguous and with_channels_last(array).flags.c_contiguous
    return False


def with_channels_last(array: Array) -> Array:
    """View an array with its axes as they lie in memory where the channels are last."""
    return array.transpose(0, *range(2, array.ndim), 1)  # np.moveaxis takes ten times as long


def _kind(leaf: Node) -> str:
    """Say what an array has one number for: a channel, a place in the kernel, or an element."""
    if leaf.grid == Grid.CHANNEL:
        return "channel"
    return "position" if leaf.grid.in_kernel else "element"


def _laid_out(array: Array, kind: str, task: Task, last: bool) -> Array:
    """Bring a leaf into the kernel's layout, without a copy where it has it."""
    if kind == "element":
        if last:
            return writable(with_channels_last(array))
        return writable(array).reshape(-1, *array.shape[2:])
    channels = task.batch[1]
    if kind == "channel":
        return writable(np.broadcast_to(array, (channels,)))
    whole = np.broadcast_to(array, (channels, array.shape[1]))
    return writable(whole.T if last else whole)


def writable(array: Array) -> Array:
    """Numba tells arrays that may not be written apart; one kernel for both needs a copy."""
    flags = array.flags
    if flags.c_contiguous and flags.writeable:
        return array
    whole = np.ascontiguousarray(array)
    return whole if whole.flags.writeable else whole.copy()


def _places(where: Geometry) -> dict[str, Any]:
    """Give the arguments that say where the windows lie."""
    arguments: dict[str, Any] = {}
    for d, placement in enumerate(where.placements):
        arguments[f"start_{d}"] = placement.start
        arguments[f"first_{d}"], arguments[f"stop_{d}"] = placement.first, placement.stop
        arguments[f"padded_{d}"] = where.padded_counts[d]
        arguments[f"low_{d}"], arguments[f"high_{d}"] = placement.interior
        arguments[f"extent_{d}"] = where.extent[d]
    return arguments


def _result(output: Output, task: Task, shape: Shape) -> Array:
    """Make the array of a result: kernels write all of it, or add to it where it is a sum."""
    n, channels = task.batch
    items = (n,) if shape.channels_last else (n * channels,)
    tail = (channels,) if shape.channels_last else ()
    if output.onto == Grid.WINDOW:
        return memory.array((*items, *task.geometry.output_shape, *tail), shape.dtype)
    if output.onto == Grid.ELEMENT:
        return memory.array((*items, *task.geometry.sizes, *tail), shape.dtype)
    positions = (task.geometry.positions,) if output.onto.in_kernel else ()
    return np.zeros((*items, *positions, *tail), np.float64)


def _tiles(where: Geometry) -> bool:
    """Tell whether every element of the input is in exactly one window, and that lies inside."""
    window = where.window
    if not isinstance(window, Window) or not where.inside or max(window.dilation) > 1:
        return False
    covered = tuple(k * o for k, o in zip(window.kernel_size, where.output_shape, strict=True))
    return window.kernel_size == window.stride and covered == where.sizes


def _is_large(task: Task) -> bool:
    """Tell whether the input, or its gradient, is more than the caches hold."""
    elements = math.prod(task.batch) * math.prod(task.geometry.sizes)
    return elements * np.dtype(task.dtype).itemsize >= LARGE


def _is_distant(task: Task) -> bool:
    """Tell whether a kernel for planes had better ask early for the lines it will read.

    Processors foresee short lines, which follow one another, and each very long one by itself; but
    not the slices of a volume.
    """
    line = task.geometry.sizes[-1] * np.dtype(task.dtype).itemsize
    if task.geometry.dimensions == 2 and not LONG_LINE <= line < VERY_LONG_LINE:
        return False
    return _is_large(task)


def _is_streamed(task: Task, last: bool) -> bool:
    """Tell whether a gradient is better written past the caches.

    That is so where it is too large to be found there by whoever reads it next, and where what is
    written at once fills cache lines.
    """
    row = task.batch[1] if last else task.geometry.sizes[-1]
    return _is_large(task) and row * np.dtype(task.dtype).itemsize % CACHE_LINE == 0


def _shaped(result: Array, output: Output, task: Task, last: bool) -> Array:
    """Give a result its logical shape; sum what was collected per plane or image."""
    n, channels = task.batch
    if output.onto in (Grid.WINDOW, Grid.ELEMENT):
        if last:
            return result.transpose(0, -1, *range(1, result.ndim - 1))
        return result.reshape(n, channels, *result.shape[1:])
    if last:
        total: Array = result.sum(0)
        return (total.T if output.onto.in_kernel else total).astype(task.dtype)
    total = result.reshape(n, channels, *result.shape[1:]).sum(0)
    return total.astype(task.dtype)
