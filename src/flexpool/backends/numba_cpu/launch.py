"""Bring arrays into a kernel's layout, make the results' arrays, and run the kernel on threads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flexpool.backends import kernel_files, philox, threads
from flexpool.backends.numba_cpu.plan import Shape, shape_of
from flexpool.backends.numba_cpu.program import Program, program
from flexpool.backends.task import Geometry, Task
from flexpool.ir import Graph, Grid, Node, Output
from flexpool.window import Window

__all__ = ["available", "run", "source"]

Array = np.ndarray[Any, Any]


def available() -> str | None:
    """Return None: Numba is always installed."""
    return None


def source(task: Task, channels_last: bool = False) -> str:
    """Give the source of a task's kernel, to be read."""
    return program(task.graph, shape_of(task, channels_last)).text


def run(task: Task, leaves: Mapping[str, Any]) -> dict[str, Array]:
    """Compute a graph's results by name."""
    nodes = task.graph.leaves()
    last = _channels_last(nodes, leaves)
    shape = shape_of(task, last)
    made, kernel = _compiled(task.graph, shape)
    arguments = dict(_places(task.geometry))
    arguments["channels"] = task.batch[1]
    for name, node in nodes.items():
        if node.op == "random":
            key, offset = philox.split_seed(int(leaves[name]))
            arguments[f"{name}_key"], arguments[f"{name}_offset"] = key, offset
        else:
            arguments[f"in_{name}"] = _laid_out(leaves[name], node, task, last)
    results = {o.name: _result(o, task, shape, made.unrolled) for o in task.graph.outputs}
    for name, result in results.items():
        arguments[f"out_{name}"] = result
    rest = [arguments[name] for name in made.arguments[2:]]
    items = task.batch[0] if last else math.prod(task.batch)
    work = math.prod(task.batch) * math.prod(task.geometry.output_shape) * task.geometry.positions
    threads.run(lambda begin, end: kernel(begin, end, *rest), items, work)
    return {o.name: _shaped(results[o.name], o, task, last) for o in task.graph.outputs}


@functools.lru_cache(maxsize=4096)
def _compiled(graph: Graph, shape: Shape) -> tuple[Program, Callable[..., object]]:
    made = program(graph, shape)
    return made, kernel_files.load(made.text, "kernel", made.signature)


def _channels_last(nodes: Mapping[str, Node], leaves: Mapping[str, Any]) -> bool:
    """Take the layout of the first array that has one."""
    for name, node in nodes.items():
        if node.op == "leaf" and node.grid in (Grid.ELEMENT, Grid.WINDOW):
            array = leaves[name]
            return not array.flags.c_contiguous and np.moveaxis(array, 1, -1).flags.c_contiguous
    return False


def _laid_out(array: Array, node: Node, task: Task, last: bool) -> Array:
    """Bring a leaf into the kernel's layout, without a copy where it has it."""
    channels = task.batch[1]
    if node.grid == Grid.CHANNEL:
        return _writable(np.broadcast_to(array, (channels,)))
    if node.grid & Grid.POSITION:
        whole = np.broadcast_to(array, (channels, array.shape[1]))
        return _writable(whole.T if last else whole)
    if last:
        return _writable(np.moveaxis(array, 1, -1))
    return _writable(array).reshape(-1, *array.shape[2:])


def _writable(array: Array) -> Array:
    """Numba tells arrays that may not be written apart; one kernel for both needs a copy."""
    whole = np.ascontiguousarray(array)
    return whole if whole.flags.writeable else whole.copy()


@functools.lru_cache(maxsize=4096)
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


def _result(output: Output, task: Task, shape: Shape, unrolled: bool) -> Array:
    """Make the array of a result; what windows add to, or leave out, starts at zero."""
    n, channels = task.batch
    items = (n,) if shape.channels_last else (n * channels,)
    tail = (channels,) if shape.channels_last else ()
    if output.onto == Grid.WINDOW:
        return np.empty((*items, *task.geometry.output_shape, *tail), shape.dtype)
    if output.onto == Grid.ELEMENT:
        make = np.empty if unrolled and _tiles(task.geometry) else np.zeros
        return make((*items, *task.geometry.sizes, *tail), shape.dtype)
    positions = (task.geometry.positions,) if output.onto & Grid.POSITION else ()
    return np.zeros((*items, *positions, *tail), np.float64)


def _tiles(where: Geometry) -> bool:
    """Tell whether every element of the input is in exactly one window, and that lies inside."""
    window = where.window
    if not isinstance(window, Window) or not where.inside or max(window.dilation) > 1:
        return False
    covered = tuple(k * o for k, o in zip(window.kernel_size, where.output_shape, strict=True))
    return window.kernel_size == window.stride and covered == where.sizes


def _shaped(result: Array, output: Output, task: Task, last: bool) -> Array:
    """Give a result its logical shape; sum what was collected per plane or image."""
    n, channels = task.batch
    if output.onto in (Grid.WINDOW, Grid.ELEMENT):
        if last:
            return np.moveaxis(result, -1, 1)
        return result.reshape(n, channels, *result.shape[1:])
    if last:
        total: Array = result.sum(0)
        return (total.T if output.onto & Grid.POSITION else total).astype(task.dtype)
    total = result.reshape(n, channels, *result.shape[1:]).sum(0)
    return total.astype(task.dtype)
