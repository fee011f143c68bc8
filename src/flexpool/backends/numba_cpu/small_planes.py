"""Code for small planes: windows of several planes are worked off as one line.

As in :mod:`.short_rows`, what the taps read is first copied to ``taps``, one line for each tap, so
that a loop over all windows has whole vectors however few windows a row has. But here it is always
whole planes that are worked off. So if windows reach over an edge, the same taps are absent each
time; and gradients of the input can be gathered (see :mod:`.gathered`).
"""

from __future__ import annotations

import math

from flexpool.backends.numba_cpu.body import Body
from flexpool.backends.numba_cpu.extremes import FARTHEST
from flexpool.backends.numba_cpu.gathered import MARGIN, Gathered
from flexpool.backends.numba_cpu.maxima import has_maxima
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.backends.numba_cpu.rows import VECTOR, Rows
from flexpool.backends.numba_cpu.scatter import shares
from flexpool.backends.numba_cpu.separable import is_separable
from flexpool.backends.numba_cpu.short_rows import most_bytes, row_bytes
from flexpool.backends.numba_cpu.taps import Taps
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["SmallPlanes", "has_small_planes"]

MOST_KEPT = 16384  # numbers in all lines: they stay in the second cache
MOST_TOGETHER = 512  # windows of several planes


def has_small_planes(graph: Graph, shape: Shape, windows: tuple[int, ...]) -> bool:
    """Tell whether planes of so many windows are worked off together."""
    if shape.channels_last or shape.dimensions != 2 or not shape.unrolled(graph):
        return False
    if not _does_work(graph, shape) or shape.stride[1] > FARTHEST:
        return False
    # Where nothing is copied, as one line has all that is known, longer rows gain, too.
    most = most_bytes(shape) * (2 if _lines(graph, shape) == 1 else 1)
    return row_bytes(shape, windows[1]) < most and math.prod(windows) <= _room(graph, shape)


