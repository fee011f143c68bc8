"""The text of a kernel: loops over planes (or images) and windows around the work for a window."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from flexpool.backends.numba_cpu.expressions import expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, signature
from flexpool.backends.numba_cpu.rolled import Rolled
from flexpool.backends.numba_cpu.unrolled import Unrolled
from flexpool.ir import Graph, Grid, text

__all__ = ["Program", "program"]

_FUNCTIONS = (
    "add",
    "choose",
    "exp",
    "floor",
    "log",
    "power",
    "sigmoid",
    "sign",
    "sqrt",
    "tanh",
    "total",
    "uniform",
)


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
    arguments, types = signature(graph, shape)
    writer = Writer()
    writer.open(f"def kernel({', '.join(arguments)}):")
    unrolled = shape.unrolled(graph)
    _Kernel(graph, shape, writer, unrolled).write()
    body = "\n".join(writer.lines)
    used = [name for name in _FUNCTIONS if f"{name}(" in body]
    head = ['"""' + _title(graph, shape), '"""', "import numpy as np"]
    if used:
        head.append(f"from flexpool.backends.numba_math import {', '.join(used)}")
    head += ["", f"F = np.{shape.dtype}", "", ""]
    return Program("\n".join(head) + body + "\n", tuple(arguments), types, unrolled)


def _title(graph: Graph, shape: Shape) -> str:
    lines = [f"{output.name} = {text(output.node)}" for output in graph.outputs]
    window = "adaptive" if shape.extent is None else "x".join(map(str, shape.extent))
    stride = "" if shape.extent is None else f", stride {'x'.join(map(str, shape.stride))}"
    layout = "channels last" if shape.channels_last else "planes"
    lines.append(f"window {window}{stride}, {shape.dtype}, {layout}")
    return "\n".join(line.replace("\\", "") for line in lines)


class _Kernel:
    def __init__(self, graph: Graph, shape: Shape, writer: Writer, unrolled: bool) -> None:
        self.graph, self.shape, self.writer = graph, shape, writer
        names = Names(graph)
        self.names = names
        self.rolled = Rolled(graph, shape, names, writer)
        self.unrolled = Unrolled(graph, shape, names, writer) if unrolled else None

    def write(self) -> None:
        if self.shape.channels_last:
            self._write_images()
        else:
            self._write_planes()

    def _write_planes(self) -> None:
        writer, last = self.writer, self.shape.dimensions - 1
        if self.unrolled:
            self.unrolled.write_buffers(f"len(start_{last})")
        writer.open("for p in range(begin, end):")
        known = self._write_channel_values()
        self._write_clearing("p")
        for d in range(last):
            writer.open(f"for o{d} in range(len(start_{d})):")
        if self.unrolled:
            writer.line("low = 0")
            writer.line("high = 0")
            writer.open(f"if {self._inside(range(last), f'low_{last} < high_{last}')}:")
            writer.line(f"low = low_{last}")
            writer.line(f"high = high_{last}")
            self.unrolled.write_row(known)
            writer.close()
            writer.open(f"for q in range(len(start_{last}) - (high - low)):")
            writer.line(f"o{last} = q if q < low else q + (high - low)")
        else:
            writer.open(f"for o{last} in range(len(start_{last})):")
        self.rolled.write(known)
        writer.close(self.shape.dimensions + 1)

    def _write_channel_values(self) -> set[int]:
        """Compute once per plane what belongs to its channel alone."""
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

    def _write_images(self) -> None:
        writer, each = self.writer, range(self.shape.dimensions)
        if self.unrolled:
            self.unrolled.write_buffers("channels")
        writer.open("for n in range(begin, end):")
        self._write_clearing("n")
        for d in each:
            writer.open(f"for o{d} in range(len(start_{d})):")
        if self.unrolled:
            writer.open(f"if {self._inside(each, '')}:")
            self.unrolled.write_channels()
            writer.close()
            writer.open("else:")
        writer.open("for c in range(channels):")
        self.rolled.write(set())
        writer.close(self.shape.dimensions + 2 + bool(self.unrolled))

    def _inside(self, dimensions: range, more: str) -> str:
        tests = [f"(low_{d} <= o{d}) & (o{d} < high_{d})" for d in dimensions]
        return " & ".join([*tests, *([f"({more})"] if more else [])])
