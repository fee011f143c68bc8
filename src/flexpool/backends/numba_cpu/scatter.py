"""Code for gradients that each window hands to a few of its elements: to its maximum, say.

Where windows overlap, or are large, it takes less time to add one number per window, at a place
that is computed, than one per element, most of which are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Scatter", "Share", "shares"]

Share = tuple[Node, Node]


def shares(node: Node) -> list[Share] | None:
    """List what goes to single elements, as the number of the element in its window and the value.

    None if not all of a gradient goes to elements whose numbers do not depend on the element.

    Example:
        >>> from flexpool.declare import find
        >>> shares(find("max").gradient(("x",)).outputs[0].node)
        [(argmax(x), grad_y)]
        >>> shares(find("avg").gradient(("x",)).outputs[0].node) is None
        True
    """
    if node.op == "add":
        each = [shares(arg) for arg in node.args]
        return None if None in each else [share for found in each for share in found or ()]
    if node.op != "where":
        return None
    condition, value, otherwise = node.args
    if condition.op != "eq" or value.grid.inside or otherwise.value != 0:
        return None
    numbers = [arg for arg in condition.args if arg.op != "tap"]
    if len(numbers) != 1 or numbers[0].grid.inside:
        return None
    return [(numbers[0], value)]


class Scatter:
    """Write how shares are added to the gradients of planes.

    Args:
        graph: the work.
        shape: the kernel's constants.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.shape, self.names, self.writer = shape, names, writer
        self.shares: dict[str, list[Share]] = {}
        for output in graph.outputs if not shape.channels_last else ():
            found = shares(output.node) if output.onto == Grid.ELEMENT else None
            if found:
                self.shares[output.name] = found
        self.work = Graph(tuple(part for output in graph.outputs for part in self._parts(output)))

    def _parts(self, output: Output) -> list[Output]:
        """Give what has to be computed for a result."""
        if output.name not in self.shares:
            return [output]
        nodes = (node for share in self.shares[output.name] for node in share)
        return [Output(output.name, node, Grid.WINDOW) for node in nodes]

    def write_offsets(self) -> None:
        """Write, once per call of the kernel, where each element lies, from its window's first."""
        writer, extent = self.writer, self.shape.extent or ()
        for name in self.shares:
            places = [_times(f"u{d}", step) for d, step in enumerate(self.shape.dilation)]
            writer.line(f"{name}_all = row(out_{name}, (0, {', '.join('0' for _ in extent)}))")
            writer.line(f"{name}_offsets = np.empty({math.prod(extent)}, np.int64)")
            for d, size in enumerate(extent):
                writer.open(f"for u{d} in range({size}):")
            writer.line(
                f"{name}_offsets[{_tap(extent)}] = index_of(out_{name}, (0, {', '.join(places)}))"
            )
            writer.close(len(extent))

    def write_row(self, name: str, first: str, stride: int) -> None:
        """Write how the shares of a row of windows are added, from the buffers they wait in.

        Args:
            name: of the gradient.
            first: where the first element of the first window lies.
            stride: distance of neighbouring windows.
        """
        writer, step = self.writer, _times("j", stride)
        writer.line(f"first = index_of(out_{name}, {first})")
        for s in range(len(self.shares[name])):
            writer.open("for j in range(count):")
            writer.line(f"tap = int({name}_values[{2 * s}, j])")
            writer.open("if tap >= 0:")  # else the window has no element
            place = f"first + {step} + {name}_offsets[tap]"
            writer.line(f"{name}_all[{place}] += {name}_values[{2 * s + 1}, j]")
            writer.close(2)

    def write_window(self, values: Callable[[Node], str]) -> None:
        """Write how the shares of the window at ``o0``, ``o1``, ... are added.

        Args:
            values: what a node's value is called.
        """
        writer, last = self.writer, self.shape.dimensions - 1
        for name, found in self.shares.items():
            for number, value in found:
                writer.line(f"tap = int({values(number)})")
                writer.open("if tap >= 0:")
                for d in range(last, -1, -1):
                    extent = str(self.shape.extent[d]) if self.shape.extent else f"extent_{d}"
                    writer.line(
                        f"i{d} = start_{d}[o{d}] + tap % {extent} * {self.shape.dilation[d]}"
                    )
                    writer.line(f"tap = tap // {extent}")
                places = ", ".join(["p", *(f"i{d}" for d in range(last + 1))])
                writer.line(f"out_{name}[{places}] += {values(value)}")
                writer.close()


def _times(number: str, step: int) -> str:
    return f"{step} * ({number})" if step > 1 else number


def _tap(extent: tuple[int, ...]) -> str:
    """Write the number of the element at ``u0``, ``u1``, ... of a window."""
    number = "u0"
    for d, size in enumerate(extent[1:], start=1):
        number = f"({number}) * {size} + u{d}" if d > 1 else f"{number} * {size} + u{d}"
    return number
