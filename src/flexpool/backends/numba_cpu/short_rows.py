"""Code for short rows of windows: several rows, of several planes, are worked off as one line.

What the taps of a row of windows read is first copied to ``taps``, one line for each tap, next to
that of the row before. A loop goes over all windows there then, so that it has whole vectors
however few windows a row has. Results of neighbouring rows are neighbours anyway.
"""

from __future__ import annotations

import numpy as np

from flexpool.backends.numba_cpu.body import Body
from flexpool.backends.numba_cpu.extremes import FARTHEST
from flexpool.backends.numba_cpu.maxima import has_maxima
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.backends.numba_cpu.rows import VECTOR, Rows
from flexpool.backends.numba_cpu.taps import Taps
from flexpool.ir import Graph, Grid, Node

__all__ = ["MOST", "MOST_OVERLAPPING", "ShortRows", "has_short_rows", "most_bytes", "row_bytes"]

# Bytes of a row of the input. In longer ones, what vectors leave over takes less time than copying;
# where windows overlap, reading each element several times at a stride takes longer than that.
MOST = 192
MOST_OVERLAPPING = 384

MOST_KEPT = 4096  # elements: they stay in the first cache
MOST_TOGETHER = 512  # windows


def has_short_rows(graph: Graph, shape: Shape, windows: int) -> bool:
    """Tell whether rows of so many windows are worked off together."""
    if shape.channels_last or not shape.inside or not shape.unrolled(graph):
        return False
    if has_maxima(graph, shape):
        return False
    if any(output.onto != Grid.WINDOW for output in graph.outputs):
        return False
    return row_bytes(shape, windows) < most_bytes(shape) and shape.stride[-1] <= FARTHEST


def row_bytes(shape: Shape, windows: int) -> int:
    """Count the bytes of the input that a row of so many windows spans."""
    return windows * shape.stride[-1] * np.dtype(shape.dtype).itemsize


def most_bytes(shape: Shape) -> int:
    """Tell from which length on a row does not gain by being copied and worked off with others."""
    return MOST if shape.disjoint else MOST_OVERLAPPING


class ShortRows:
    """Write the work for rows of windows, which are numbered through all planes.

    Args:
        graph: the work, for which :func:`has_short_rows` is true.
        shape: the kernel's constants.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.writer = graph, shape, writer
        self.last = shape.dimensions - 1
        self.rows = Rows(graph, shape, names, writer)
        self.positions = self.rows.positions
        self.body = Body(graph, names, writer, self.positions, False, self._load)
        self.together = min(MOST_TOGETHER, MOST_KEPT // self.positions)
        self.length = self.together + VECTOR
        leaves = [node for node in graph.leaves().values() if node.op == "leaf"]
        self.split = [str(node.value) for node in leaves if node.grid == Grid.ELEMENT]
        self.taps = Taps(self.split, len(self.rows.rows), self.length, shape, writer)
        self.read = [str(node.value) for node in leaves if node.grid == Grid.WINDOW]
        self.of_channel = any(node.grid & Grid.CHANNEL for node in leaves)

    def write_begin(self) -> None:
        """Write, once per call of the kernel, at which row it begins, and where it keeps taps."""
        writer, last = self.writer, self.last
        writer.line(f"windows = len(start_{last})")
        writer.line(f"base = start_{last}[0]")
        writer.line(f"together = {self.together} // windows")
        self.taps.write_buffers()
        if last:
            writer.line("p, o0 = begin // len(start_0), begin % len(start_0)")
        else:
            writer.line("p = begin")
        for d in range(1, last):
            writer.line(f"o{d} = 0")
        inner = "".join(f" * len(start_{d})" for d in range(1, last))
        writer.line(f"at, stop = begin{inner}, end{inner}")

    def open_rows(self) -> None:
        """Open the loop over rows that are worked off together: of one plane, if it matters."""
        limits = ["together", "stop - at"]
        if self.of_channel:
            limits.append(self._rows_left())
        self.writer.open("while at < stop:")
        self.writer.line(f"count = min({', '.join(limits)})")

    def write_rows(self, known: set[int]) -> None:
        """Write the work for these rows."""
        writer = self.writer
        writer.open("for r in range(count):")
        self._write_split()
        self._write_next_row()
        writer.close()
        for name in self.split:
            writer.line(f"{name}_r = row({name}_taps, (0, 0))")
        place = f"({'0, ' * (self.last + 1)}at * windows)"
        for name in self.read:
            writer.line(f"{name}_r = row(in_{name}, {place})")
        for output in self.graph.outputs:
            writer.line(f"out_{output.name}_r = row(out_{output.name}, {place})")
        writer.open("for j in range(count * windows):")
        self.body.write(known)
        for output in self.graph.outputs:
            writer.line(f"out_{output.name}_r[j] = {self.body.value(output.node, 0)}")
        writer.close()
        writer.line("at += count")

    def _rows_left(self) -> str:
        """Write how many rows of windows the plane has from here on."""
        left = "1"
        for d in range(self.last):
            left = f"({left}) * len(start_{d}) - o{d}" if d else "len(start_0) - o0"
        return left

    def _write_split(self) -> None:
        """Write how a row of windows is split into taps, behind the row before."""
        if self.last > 1:
            for name in self.split:
                self.rows.write_fetches(name, "base", "windows")
        places = [self.rows.row_place(row, "base") for row in self.rows.rows]
        self.taps.write_row(places, "r * windows")

    def _write_next_row(self) -> None:
        """Write which row of windows comes next, of this plane or of the one behind."""
        writer = self.writer
        for d in reversed(range(self.last)):
            writer.line(f"o{d} += 1")
            writer.open(f"if o{d} == len(start_{d}):")
            writer.line(f"o{d} = 0")
        writer.line("p += 1")
        writer.close(self.last)

    def _load(self, node: Node, k: int) -> str:
        """Write how a leaf, a count or a random number is read."""
        if node.op == "random":
            return f"F(uniform({node.value}_key, {node.value}_offset, at * windows + j))"
        if node.op == "count":
            return f"F({self.positions})"  # nothing is padded
        if node.grid == Grid.ELEMENT:
            return f"strided({node.value}_r, 1, j, {k * self.length})"
        return self.rows.load(node, k)
