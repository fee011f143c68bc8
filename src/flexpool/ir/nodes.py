"""The nodes of a formula's graph: what a formula is once it has been traced.

A graph describes the work for *one* window. Each node knows over what its value varies, its
:class:`Grid`; that is what a backend needs to place the work:

* over the elements of a window (``ELEMENT``, ``POSITION``): computed for every element;
* over ``ELEMENT`` or ``CHANNEL`` alone: the same in every window that holds the element, so it may
  be computed once per input, and a reduction of it is separable (rows first, then columns);
* over ``WINDOW`` only: computed once per window;
* over ``CHANNEL`` or nothing: computed once per channel;
* over ``RANK``: weights that belong to ranks, read through an element's rank.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = [
    "BINARY",
    "COMPARISONS",
    "LOGIC",
    "REDUCTIONS",
    "SCANS",
    "UNARY",
    "Graph",
    "Grid",
    "Node",
    "Output",
    "constant",
    "count",
    "element",
    "in_order",
    "is_constant",
    "leaf",
    "make",
    "pick",
    "place",
    "random",
    "separable",
    "text",
]


class Grid(enum.Flag):
    """Over what a value varies; a union of these.

    Attributes:
        NOTHING: one value for all.
        CHANNEL: one per channel (a parameter).
        POSITION: one per position in the window, the same in all windows (a weight).
        ELEMENT: one per element of the input, whatever the window.
        WINDOW: one per window, that is, per element of the output.
        RANK: one per rank in the window, the same in all windows: the first belongs to the element
            of rank 0. Only :func:`pick` reads such values, and only :func:`place` makes them.
    """

    NOTHING = 0
    CHANNEL = 1
    POSITION = 2
    ELEMENT = 4
    WINDOW = 8
    RANK = 16

    @property
    def inside(self) -> bool:
        """Whether the value differs from one element of a window to the next."""
        return bool(self & (Grid.POSITION | Grid.ELEMENT))

    @property
    def in_kernel(self) -> bool:
        """Whether an array of such values has one per place in the kernel: by position or rank."""
        return bool(self & (Grid.POSITION | Grid.RANK))


UNARY = frozenset(
    {"neg", "abs", "exp", "expm1", "log", "log1p", "sqrt", "sigmoid", "tanh", "sign", "floor"}
)
BINARY = frozenset({"add", "sub", "mul", "div", "pow", "maximum", "minimum"})
COMPARISONS = frozenset({"lt", "le", "eq", "ne"})
LOGIC = frozenset({"and", "or", "not"})
REDUCTIONS = frozenset({"sum", "max", "min", "argmax", "argmin"})
SCANS = frozenset({"rank", "cumsum"})


@dataclass(frozen=True, eq=False)
class Node:
    """One value in the work for a window.

    Attributes:
        op: what it is: ``constant``, ``leaf``, ``random``, ``count``, ``tap``, ``detach``,
            ``where``, ``pick``, ``place``, or a member of the sets of this module.
        args: the nodes it is computed from.
        value: the number of a constant; the name of a leaf or a random number; for ``count``,
            whether the padding counts.
        grid: over what it varies.
        mask: whether it is true or false instead of a number.
    """

    op: str
    args: tuple[Node, ...]
    value: float | str | bool | None
    grid: Grid
    mask: bool

    def __repr__(self) -> str:
        """Show the node with its arguments written out."""
        return text(self)


@dataclass(frozen=True)
class Output:
    """One result of a graph.

    Attributes:
        name: what it is called; in a gradient, the leaf it belongs to.
        node: its value in the work for one window.
        onto: where the values go. ``WINDOW``: an array of the output's shape. ``ELEMENT``: an array
            of the input's shape, to which every window *adds*. ``CHANNEL``, ``POSITION`` and
            ``RANK``: a sum over all windows, per channel, or per channel and position or rank.
    """

    name: str
    node: Node
    onto: Grid


@dataclass(frozen=True)
class Graph:
    """The work for one window: its results and, through their nodes, everything they need."""

    outputs: tuple[Output, ...]

    def nodes(self) -> list[Node]:
        """List every node once, each after its arguments."""
        return list(in_order(output.node for output in self.outputs))

    def leaves(self) -> dict[str, Node]:
        """Map the names of the arrays it reads to their nodes, random numbers included."""
        return {str(n.value): n for n in self.nodes() if n.op in ("leaf", "random")}


def constant(value: float) -> Node:
    """Make a number."""
    return Node("constant", (), float(value), Grid.NOTHING, mask=False)


def leaf(name: str, grid: Grid) -> Node:
    """Make a value that is read from an array."""
    return Node("leaf", (), name, grid, mask=False)


def random(name: str) -> Node:
    """Make a uniform random number in [0, 1), one per window."""
    return Node("random", (), name, Grid.WINDOW, mask=False)


def count(padding: bool = False) -> Node:
    """Make the number of elements in the window; with ``padding``, those in the padding count."""
    return Node("count", (), padding, Grid.WINDOW, mask=False)


def element() -> Node:
    """Make the number of an element in its window, from 0, in row-major order of the kernel."""
    return Node("tap", (), None, Grid.POSITION, mask=False)


def make(op: str, *args: Node) -> Node:
    """Make a node from its arguments; grid and kind follow from them.

    A reduction of a value that is the same for the whole window needs no loop: its sum is the value
    times the count, its maximum the value itself.
    """
    grid = Grid.NOTHING
    for arg in args:
        grid |= arg.grid
    if op == "pick":
        return Node(op, args, None, grid & ~Grid.RANK, mask=False)
    if op == "place":
        return Node(op, args, None, grid & Grid.CHANNEL | Grid.WINDOW | Grid.RANK, mask=False)
    if op in ("sum", "max", "min") and not grid.inside:
        return make("mul", args[0], count()) if op == "sum" else args[0]
    if op in REDUCTIONS:
        kept = grid & Grid.CHANNEL
        return Node(op, args, None, kept | Grid.WINDOW, mask=False)
    if op in SCANS:
        return Node(op, args, None, grid | Grid.POSITION | Grid.WINDOW, mask=False)
    is_mask = op in COMPARISONS or op in LOGIC or (op == "detach" and args[0].mask)
    return Node(op, args, None, grid, is_mask)


def pick(weights: Node, rank: Node) -> Node:
    """Read for every element the value of its rank: ``out[i] = weights[rank[i]]``."""
    return make("pick", weights, rank)


def place(values: Node, rank: Node) -> Node:
    """Arrange values by the ranks of their elements: ``out[rank[i]] = values[i]``.

    The adjoint of :func:`pick`. Ranks that a window does not have get nothing.
    """
    return make("place", values, rank)


def is_constant(node: Node, value: float | None = None) -> bool:
    """Tell whether a node is a number, and that number if one is given."""
    return node.op == "constant" and (value is None or node.value == value)


def separable(node: Node) -> bool:
    """Tell whether a reduction may go over rows first and over columns after.

    So it is where the reduced value belongs to the element alone: then a row's share is the same
    for every window that holds the row.
    """
    within = node.args[0].grid
    return node.op in ("sum", "max", "min") and not within & (Grid.WINDOW | Grid.POSITION)


def in_order(roots: Iterable[Node]) -> Iterator[Node]:
    """Go through all nodes below the roots once, arguments first."""
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args) if id(arg) not in seen)


_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "pow": "**",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}


def text(node: Node, depth: int = 12) -> str:
    """Write a node as one expression.

    Args:
        node: the node.
        depth: how many operations inside each other are written; deeper ones are left out, as what
            is used in several places would be written as often.

    Example:
        >>> text(make("sum", make("mul", leaf("x", Grid.ELEMENT), constant(2))))
        'sum((x * 2))'
        >>> text(make("sum", make("mul", leaf("x", Grid.ELEMENT), constant(2))), depth=1)
        'sum(...)'
    """
    if node.op == "constant":
        return f"{node.value:g}"
    if node.op in ("leaf", "random"):
        return str(node.value)
    if node.op == "count":
        return "count(padding)" if node.value else "count"
    if node.op == "tap":
        return "tap"
    if depth == 0:
        return "..."
    args = [text(arg, depth - 1) for arg in node.args]
    if node.op in _INFIX:
        return f"({args[0]} {_INFIX[node.op]} {args[1]})"
    return f"{node.op}({', '.join(args)})"
