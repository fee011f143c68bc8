"""Code for all channels of one window, where these lie next to each other in memory.

Gradients onto the input are first written to a buffer per position in the window: stores to several
places of one array would keep the loop over channels from being vectorised.
"""

from __future__ import annotations

import itertools

from flexpool.backends.numba_cpu.body import Body
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.backends.numba_cpu.rows import window_number
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Channels"]


class Channels:
    """Write the work for all channels of the window at ``o0``, ``o1``, ... of image ``n``."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.taps = list(itertools.product(*map(range, shape.extent or ())))
        self.body = Body(graph, names, writer, len(self.taps), masked=False, load=self._load)

    def _spread(self, output: Output) -> int:
        """Count the buffers of a result: one per position, or one if all would be equal."""
        return len(self.taps) if output.node.grid.inside else 1

    def write_buffers(self, length: str) -> None:
        """Write, once per call of the kernel, the buffers of the gradients."""
        for output in self.graph.outputs:
            if output.onto == Grid.ELEMENT:
                count = self._spread(output)
                rows = f"np.empty(({count + 1}, {length}), F)"
                self.writer.line(f"{output.name}_rows = aligned({rows})")

    def write_channels(self) -> None:
        """Write the work."""
        writer = self.writer
        each = [f"o{d}" for d in range(self.shape.dimensions)]
        place = f"({', '.join(['n', *each, '0'])})"
        for name, node in self.graph.leaves().items():
            if node.op == "leaf" and node.grid == Grid.ELEMENT:
                for k, tap in enumerate(self.taps):
                    writer.line(f"{name}_r{k} = row(in_{name}, {self._place(tap)})")
            elif node.op == "leaf" and node.grid == Grid.WINDOW:
                writer.line(f"{name}_r = row(in_{name}, {place})")
        for output in self.graph.outputs:
            if output.onto == Grid.WINDOW:
                writer.line(f"out_{output.name}_r = row(out_{output.name}, {place})")
        writer.open("for c in range(channels):")
        self.body.write(set())
        for output in self.graph.outputs:
            self._write_result(output)
        writer.close()
        for output in self.graph.outputs:
            if output.onto == Grid.ELEMENT:
                self._place_rows(output)

    def _place(self, tap: tuple[int, ...]) -> str:
        places = ["n"]
        for d, u in enumerate(tap):
            offset = u * self.shape.dilation[d]
            places.append(f"start_{d}[o{d}]" + (f" + {offset}" if offset else ""))
        return f"({', '.join([*places, '0'])})"

    def _load(self, node: Node, k: int) -> str:
        name = node.value
        if node.op == "random":
            places = [f"o{d}" for d in range(self.shape.dimensions)]
            number = window_number("(n * channels + c)", places)
            return f"F(uniform({name}_key, {name}_offset, {number}))"
        if node.op == "count":
            if not node.value:
                return f"F({len(self.taps)})"
            each = range(self.shape.dimensions)
            return " * ".join(f"F(padded_{d}[o{d}])" for d in each)
        if node.grid == Grid.CHANNEL:
            return f"in_{name}[c]"
        if node.grid.in_kernel:
            return f"in_{name}[{k}, c]"
        return f"{name}_r[c]" if node.grid == Grid.WINDOW else f"{name}_r{k}[c]"

    def _write_result(self, output: Output) -> None:
        name, writer = output.name, self.writer
        if output.onto == Grid.WINDOW:
            writer.line(f"out_{name}_r[c] = {self.body.value(output.node, 0)}")
        elif output.onto == Grid.ELEMENT:
            for k in range(self._spread(output)):
                writer.line(f"{name}_rows[{k}, c] = {self.body.value(output.node, k)}")
        elif output.onto.in_kernel:
            for k in range(len(self.taps)):
                writer.line(f"out_{name}[n, {k}, c] += {self.body.value(output.node, k)}")
        else:
            writer.line(f"out_{name}[n, c] += {self.body.value(output.node, 0)}")

    def _place_rows(self, output: Output) -> None:
        """Write the buffers to the gradient, or add them where windows overlap."""
        assign = "=" if self.shape.disjoint else "+="
        for k, tap in enumerate(self.taps):
            self.writer.line(f"onto = row(out_{output.name}, {self._place(tap)})")
            buffer = min(k, self._spread(output) - 1)
            self.writer.line(f"{output.name}_row = row({output.name}_rows, ({buffer}, 0))")
            if self.shape.disjoint:
                self.writer.open("if streamed:")
                self.writer.line(f"stream(onto, {output.name}_row, channels)")
                self.writer.close()
                self.writer.open("else:")
            self.writer.open("for c in range(channels):")
            self.writer.line(f"onto[c] {assign} {output.name}_row[c]")
            self.writer.close(1 + self.shape.disjoint)
