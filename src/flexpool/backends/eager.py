"""Compose array operations of NumPy or PyTorch: one operation per node, any device.

A node's grid decides the shape of its value:

* the same inside a window: (N, C, *output_shape), an axis being 1 where the value does not differ;
* of the element alone: (N, C, *sizes), computed once per input and then seen through the windows;
* anything else: (N, C, *output_shape, K), with the elements of a window along the last axis.

Only operations that PyTorch can differentiate, batch and trace are used, so that the derivative of
a gradient graph is autograd's. A reduction masks the absent elements of a window before it starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flexpool.backends import philox
from flexpool.backends.eager_arrays import NumpyArrays
from flexpool.backends.eager_windows import Windows
from flexpool.backends.formats import converting
from flexpool.backends.task import Task
from flexpool.ir import Grid, Node, Output

__all__ = ["available", "run"]


def available() -> str | None:
    """Tell why this backend cannot run: it always can, on what its arrays need anyway."""
    return None


@converting
def run(task: Task, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Compute a graph's results by name, with the library and on the device of the leaves.

    ``leaves`` may hold more arrays than the graph reads. If it holds none, the library is NumPy.
    The seed of a random number may also be a 0-d integer array.
    """
    xp = _arrays(task, leaves)
    with xp.quiet():
        if 0 in task.geometry.output_shape:
            return {output.name: xp.zeros(task.shape_of(output)) for output in task.graph.outputs}
        walk = _Walk(task, leaves, xp)
        return {output.name: walk.result(output) for output in task.graph.outputs}


def _arrays(task: Task, leaves: Mapping[str, Any]) -> Any:
    """Choose the library; PyTorch is loaded only where it is in use already."""
    tensors = [leaf for leaf in leaves.values() if hasattr(leaf, "is_floating_point")]
    if not tensors:
        return NumpyArrays(task.dtype)
    from flexpool.backends.eager_torch import TorchArrays

    floats = [tensor for tensor in tensors if tensor.is_floating_point()]
    return TorchArrays(task.dtype, (floats or tensors)[0].device)


