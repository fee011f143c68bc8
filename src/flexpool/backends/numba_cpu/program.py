"""The text of a kernel: loops over planes (or images) and windows around the work for a window."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from flexpool.backends import numba_lanes
from flexpool.backends.numba_cpu.channels import Channels
from flexpool.backends.numba_cpu.expressions import expression, number
from flexpool.backends.numba_cpu.handing import Handing, hands
from flexpool.backends.numba_cpu.maxima import Maxima, has_maxima
from flexpool.backends.numba_cpu.neighbours import Neighbours
from flexpool.backends.numba_cpu.packed import Packed
from flexpool.backends.numba_cpu.passes import Passes
from flexpool.backends.numba_cpu.places import Places, has_places
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, by_rows, signature
from flexpool.backends.numba_cpu.rolled import Rolled
from flexpool.backends.numba_cpu.rows import Rows
from flexpool.backends.numba_cpu.separable import Separable, is_separable
from flexpool.backends.numba_cpu.short_rows import ShortRows
from flexpool.backends.numba_cpu.small_extremes import SmallExtremes, has_extremes
from flexpool.backends.numba_cpu.small_planes import SmallPlanes
from flexpool.backends.numba_cpu.tiles import Tiles
from flexpool.backends.numba_cpu.whole import Whole
from flexpool.ir import Graph, Grid, text

__all__ = ["Program", "program"]

_FUNCTIONS = (
    "LANES",
    "add",
    "add_row",
    "aligned",
    "bring",
    "choose",
    "copy_exactly",
    "copy_lanes",
    "exp",
    "expm1",
    "fetch",
    "fetch_ahead",
    "floor",
    "index_of",
    "largest",
    "log",
    "log1p",
    "pack",
    "place_of",
    "power",
    "row",
    "row_or",
    "row_with_edges",
    "sigmoid",
    "sign",
    "smallest",
    "sqrt",
    "stream",
    "strided",
    "tanh",
    "total",
    "unharmed",
    "uniform",
    "wait_for_streams",
)
_ALWAYS = ("begin", "end")


@dataclass(frozen=True)
class Program:
    """A kernel before it is compiled.

    Attributes:
        text: the source of a module with one function, ``kernel``.
        arguments: the function's arguments in order.
        signature: their Numba types.
        unrolled: whether windows inside the input have code of their own.
    """

    text: str
    arguments: tuple[str, ...]
    signature: str
    unrolled: bool


@functools.lru_cache(maxsize=4096)
def program(graph: Graph, shape: Shape) -> Program:
    """Write the kernel for a graph."""
    unrolled = shape.unrolled(graph)
    writer = Writer()
    writer.depth = 1
    _Kernel(graph, shape, writer, unrolled).write()
    if _mentions("\n".join(writer.lines), "streamed"):
        writer.depth = 1
        writer.open("if streamed:")
        writer.line("wait_for_streams()")
    body = "\n".join(writer.lines)
    arguments = {n: t for n, t in signature(graph, shape) if n in _ALWAYS or _mentions(body, n)}
    used = [name for name in _FUNCTIONS if _mentions(body, name)]
    head = ['"""' + _title(graph, shape), '"""', "import numpy as np"]
    if used:
        head.append(f"from flexpool.backends.numba_math import {', '.join(used)}")
    if of_lanes := [name for name in numba_lanes.__all__ if _mentions(body, name)]:
        head.append(f"from flexpool.backends.numba_lanes import {', '.join(of_lanes)}")
    head += ["", f"F = np.{shape.dtype}", "", "", f"def kernel({', '.join(arguments)}):"]
    return Program(
        text="\n".join(head) + "\n" + body + "\n",
        arguments=tuple(arguments),
        signature=f"void({', '.join(arguments.values())})",
        unrolled=unrolled,
    )


def _mentions(body: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", body) is not None


def _title(graph: Graph, shape: Shape) -> str:
    lines = [f"{output.name} = {text(output.node)}" for output in graph.outputs]
    window = "adaptive" if shape.extent is None else "x".join(map(str, shape.extent))
    stride = "" if shape.extent is None else f", stride {'x'.join(map(str, shape.stride))}"
    layout = "channels last" if shape.channels_last else "planes"
    layout += ", few" if shape.packed else ""
    layout += ", neighbours" if shape.neighbours else ""
    layout += ", few, tiled" if shape.tiled else ""
    layout += ", small planes" if shape.small_planes else ""
    layout += ", short rows" if shape.short_rows else ""
    layout += f", {shape.whole} lines" if shape.whole else ""
    lines.append(f"window {window}{stride}, {shape.dtype}, {layout}")
    return "\n".join(line.replace("\\", "") for line in lines)


class _Kernel:
    def __init__(self, graph: Graph, shape: Shape, writer: Writer, unrolled: bool) -> None:
        self.graph, self.shape, self.writer = graph, shape, writer
        self.names = names = Names(graph)
        self.by_rows = by_rows(graph, shape)
        self.rolled = Rolled(graph, shape, names, writer)
        ranked = any(node.op == "rank" for node in graph.nodes())
        passes = shape.channels_last and not ranked
        self.passes = Passes(graph, shape, names, writer) if passes else None
        self.rows: Rows | Separable | Neighbours | None = None
        self.channels: Channels | None = None
        if shape.short_rows or shape.small_planes:
            return
        if shape.channels_last and unrolled:
            self.channels = Channels(graph, shape, names, writer)
        elif is_separable(graph, shape):
            self.rows = Separable(graph, shape, names, writer)
        elif unrolled:
            self.rows = Rows(graph, shape, names, writer)
        elif shape.neighbours:
            self.rows = Neighbours(graph, shape, names, writer)

    def write(self) -> None:
        if self.shape.whole:
            self._write_whole()
        elif self.shape.tiled:
            Tiles(self.graph, self.shape, self.writer).write()
        elif self.shape.small_planes:
            self._write_small_planes()
        elif has_maxima(self.graph, self.shape):
            self._write_extremes(Maxima(self.graph, self.shape, self.writer))
        elif has_places(self.graph, self.shape):
            self._write_extremes(Places(self.graph, self.shape, self.writer))
        elif hands(self.graph, self.shape):
            self._write_extremes(Handing(self.graph, self.shape, self.names, self.writer))
        elif self.shape.channels_last:
            self._write_images()
        elif self.shape.short_rows:
            self._write_short_rows()
        else:
            self._write_planes()

    def _write_planes(self) -> None:
        last = self.shape.dimensions - 1
        if self.rows:
            self.rows.write_buffers()
        self._open_items("p")
        known = self._write_channel_values()
        if not self.by_rows:
            self._write_clearing("p")
        if self.rows:
            self._open_rows(last)
            self.rows.write_row(known)
        else:
            self._open_rows(last + 1)
            self.rolled.write(known)

    def _write_short_rows(self) -> None:
        short_rows = ShortRows(self.graph, self.shape, self.names, self.writer)
        short_rows.write_begin()
        short_rows.open_rows()
        short_rows.write_rows(self._write_channel_values())

    def _write_small_planes(self) -> None:
        if has_extremes(self.graph, self.shape):
            SmallExtremes(self.graph, self.shape, self.writer).write()
            return
        small_planes = SmallPlanes(self.graph, self.shape, self.names, self.writer)
        small_planes.write_begin()
        small_planes.open_planes()
        small_planes.write_planes(self._write_channel_values())

    def _write_whole(self) -> None:
        whole = Whole(self.graph, self.shape, self.names, self.writer)
        whole.write_buffers()
        self._open_items("p")
        whole.write_plane(self._write_channel_values())

    def _write_extremes(self, extremes: Maxima | Places | Handing) -> None:
        extremes.write_buffers()
        self._open_items("p")
        extremes.write_plane()

    def _open_items(self, letter: str) -> None:
        """Open the loop over planes or images, or over some rows of windows in some of them."""
        writer = self.writer
        if not self.by_rows:
            writer.open(f"for {letter} in range(begin, end):")
            return
        writer.line("rows = len(start_0)")
        writer.open(f"for {letter} in range(begin // rows, (end + rows - 1) // rows):")
        writer.line(f"low_row = max(0, begin - {letter} * rows)")
        writer.line(f"high_row = min(rows, end - {letter} * rows)")

    def _open_rows(self, dimensions: int) -> None:
        """Open the loops over all dimensions of the output but the last ones."""
        for d in range(dimensions):
            first = "low_row, high_row" if d == 0 and self.by_rows else f"len(start_{d})"
            self.writer.open(f"for o{d} in range({first}):")

    def _write_channel_values(self) -> set[int]:
        """Compute once per plane what belongs to its channel alone."""
        if any(node.grid & Grid.CHANNEL and node.op == "leaf" for node in self.graph.nodes()):
            self.writer.line("c = p % channels")
        known = set()
        for node in self.graph.nodes():
            if node.grid | Grid.CHANNEL != Grid.CHANNEL or node.op == "constant":
                continue
            known.add(id(node))
            args = [
                number(float(arg.value or 0)) if arg.op == "constant" else self.names[arg]
                for arg in node.args
            ]
            value = f"in_{node.value}[c]" if node.op == "leaf" else expression(node, args)
            self.writer.line(f"{self.names[node]} = {value}")
        return known

    def _write_clearing(self, item: str) -> None:
        """Clear what will be added to here, a plane or image at a time, so that it stays near."""
        onto = [output for output in self.graph.outputs if output.onto == Grid.ELEMENT]
        if onto:
            self.writer.open("if cleared:")
            for output in onto:
                self.writer.line(f"out_{output.name}[{item}] = F(0)")
            self.writer.close()

    def _write_packed(self) -> None:
        packed = Packed(self.graph, self.shape, self.names, self.writer)
        packed.write_buffers()
        self._open_items("n")
        if not self.by_rows:
            self._write_clearing("n")
        self._open_rows(self.shape.dimensions - 1)
        packed.write_row()

    def _write_images(self) -> None:
        writer, each = self.writer, range(self.shape.dimensions)
        if self.shape.packed:
            self._write_packed()
            return
        if self.channels:
            self.channels.write_buffers("channels")
        every = self.channels is not None and self.shape.inside
        if self.passes and not every:
            self.passes.write_buffers()
        self._open_items("n")
        if not self.by_rows:
            self._write_clearing("n")
        self._open_rows(self.shape.dimensions)
        if every and self.channels:
            self.channels.write_channels()
            return
        if self.channels:
            tests = [f"(low_{d} <= o{d}) & (o{d} < high_{d})" for d in each]
            writer.open(f"if {' & '.join(tests)}:")
            self.channels.write_channels()
            writer.close()
            writer.open("else:")
        if self.passes:
            self.passes.write()
        else:
            writer.open("for c in range(channels):")
            self.rolled.write(set())