def _does_work(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is a gradient, or results of padded windows."""
    onto = {output.onto for output in graph.outputs}
    if onto == {Grid.ELEMENT}:
        return not any(shares(output.node) for output in graph.outputs)
    if onto != {Grid.WINDOW} or shape.inside:
        return False
    return not has_maxima(graph, shape) and not is_separable(graph, shape)


def _lines(graph: Graph, shape: Shape) -> int:
    """Count the lines of what is read for each element, and of all results."""
    read = [node for node in graph.leaves().values() if node.grid == Grid.ELEMENT]
    results = sum(_lines_of(output, shape) for output in graph.outputs)
    return len(read) * math.prod(shape.extent or ()) + results


def _lines_of(output: Output, shape: Shape) -> int:
    """Count the lines of a result: one for each tap, or one if all would be equal."""
    return math.prod(shape.extent or ()) if output.node.grid.inside else 1


def _room(graph: Graph, shape: Shape) -> int:
    """Count the windows that lines have room for."""
    return MOST_KEPT // _lines(graph, shape) // VECTOR * VECTOR


class SmallPlanes:
    """Write the work for the planes from ``begin`` to ``end``.

    Args:
        graph: the work, for which :func:`has_small_planes` is true.
        shape: the kernel's constants.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.writer = graph, shape, writer
        self.rows = Rows(graph, shape, names, writer)
        self.positions, self.columns = self.rows.positions, self.rows.columns
        self.masked = not shape.inside
        self.body = Body(graph, names, writer, self.positions, self.masked, self._load)
        self.length = _room(graph, shape) + 2 * VECTOR + MARGIN
        leaves = [node for node in graph.leaves().values() if node.op == "leaf"]
        self.split = [str(node.value) for node in leaves if node.grid == Grid.ELEMENT]
        self.taps = Taps(self.split, len(self.rows.rows), self.length, shape, writer)
        self.read = [str(node.value) for node in leaves if node.grid == Grid.WINDOW]
        self.of_channel = any(node.grid & Grid.CHANNEL for node in leaves)
        self.gathered = {
            output.name: Gathered(output, self.length, shape, writer)
            for output in graph.outputs
            if output.onto == Grid.ELEMENT
        }

    def write_begin(self) -> None:
        """Write, once per call of the kernel, what its planes need."""
        writer, length = self.writer, self.length
        writer.line("rows, windows = len(start_0), len(start_1)")
        writer.line("plane = rows * windows")
        several = f"max(1, min(end - begin, {MOST_TOGETHER} // plane))"
        writer.line(f"together = {'1' if self.of_channel else several}")
        if self.split:
            self.taps.write_buffers()
        for name in self.read:
            writer.line(f"{name}_edge = np.zeros({length}, F)")
            writer.line(f"in_{name}_all = row(in_{name}, (0, 0, 0))")
        for output in self.graph.outputs:
            size = f"({_lines_of(output, self.shape) + 1}, {length})"
            writer.line(f"{output.name}_values = aligned(np.empty({size}, F))")
        for gathered in self.gathered.values():
            gathered.write_covering()
        if self.masked:
            self._write_presence()

    def _write_presence(self) -> None:
        """Write which taps of each window are present, and how many, as numbers.

        Tap v of row u is present in window j where ``firsts[u, j] <= v < stops[j]``.
        """
        writer, counts = self.writer, self._counts()
        writer.line(f"firsts = np.empty(({len(self.rows.rows)}, {self.length}), F)")
        for name in ("stops", *counts):
            writer.line(f"{name} = np.empty({self.length}, F)")
        writer.line("j = 0")
        writer.open("for q in range(together):")
        writer.open("for o0 in range(rows):")
        writer.open("for o1 in range(windows):")
        for u, row in enumerate(self.rows.rows):
            first = f"choose({self.rows.row_inside(row)}, F(first_1[o1]), F(np.inf))"
            writer.line(f"firsts[{u}, j] = {first}")
        writer.line("stops[j] = stop_1[o1]")
        for name, count in counts.items():
            writer.line(f"{name}[j] = {count}")
        writer.line("j += 1")
        writer.close(3)

    def _counts(self) -> dict[str, str]:
        """Say how a window's elements are counted, with and without padding, if they are."""
        found = {}
        for node in self.graph.nodes():
            if node.op == "count" and node.value:
                found["padded_counts"] = "padded_0[o0] * padded_1[o1]"
            elif node.op == "count":
                present = (f"(stop_{d}[o{d}] - first_{d}[o{d}])" for d in range(2))
                found["present_counts"] = " * ".join(present)
        return found

    def open_planes(self) -> None:
        """Open the loop over planes that are worked off together: one, if its channel matters."""
        self.writer.open("for p in range(begin, end, together):")
        self.writer.line("count = min(together, end - p)")

    def write_planes(self, known: set[int]) -> None:
        """Write the work for these planes."""
        writer = self.writer
        if self.split:
            self._write_split()
        writer.line(f"lanes = (count * plane + {VECTOR - 1}) // {VECTOR} * {VECTOR}")
        for name in self.split:
            writer.line(f"{name}_r = row({name}_taps, (0, 0))")
        for name in self.read:
            begin, edge = f"index_of(in_{name}, (p, 0, 0))", f"row({name}_edge, (0,))"
            writer.line(f"{name}_r = row_with_edges(in_{name}_all, {begin}, lanes, {edge})")
        writer.open("for j in range(lanes):")
        for k in range(self.positions if self.masked else 0):
            u, v = divmod(k, self.columns)
            writer.line(f"has_{k} = (firsts[{u}, j] <= F({v})) & (F({v}) < stops[j])")
        self.body.write(known)
        for output in self.graph.outputs:
            for k in range(_lines_of(output, self.shape)):
                value = self.body.value(output.node, k)
                writer.line(f"{output.name}_values[{k}, j + {MARGIN}] = {value}")
        writer.close()
        for output in self.graph.outputs:
            if output.onto == Grid.ELEMENT:
                self.gathered[output.name].write_planes()
            else:
                self._write_result(output.name)

    def _write_split(self) -> None:
        """Write how the rows of windows are split into taps, one behind the other."""
        self.writer.open("for q in range(count):")
        self.writer.open("for o0 in range(rows):")
        places = [
            f"(p + q, start_0[o0] + {u * self.shape.dilation[0]}, start_1[0])"
            for (u,) in self.rows.rows
        ]
        self.taps.write_row(places, "(q * rows + o0) * windows")
        self.writer.close(2)

    def _write_result(self, name: str) -> None:
        """Write how results, one for each window, are brought to where they belong."""
        writer = self.writer
        writer.line(f"onto = row(out_{name}, (p, 0, 0))")
        writer.open("for j in range(count * plane):")
        writer.line(f"onto[j] = {name}_values[0, j + {MARGIN}]")
        writer.close()

    def _load(self, node: Node, k: int) -> str:
        """Write how a leaf, a count or a random number is read."""
        if node.op == "random":
            return f"F(uniform({node.value}_key, {node.value}_offset, p * plane + j))"
        if node.op == "count":
            counts = "padded_counts" if node.value else "present_counts"
            return f"{counts}[j]" if self.masked else f"F({self.positions})"
        if node.grid == Grid.ELEMENT:
            return f"strided({node.value}_r, 1, j, {k * self.length})"
        return self.rows.load(node, k)
