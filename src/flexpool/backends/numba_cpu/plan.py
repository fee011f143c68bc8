"""What a generated kernel is made for, and the names and types of its arguments."""

from __future__ import annotations

from dataclasses import dataclass

from flexpool.backends.task import Geometry, Task
from flexpool.ir import Graph, Grid, Node, Output
from flexpool.window import Window

__all__ = ["Names", "Shape", "Writer", "by_rows", "needed", "shape_of", "signature"]

MOST_UNROLLED = 32  # positions; more would make code that is slow to compile and no faster
MOST_RANKED = 9  # with rank, whose code grows with the square


@dataclass(frozen=True)
class Shape:
    """The constants of a kernel: all that changes its text besides the graph.

    Attributes:
        extent, stride, dilation: of the window per dimension; None for an adaptive window, whose
            positions are known at run time only.
        dimensions: number of spatial dimensions.
        dtype: "float32" or "float64".
        channels_last: whether channels lie next to each other in memory.
        inside: whether every window lies inside the input with all its positions.
        packed: whether the channels are so few that windows are worked off together.
        neighbours: whether large windows of one row of a plane are worked off together.
        tiled: whether the windows tile small planes whose rows are worked off alike.
        short_rows: whether rows of windows are so short that several are worked off as one line.
        small_planes: whether windows of small planes are worked off as one line.
        column: where the first window of a row begins, if small planes are.
        whole: "short" or "long" where the only window is the whole plane, laid out as a line; else
            "", also where its work is not done by :mod:`flexpool.backends.numba_cpu.whole`.
    """

    extent: tuple[int, ...] | None
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    dimensions: int
    dtype: str
    channels_last: bool
    inside: bool
    packed: bool = False
    neighbours: bool = False
    tiled: bool = False
    short_rows: bool = False
    small_planes: bool = False
    column: int = 0
    whole: str = ""

    @property
    def disjoint(self) -> bool:
        """Whether no element is in two windows."""
        if self.extent is None:
            return False
        each = zip(self.extent, self.stride, self.dilation, strict=True)
        return all(s >= (k - 1) * d + 1 for k, s, d in each)

    def unrolled(self, graph: Graph) -> bool:
        """Whether windows that lie inside the input get code without loops."""
        if self.extent is None:
            return False
        positions = 1
        for k in self.extent:
            positions *= k
        ranked = any(node.op == "rank" for node in graph.nodes())
        return positions <= (MOST_RANKED if ranked else MOST_UNROLLED)


def shape_of(task: Task, channels_last: bool) -> Shape:
    """Read a kernel's constants off a task."""
    where: Geometry = task.geometry
    if isinstance(where.window, Window):
        window = where.window
        return Shape(
            window.kernel_size,
            window.stride,
            window.dilation,
            where.dimensions,
            task.dtype,
            channels_last,
            where.inside,
        )
    ones = (1,) * where.dimensions
    return Shape(None, ones, ones, where.dimensions, task.dtype, channels_last, where.inside)


class Writer:
    """Collect lines of code at the present depth."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + text)

    def open(self, head: str) -> None:
        """Begin a block: ``for ...`` or ``if ...``."""
        self.line(head)
        self.depth += 1

    def close(self, blocks: int = 1) -> None:
        """End blocks."""
        self.depth -= blocks


class Names:
    """Give every node of a graph a name that says what it is."""

    def __init__(self, graph: Graph) -> None:
        numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        for node in graph.nodes():
            stem = str(node.value) if node.op in ("leaf", "random") else f"{node.op}_"
            numbers[stem] = numbers.get(stem, 0) + 1
            named = node.op in ("leaf", "random")
            self._names[id(node)] = f"{stem}_" if named else f"{stem}{numbers[stem]}"

    def __getitem__(self, node: Node) -> str:
        return self._names[id(node)]


def needed(roots: list[Node], inside: bool) -> list[Node]:
    """List the nodes that differ inside a window (or those that do not) below some roots."""
    from flexpool.ir import in_order

    return [node for node in in_order(roots) if node.grid.inside == inside]


def by_rows(graph: Graph, shape: Shape) -> bool:
    """Tell whether a kernel's items are rows of windows, instead of whole planes or images.

    Sums and gradients of one plane or image are added to in one thread.
    """
    if shape.dimensions == 1 or shape.small_planes:
        return False
    return all(output.onto == Grid.WINDOW for output in graph.outputs)


def leaf_rank(grid: Grid, dimensions: int) -> int:
    """Count the axes of the array of a leaf or a result, planes first or channels last."""
    if grid == Grid.CHANNEL:
        return 1
    return 2 if grid.in_kernel else dimensions + 1


def partial_rank(output: Output, shape: Shape) -> int:
    """Count the axes of the array that collects a sum over windows, per plane or image."""
    return 1 + output.onto.in_kernel + shape.channels_last


def signature(graph: Graph, shape: Shape) -> list[tuple[str, str]]:
    """Give the names of the arguments a kernel may have, in order, and their Numba types."""
    kind, extra = shape.dtype, int(shape.channels_last)
    arguments: list[tuple[str, str]] = [(n, "int64") for n in ("begin", "end", "channels")]
    for name, node in sorted(graph.leaves().items()):
        if node.op == "random":
            arguments += [(f"{name}_key", "int64"), (f"{name}_offset", "int64")]
        else:
            spread = node.grid in (Grid.ELEMENT, Grid.WINDOW)
            rank = leaf_rank(node.grid, shape.dimensions) + (extra if spread else 0)
            arguments.append((f"in_{name}", _array(kind, rank)))
    for d in range(shape.dimensions):
        arguments += [(f"{what}_{d}", "int64[::1]") for what in ("start", "first", "stop")]
        arguments.append((f"padded_{d}", "int64[::1]"))
        arguments += [(f"{what}_{d}", "int64") for what in ("low", "high", "extent")]
    arguments += [(flag, "boolean") for flag in ("distant", "cleared", "streamed")]
    for output in graph.outputs:
        if output.onto in (Grid.ELEMENT, Grid.WINDOW):
            arguments.append((f"out_{output.name}", _array(kind, shape.dimensions + 1 + extra)))
        else:
            rank = partial_rank(output, shape)
            arguments.append((f"out_{output.name}", _array("float64", rank)))
    return arguments


def _array(kind: str, rank: int) -> str:
    return f"{kind}[{', '.join([':'] * (rank - 1) + ['::1'])}]"