class _Walk:
    """Compute every node of a graph, and put the results where they go."""

    def __init__(self, task: Task, leaves: Mapping[str, Any], xp: Any) -> None:
        self._geometry = task.geometry
        self._shape = (*task.batch, *task.geometry.output_shape)
        self._leaves = leaves
        self._xp = xp
        self._windows = Windows(task.geometry, xp)
        self._values: dict[Node, Any] = {}
        self._seen: dict[Node, Any] = {}
        self._chosen: dict[tuple[Node, bool], Any] = {}
        for node in task.graph.nodes():
            self._values[node] = self._computed(node)

    def result(self, output: Output) -> Any:
        """Bring a result into its shape."""
        xp, present = self._xp, self._windows.present
        if output.onto & Grid.RANK:
            whole = (*self._shape, self._windows.positions)
            spread = xp.broadcast_to(self._values[output.node], whole)
            return xp.sum_but(spread, (1, spread.ndim - 1))
        if not output.onto & (Grid.ELEMENT | Grid.POSITION):
            spread = xp.broadcast_to(self._values[output.node], self._shape)
            return xp.copy(spread) if output.onto == Grid.WINDOW else xp.sum_but(spread, (1,))
        value = self._inside(output.node)
        if present is not None:
            value = xp.where(present, value, 0.0)
        spread = xp.broadcast_to(value, (*self._shape, self._windows.positions))
        if output.onto == Grid.ELEMENT:
            return self._windows.back(spread)
        return xp.sum_but(spread, (1, spread.ndim - 1))

    def _computed(self, node: Node) -> Any:
        xp = self._xp
        match node.op:
            case "constant":
                return xp.number(node.value)
            case "leaf":
                return self._leaf(node)
            case "random":
                index = xp.arange(math.prod(self._shape)).reshape(self._shape)
                return xp.floats(philox.bits(self._leaves[str(node.value)], index)) * 2.0**-24
            case "count":
                return self._windows.counts(padding=bool(node.value))
            case "tap":
                return xp.floats(xp.arange(self._windows.positions))
            case "sum":
                return xp.sum_last(self._masked(node.args[0], 0.0))
            case "max" | "min":
                return self._extremum(node.args[0], largest=node.op == "max")
            case "argmax" | "argmin":
                return xp.floats(self._place_of_best(node.args[0], largest=node.op == "argmax"))
            case "cumsum":
                return xp.cumsum_last(self._repeated(self._masked(node.args[0], 0.0)))
            case "rank":
                return self._rank(self._repeated(self._inside(node.args[0])))
            case "pick":
                return self._picked(node)
            case "place":
                return self._placed(node)
        once = not node.grid.inside or _of_the_element_alone(node)
        args = [self._values[arg] if once else self._inside(arg) for arg in node.args]
        return xp.FUNCTIONS[node.op](*args)

    def _leaf(self, node: Node) -> Any:
        array = self._leaves[str(node.value)]
        if node.grid & (Grid.ELEMENT | Grid.WINDOW):
            return array
        ones = (1,) * self._geometry.dimensions
        return array.reshape((1, array.shape[0], *ones, *array.shape[1:]))

    def _inside(self, node: Node) -> Any:
        """See a value from the elements of the windows, along a last axis (of 1 or K)."""
        value = self._values[node]
        if not node.grid.inside:
            return value[..., None]
        if not _of_the_element_alone(node):
            return value
        if node not in self._seen:
            self._seen[node] = self._windows.of(value)
        return self._seen[node]

    def _masked(self, node: Node, neutral: float) -> Any:
        """Put a neutral number in the place of absent elements."""
        value, present = self._inside(node), self._windows.present
        return value if present is None else self._xp.where(present, value, neutral)

    def _repeated(self, value: Any) -> Any:
        return self._xp.broadcast_to(value, (*value.shape[:-1], self._windows.positions))

    def _place_of_best(self, node: Node, largest: bool) -> Any:
        """Find the first best element, or the last NaN; -1 in a window without elements.

        The libraries' own argmax does not promise which one it finds.
        """
        key = (node, largest)
        if key not in self._chosen:
            xp, present, positions = self._xp, self._windows.present, self._windows.positions
            value = self._masked(node, -math.inf if largest else math.inf)
            best = xp.max_last(value) if largest else xp.min_last(value)
            hit = value == best[..., None]
            if present is not None:
                hit = hit & present
            places = xp.arange(positions)
            first = xp.min_last(xp.where_int(hit, places, positions))
            missing = xp.max_last(xp.where_int(xp.isnan(value), places, -1))
            found = xp.where_int(missing >= 0, missing, first)
            self._chosen[key] = xp.where_int(found < positions, found, -1)
        return self._chosen[key]

    def _extremum(self, node: Node, largest: bool) -> Any:
        """Pick the best element, so that it alone gets autograd's gradient."""
        place = self._place_of_best(node, largest)[..., None]
        value = self._masked(node, -math.inf if largest else math.inf)
        return self._xp.take_last(value, self._xp.where_int(place < 0, 0, place))[..., 0]

    def _rank(self, value: Any) -> Any:
        """Compare each element, along the last axis but one, with all others, along the last."""
        xp, present, places = self._xp, self._windows.present, self._xp.arange(value.shape[-1])
        own, other = value[..., :, None], value[..., None, :]
        own_missing, other_missing = xp.isnan(own), xp.isnan(other)
        equal = (other == own) | (other_missing & own_missing)
        larger = (other > own) | (other_missing & ~own_missing)
        before = larger | (equal & (places[None, :] < places[:, None]))
        if present is not None:
            before = before & present[..., None, :]
        return xp.sum_last(xp.floats(before))

    def _picked(self, node: Node) -> Any:
        """Look the weights up under the ranks; both repeated to one shape."""
        xp = self._xp
        weights, rank = (self._values[arg] for arg in node.args)
        weights = xp.broadcast_to(weights, (*rank.shape[:-1], weights.shape[-1]))
        return xp.take_last(weights, xp.ints(rank))

    def _placed(self, node: Node) -> Any:
        """Take for each rank, along the last axis but one, the value that has it."""
        xp, rank = self._xp, self._values[node.args[1]]
        values = xp.broadcast_to(self._masked(node.args[0], 0.0), rank.shape)
        ranks = xp.floats(xp.arange(self._windows.positions))
        hit = rank[..., None, :] == ranks[:, None]
        if self._windows.present is not None:
            hit = hit & self._windows.present[..., None, :]
        return xp.sum_last(xp.where(hit, values[..., None, :], 0.0))


def _of_the_element_alone(node: Node) -> bool:
    return bool(node.grid & Grid.ELEMENT) and not node.grid & (Grid.WINDOW | Grid.POSITION)
