"""The definition of what a graph means: loops over windows, one node at a time, in float64.

Everything the other backends compute is compared with this one, so it is written to be read and not
to be fast. A value that differs inside a window is a 1-d array over the window's elements in
row-major order; any other value is a number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexpool.backends import philox
from flexpool.backends.formats import converting
from flexpool.backends.task import Geometry, Task
from flexpool.ir import Grid, Node

__all__ = ["available", "run"]


def available() -> str | None:
    """Tell why this backend cannot run: it always can."""
    return None


@converting
def run(task: Task, leaves: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Compute a graph's results by name, in float64 whatever the task's dtype."""
    nodes = task.graph.nodes()
    arrays = {n.value: _as_array(n, leaves[str(n.value)], task) for n in nodes if _is_read(n)}
    outputs = task.graph.outputs
    results = {output.name: np.zeros(task.shape_of(output)) for output in outputs}
    with np.errstate(all="ignore"):
        for image, channel in np.ndindex(task.batch):
            for window in _windows(task.geometry, image, channel):
                values: dict[Node, Any] = {}
                for node in nodes:
                    if _is_read(node):
                        values[node] = _read(arrays[node.value], node, window)
                    else:
                        args = [values[arg] for arg in node.args]
                        values[node] = _OPERATIONS[node.op](window, node, *args)
                for output in outputs:
                    _put(results[output.name], output.onto, values[output.node], window)
    return results


@dataclass(frozen=True)
class _Window:
    """Say where one window lies.

    Attributes:
        image, channel: which image and channel it is of.
        place: its index in the output, one number per dimension.
        elements: the indices of its elements in the input, one array per dimension.
        taps: the numbers of its elements in the whole kernel.
        padded_count: how many elements it has, the padding included.
        positions: how many the whole kernel has.
    """

    image: int
    channel: int
    place: tuple[int, ...]
    elements: tuple[np.ndarray, ...]
    taps: np.ndarray
    padded_count: int
    positions: int


def _windows(geometry: Geometry, image: int, channel: int) -> Iterator[_Window]:
    """Go over the windows of one image and channel, in row-major order."""
    for place in np.ndindex(geometry.output_shape):
        each = list(zip(geometry.placements, place, strict=True))
        numbers = [range(p.first[i], p.stop[i]) for p, i in each]
        inside = np.array(list(itertools.product(*numbers)), dtype=np.int64)
        inside = inside.reshape(-1, geometry.dimensions)
        elements = [
            placement.start[i] + placement.dilation * inside[:, dimension]
            for dimension, (placement, i) in enumerate(each)
        ]
        taps = np.zeros(len(inside), dtype=np.int64)
        for dimension, size in enumerate(geometry.extent):
            taps = taps * size + inside[:, dimension]
        counts = zip(geometry.padded_counts, place, strict=True)
        padded = int(np.prod([count[i] for count, i in counts]))
        positions = geometry.positions
        yield _Window(image, channel, place, tuple(elements), taps, padded, positions)


def _is_read(node: Node) -> bool:
    return node.op in ("leaf", "random")


def _as_array(node: Node, given: Any, task: Task) -> np.ndarray:
    if node.op == "leaf":
        return np.asarray(given, dtype=np.float64)
    shape = (*task.batch, *task.geometry.output_shape)
    index = np.arange(np.prod(shape, dtype=np.int64), dtype=np.int64)
    return np.asarray(philox.uniform(int(given), index)).reshape(shape)


def _read(array: np.ndarray, node: Node, window: _Window) -> Any:
    if node.grid == Grid.ELEMENT:
        return array[window.image, window.channel][window.elements]
    if node.grid == Grid.WINDOW:
        return array[window.image, window.channel][window.place]
    channel = window.channel if len(array) > 1 else 0
    return array[channel, window.taps] if node.grid & Grid.POSITION else array[channel]


def _pick(weights: np.ndarray, rank: np.ndarray) -> np.ndarray:
    return weights[rank.astype(np.int64)]


def _place(window: _Window, values: Any, rank: np.ndarray) -> np.ndarray:
    placed = np.zeros(window.positions)
    placed[rank.astype(np.int64)] = values
    return placed


def _put(result: np.ndarray, onto: Grid, value: Any, window: _Window) -> None:
    """Write the window's own result, or add to those that it shares with other windows."""
    if onto == Grid.WINDOW:
        result[window.image, window.channel][window.place] = value
    elif onto == Grid.ELEMENT:
        result[window.image, window.channel][window.elements] += value
    elif onto & Grid.POSITION:
        result[window.channel, window.taps] += value
    else:
        result[window.channel] += value


def _best(values: np.ndarray, better: Callable[[Any, Any], bool]) -> int:
    """Find the first best value, or the last NaN; -1 if there are no values."""
    if len(values) == 0:
        return -1
    best = 0
    for i in range(1, len(values)):
        if better(values[i], values[best]) or np.isnan(values[i]):
            best = i
    return best


def _argmax(values: np.ndarray) -> int:
    return _best(values, lambda value, best: value > best)


def _argmin(values: np.ndarray) -> int:
    return _best(values, lambda value, best: value < best)


def _value_at(values: np.ndarray, chosen: int, otherwise: float) -> float:
    return values[chosen] if chosen >= 0 else otherwise


def _tap_at(window: _Window, chosen: int) -> float:
    return float(window.taps[chosen]) if chosen >= 0 else -1.0


def _rank(values: np.ndarray) -> np.ndarray:
    """Count for each value those before it: larger ones, then equal ones that come first."""

    def before(j: int, i: int) -> bool:
        missing_j, missing_i = np.isnan(values[j]), np.isnan(values[i])
        if missing_j or missing_i:
            return bool(missing_j and (not missing_i or j < i))
        return bool(values[j] > values[i] or (values[j] == values[i] and j < i))

    numbers = range(len(values))
    return np.array([float(sum(before(j, i) for j in numbers)) for i in numbers])


def _spread(window: _Window, value: Any) -> np.ndarray:
    """Repeat what is the same for the whole window for each of its elements."""
    return np.broadcast_to(value, window.taps.shape)


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "sign": np.sign,
    "floor": np.floor,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": np.where,
    "detach": lambda a: a,
}

# Each is called with the window, the node and the values of its arguments.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "constant": lambda window, node: np.float64(node.value),
    "count": lambda window, node: np.float64(
        window.padded_count if node.value else len(window.taps)
    ),
    "tap": lambda window, node: window.taps.astype(np.float64),
    "sum": lambda window, node, a: np.sum(a),
    "max": lambda window, node, a: _value_at(a, _argmax(a), -np.inf),
    "min": lambda window, node, a: _value_at(a, _argmin(a), np.inf),
    "argmax": lambda window, node, a: _tap_at(window, _argmax(a)),
    "argmin": lambda window, node, a: _tap_at(window, _argmin(a)),
    "rank": lambda window, node, a: _rank(_spread(window, a)),
    "cumsum": lambda window, node, a: np.cumsum(_spread(window, a)),
    "pick": lambda window, node, weights, rank: _pick(weights, rank),
    "place": lambda window, node, values, rank: _place(window, values, rank),
    **{
        op: lambda window, node, *args, compute=compute: compute(*args)
        for op, compute in _ELEMENTWISE.items()
    },
}
