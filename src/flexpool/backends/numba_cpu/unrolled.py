"""Code for windows that lie inside the input, without loops over their elements.

The innermost loop goes over neighbouring windows (or over channels, where these lie next to each
other in memory), so that one vector instruction serves several windows.

Gradients onto the input are first written to row buffers, one per position in the window: stores to
several interleaved places of one array would keep the loop from being vectorised.
"""

from __future__ import annotations

import itertools
import math

from flexpool.backends.numba_cpu.expressions import better, comes_before, expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Unrolled"]


class Unrolled:
    """Write the work for a row of windows, or for all channels of one window."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        if shape.extent is None:
            raise ValueError("an adaptive window has no fixed positions")
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.taps = list(itertools.product(*map(range, shape.extent)))
        self.rows = list(itertools.product(*map(range, shape.extent[:-1])))
        self.position = "c" if shape.channels_last else "j"

    def _results(self, onto: Grid) -> list[Output]:
        return [output for output in self.graph.outputs if output.onto == onto]

    def _buffered(self) -> list[Output]:
        """List the results that are collected in row buffers."""
        if self.shape.channels_last:
            return self._results(Grid.ELEMENT)
        return [output for output in self.graph.outputs if output.onto != Grid.WINDOW]

    def _spread(self, output: Output) -> list[int]:
        """Number the buffers of a result: one per position, or one if all would be equal."""
        return list(range(len(self.taps))) if output.node.grid.inside else [0]

    def write_buffers(self, length: str) -> None:
        """Write, once per call of the kernel, the row buffers of the gradients."""
        for output in self._buffered():
            count = len(self._spread(output))
            self.writer.line(f"{output.name}_rows = np.empty(({count}, {length}), F)")
            for k in self._spread(output):
                self.writer.line(f"{output.name}_row{k} = {output.name}_rows[{k}]")

    def write_row(self, known: set[int]) -> None:
        """Write the work for windows ``low`` to ``high`` of one row of planes."""
        last = self.shape.dimensions - 1
        writer, places = self.writer, [f"o{d}" for d in range(last)]
        writer.line(f"base = start_{last}[low]")
        for name, node in self.graph.leaves().items():
            if node.op == "leaf" and node.grid == Grid.ELEMENT:
                for r, row in enumerate(self.rows):
                    writer.line(f"{name}_r{r} = in_{name}[{self._row_place('p', row)}, base:]")
            elif node.op == "leaf" and node.grid == Grid.WINDOW:
                writer.line(f"{name}_r = in_{name}[{', '.join(['p', *places])}, low:high]")
        for output in self._results(Grid.WINDOW):
            name = f"out_{output.name}"
            writer.line(f"{name}_r = {name}[{', '.join(['p', *places])}, low:high]")
        writer.open("for j in range(high - low):")
        self._write_body(known)
        writer.close()
        self._add_up()
        for output in self._results(Grid.ELEMENT):
            self._place_rows(output)

    def write_channels(self) -> None:
        """Write the work for all channels of the window at ``o0``, ``o1``, ... of image ``n``."""
        writer = self.writer
        place = ", ".join(["n", *(f"o{d}" for d in range(self.shape.dimensions))])
        for name, node in self.graph.leaves().items():
            if node.op == "leaf" and node.grid == Grid.ELEMENT:
                for k, tap in enumerate(self.taps):
                    writer.line(f"{name}_r{k} = in_{name}[{self._row_place('n', tap)}]")
            elif node.op == "leaf" and node.grid == Grid.WINDOW:
                writer.line(f"{name}_r = in_{name}[{place}]")
        for output in self._results(Grid.WINDOW):
            writer.line(f"out_{output.name}_r = out_{output.name}[{place}]")
        writer.open("for c in range(channels):")
        self._write_body(set())
        writer.close()
        for output in self._results(Grid.ELEMENT):
            for k, tap in enumerate(self.taps):
                writer.line(f"row = out_{output.name}[{self._row_place('n', tap)}]")
                source = f"{output.name}_row{k if output.node.grid.inside else 0}"
                writer.open("for c in range(channels):")
                writer.line(f"row[c] {self._assign} {source}[c]")
                writer.close()

    @property
    def _assign(self) -> str:
        return "=" if self.shape.disjoint else "+="

    def _row_place(self, item: str, row: tuple[int, ...]) -> str:
        places = [item]
        for d, u in enumerate(row):
            offset = u * self.shape.dilation[d]
            places.append(f"start_{d}[o{d}]" + (f" + {offset}" if offset else ""))
        return ", ".join(places)

    def _write_body(self, known: set[int]) -> None:
        for node in self.graph.nodes():
            if node.op == "constant" or id(node) in known:
                continue
            if node.op == "rank":
                self._write_rank(node)
            elif node.grid.inside:
                for k in range(len(self.taps)):
                    self.writer.line(f"{self.names[node]}_{k} = {self._value(node, k)}")
            elif node.op in ("argmax", "argmin", "max", "min"):
                self._write_extremum(node)
            else:
                self.writer.line(f"{self.names[node]} = {self._value(node, None)}")
        for output in self.graph.outputs:
            self._write_result(output)

    def _argument(self, node: Node, k: int | None) -> str:
        if node.op == "constant":
            return number(float(node.value or 0))
        return f"{self.names[node]}_{k}" if node.grid.inside else self.names[node]

    def _value(self, node: Node, k: int | None) -> str:
        if node.op == "leaf":
            return self._load(node, k)
        if node.op == "tap":
            return f"F({k})"
        if node.op == "count":
            return f"F({len(self.taps)})"
        if node.op == "random":
            return f"F(uniform({node.value}_key, {node.value}_offset, {self._number()}))"
        if node.op == "sum":
            (arg,) = node.args
            return " + ".join(self._argument(arg, k) for k in range(len(self.taps)))
        if node.op == "cumsum":
            (arg,) = node.args
            before = f"{self.names[node]}_{k - 1} + " if k else ""
            return before + self._argument(arg, k)
        return expression(node, [self._argument(arg, k) for arg in node.args])

    def _load(self, node: Node, k: int | None) -> str:
        name, shape = node.value, self.shape
        if node.grid == Grid.CHANNEL:
            return f"in_{name}[c]"
        if node.grid & Grid.POSITION:
            return f"in_{name}[{k}, c]" if shape.channels_last else f"in_{name}[c, {k}]"
        if node.grid == Grid.WINDOW:
            return f"{name}_r[{self.position}]"
        if shape.channels_last:
            return f"{name}_r{k}[c]"
        row, column = divmod(k or 0, self.taps[-1][-1] + 1)
        return f"{name}_r{row}[{self._column(column)}]"

    def _column(self, tap: int) -> str:
        stride, offset = self.shape.stride[-1], tap * self.shape.dilation[-1]
        return (f"{stride} * j" if stride > 1 else "j") + (f" + {offset}" if offset else "")

    def _number(self) -> str:
        index = "(n * channels + c)" if self.shape.channels_last else "p"
        last = self.shape.dimensions - 1
        for d in range(self.shape.dimensions):
            place = "low + j" if d == last and not self.shape.channels_last else f"o{d}"
            index = f"({index} * len(start_{d}) + {place})"
        return index

    def _write_extremum(self, node: Node) -> None:
        """Compare one after the other: the first of equals stays, a NaN takes over."""
        name, (arg,) = self.names[node], node.args
        numbered = node.op in ("argmax", "argmin")
        best = f"{name}_best" if numbered else name
        self.writer.line(f"{best} = {self._argument(arg, 0)}")
        if numbered:
            self.writer.line(f"{name} = F(0)")
        for k in range(1, len(self.taps)):
            new = self._argument(arg, k)
            wins = better(node.op, new, best)
            if numbered:
                self.writer.line(f"{name} = choose({wins}, F({k}), {name})")
            self.writer.line(f"{best} = choose({wins}, {new}, {best})")

    def _write_rank(self, node: Node) -> None:
        """Compare each pair once: whoever loses has one more before it."""
        name, (arg,) = self.names[node], node.args
        count = len(self.taps)
        for k in range(count):
            self.writer.line(f"{name}_{k} = F(0)")
        for earlier, later in itertools.combinations(range(count), 2):
            wins = comes_before(self._argument(arg, later), self._argument(arg, earlier))
            self.writer.line(f"wins = {wins}")
            self.writer.line(f"{name}_{earlier} += choose(wins, F(1), F(0))")
            self.writer.line(f"{name}_{later} += choose(wins, F(0), F(1))")

    def _write_result(self, output: Output) -> None:
        name = output.name
        if output.onto == Grid.WINDOW:
            value = self._argument(output.node, None)
            self.writer.line(f"out_{name}_r[{self.position}] = {value}")
        elif output in self._buffered():
            for k in self._spread(output):
                value = self._argument(output.node, k)
                self.writer.line(f"{name}_row{k}[{self.position}] = {value}")
        elif output.onto & Grid.POSITION:
            for k in range(len(self.taps)):
                self.writer.line(f"out_{name}[n, {k}, c] += {self._argument(output.node, k)}")
        else:
            self.writer.line(f"out_{name}[n, c] += {self._argument(output.node, None)}")

    def _add_up(self) -> None:
        """Add a row's share to the sums over all windows."""
        for output in self._buffered():
            name = output.name
            if output.onto == Grid.CHANNEL:
                self.writer.line(f"out_{name}[p] += total({name}_row0, high - low)")
            elif output.onto & Grid.POSITION:
                for k in range(len(self.taps)):
                    row = f"{name}_row{k if output.node.grid.inside else 0}"
                    self.writer.line(f"out_{name}[p, {k}] += total({row}, high - low)")

    def _place_rows(self, output: Output) -> None:
        """Interleave a row's buffers into the gradient, or add them one after the other."""
        writer, name = self.writer, output.name
        columns = math.prod((self.shape.extent or ())[-1:])
        for r, row in enumerate(self.rows):
            writer.line(f"row = out_{name}[{self._row_place('p', row)}, base:]")
            if self.shape.disjoint:
                writer.open("for j in range(high - low):")
            for v in range(columns):
                k = r * columns + v if output.node.grid.inside else 0
                if not self.shape.disjoint:
                    writer.open("for j in range(high - low):")
                writer.line(f"row[{self._column(v)}] {self._assign} {name}_row{k}[j]")
                if not self.shape.disjoint:
                    writer.close()
            if self.shape.disjoint:
                writer.close()
