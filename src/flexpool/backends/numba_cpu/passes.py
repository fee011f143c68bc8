"""Code for all channels of any window, where these lie next to each other in memory.

A pass goes over the window's elements, and for each over the channels, in the innermost loop: so
any window, at a border or as large as the input, is worked off in vectors. Each pass makes the
reductions whose arguments are known by then. What belongs to a window waits, channel by channel, in
the rows of ``values``, which have a fixed length: ``PIECE`` channels are worked off at a time.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.expressions import better, expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, needed
from flexpool.backends.numba_cpu.rolled import REDUCTIONS, stages_of
from flexpool.backends.numba_cpu.rows import window_number
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Passes"]

PIECE = 256  # channels


class Passes:
    """Write the work for all channels of the window at ``o0``, ``o1``, ... of image ``n``.

    Args:
        graph: the work, without ranks.
        shape: the kernel's constants.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.stages = stages_of(graph)
        self.rows: dict[str, int] = {}
        for node in graph.nodes():
            name = names[node]
            if node.op == "cumsum":
                self.rows.setdefault(f"{name}_sum", len(self.rows))
            elif not node.grid.inside and node.op not in ("constant", "count"):
                self.rows.setdefault(name, len(self.rows))
            if node.op in ("argmax", "argmin"):
                self.rows.setdefault(f"{name}_best", len(self.rows))

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, where a window's values wait."""
        self.writer.line(f"values = np.empty(({max(1, len(self.rows))}, {PIECE}), F)")

    def write(self) -> None:
        """Write the work."""
        writer = self.writer
        for node in self.graph.nodes():
            if node.op == "count":
                writer.line(f"{self.names[node]} = F({self._count(bool(node.value))})")
        writer.open(f"for at in range(0, channels, {PIECE}):")
        writer.line(f"count = min({PIECE}, channels - at)")
        for stage in range(max(self.stages.values(), default=0) + 1):
            self._write_values(stage)
            self._write_pass(stage)
        self._write_results()
        writer.close()

    def _write_values(self, stage: int) -> None:
        """Write what is the same for the whole window and can be computed by now."""
        nodes = [
            node
            for node in self.graph.nodes()
            if not node.grid.inside
            and self.stages[id(node)] == stage
            and node.op not in ("constant", "count", *REDUCTIONS)
        ]
        if not nodes:
            return
        for node in nodes:
            if node.op == "leaf":
                place = "at" if node.grid == Grid.CHANNEL else f"n, {self._outputs}, at"
                place += "," if node.grid == Grid.CHANNEL else ""
                self.writer.line(f"{node.value}_r = row(in_{node.value}, ({place}))")
        self.writer.open("for c in range(count):")
        done = {id(node) for node in nodes}
        self._load([arg for node in nodes for arg in node.args if id(arg) not in done])
        for node in nodes:
            self.writer.line(f"{self.names[node]} = {self._value(node)}")
            self._keep(self.names[node])
        self.writer.close()

    def _write_pass(self, stage: int) -> None:
        reductions = [
            node
            for node in self.graph.nodes()
            if node.op in REDUCTIONS and self.stages[id(node.args[0])] == stage
        ]
        results = [
            output
            for output in self.graph.outputs
            if output.onto & (Grid.ELEMENT | Grid.POSITION)
            and self.stages[id(output.node)] == stage
        ]
        if not reductions and not results:
            return
        wanted = [node.args[0] for node in reductions] + [output.node for output in results]
        inner = needed(wanted, inside=True)
        self._start([*reductions, *(node for node in inner if node.op == "cumsum")])
        self._open_elements(inner, results)
        self.writer.open("for c in range(count):")
        self._load([arg for node in inner for arg in node.args] + wanted)
        for node in inner:
            if node.op == "cumsum":
                total = f"{self.names[node]}_sum"
                row = self.rows[total]
                value = f"values[{row}, c] + {self._argument(node.args[0])}"
                self.writer.line(f"{self.names[node]} = {value}")
                self.writer.line(f"values[{row}, c] = {self.names[node]}")
            else:
                self.writer.line(f"{self.names[node]} = {self._value(node)}")
        for node in reductions:
            self._collect(node)
        for output in results:
            self.writer.line(f"onto_{output.name}[c] += {self._argument(output.node)}")
        self.writer.close(1 + self.shape.dimensions)

    def _open_elements(self, inner: list[Node], results: list[Output]) -> None:
        """Open the loops over a window's elements, and write where each lies."""
        writer, shape, tap = self.writer, self.shape, "0"
        for d in range(shape.dimensions):
            writer.open(f"for u{d} in range(first_{d}[o{d}], stop_{d}[o{d}]):")
            step = f" * {shape.dilation[d]}" if shape.dilation[d] > 1 else ""
            writer.line(f"i{d} = start_{d}[o{d}] + u{d}{step}")
            extent = f"extent_{d}" if shape.extent is None else str(shape.extent[d])
            tap = f"u{d}" if d == 0 else f"({tap}) * {extent} + u{d}"
        writer.line(f"tap = {tap}")
        element = ", ".join(["n", *(f"i{d}" for d in range(shape.dimensions)), "at"])
        for node in inner:
            if node.op == "leaf":
                place = "tap, at" if node.grid & Grid.POSITION else element
                writer.line(f"{node.value}_r = row(in_{node.value}, ({place}))")
        for output in results:
            place = "n, tap, at" if output.onto & Grid.POSITION else element
            writer.line(f"onto_{output.name} = row(out_{output.name}, ({place}))")

    def _start(self, nodes: list[Node]) -> None:
        """Write what a reduction is before the first element."""
        if not nodes:
            return
        self.writer.open("for c in range(count):")
        for node in nodes:
            name = self.names[node]
            if node.op in ("sum", "cumsum"):
                row = self.rows[name if node.op == "sum" else f"{name}_sum"]
                self.writer.line(f"values[{row}, c] = F(0)")
                continue
            nothing = f"F({'-' if node.op in ('max', 'argmax') else ''}np.inf)"
            best = name if node.op in ("max", "min") else f"{name}_best"
            self.writer.line(f"values[{self.rows[best]}, c] = {nothing}")
            if best != name:
                self.writer.line(f"values[{self.rows[name]}, c] = F(-1)")
        self.writer.close()

    def _collect(self, node: Node) -> None:
        name, value = self.names[node], self._argument(node.args[0])
        writer, here = self.writer, f"values[{self.rows[name]}, c]"
        if node.op == "sum":
            writer.line(f"{here} += {value}")
        elif node.op in ("max", "min"):
            writer.line(f"best = {here}")
            writer.line(f"{here} = choose({better(node.op, value, 'best')}, {value}, best)")
        else:
            best = f"values[{self.rows[f'{name}_best']}, c]"
            writer.line(f"old, best = {here}, {best}")
            writer.line(f"wins = (old < F(0)) | {better(node.op, value, 'best')}")
            writer.line(f"{here} = choose(wins, F(tap), old)")
            writer.line(f"{best} = choose(wins, {value}, best)")

    def _write_results(self) -> None:
        results = [o for o in self.graph.outputs if o.onto in (Grid.WINDOW, Grid.CHANNEL)]
        if not results:
            return
        for output in results:
            place = f"n, {self._outputs}, at" if output.onto == Grid.WINDOW else "n, at"
            self.writer.line(f"onto_{output.name} = row(out_{output.name}, ({place}))")
        self.writer.open("for c in range(count):")
        self._load([output.node for output in results])
        for output in results:
            assign = "=" if output.onto == Grid.WINDOW else "+="
            self.writer.line(f"onto_{output.name}[c] {assign} {self._argument(output.node)}")
        self.writer.close()

    def _load(self, nodes: list[Node]) -> None:
        """Take up what waits of a window's values."""
        names = dict.fromkeys(
            self.names[node]
            for node in nodes
            if not node.grid.inside and node.op not in ("constant", "count")
        )
        for name in names:
            self.writer.line(f"{name} = values[{self.rows[name]}, c]")

    def _keep(self, name: str) -> None:
        self.writer.line(f"values[{self.rows[name]}, c] = {name}")

    def _argument(self, node: Node) -> str:
        return number(float(node.value or 0)) if node.op == "constant" else self.names[node]

    def _value(self, node: Node) -> str:
        if node.op == "leaf":
            return f"{node.value}_r[c]"
        if node.op == "tap":
            return "F(tap)"
        if node.op == "random":
            places = [f"o{d}" for d in range(self.shape.dimensions)]
            place = window_number("(n * channels + at + c)", places)
            return f"F(uniform({node.value}_key, {node.value}_offset, {place}))"
        return expression(node, [self._argument(arg) for arg in node.args])

    @property
    def _outputs(self) -> str:
        return ", ".join(f"o{d}" for d in range(self.shape.dimensions))

    def _count(self, padding: bool) -> str:
        each = range(self.shape.dimensions)
        if padding:
            return " * ".join(f"padded_{d}[o{d}]" for d in each)
        return " * ".join(f"(stop_{d}[o{d}] - first_{d}[o{d}])" for d in each)
