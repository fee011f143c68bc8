"""Code for any window, with loops over its elements: at the border, and where windows are large.

The graph is cut into stages. A stage goes over the window once and makes the reductions whose
arguments are known by then; what differs inside the window is computed again in each stage that
needs it, so nothing is stored per element.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.expressions import better, comes_before, expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, needed
from flexpool.backends.numba_cpu.scatter import Scatter
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["REDUCTIONS", "Rolled", "stages_of"]

REDUCTIONS = ("sum", "max", "min", "argmax", "argmin")


class Rolled:
    """Write the work for one window whose place is in the variables ``o0``, ``o1``, ..."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.stages = stages_of(graph)
        self.scatter = Scatter(graph, shape, names, writer)

    def write(self, known: set[int]) -> None:
        """Write all stages; ``known`` are the nodes that have their values already."""
        for stage in range(max(self.stages.values(), default=0) + 1):
            self._write_values(stage, known)
            self._write_loop(stage)
        for output in self.graph.outputs:
            if output.onto in (Grid.WINDOW, Grid.CHANNEL):
                self._write_result(output, "")
        self.scatter.write_window(lambda node: self._argument(node, ""))

    def _write_values(self, stage: int, known: set[int]) -> None:
        """Write what is the same for the whole window and can be computed by now."""
        for node in self.graph.nodes():
            if node.grid.inside or self.stages[id(node)] != stage or id(node) in known:
                continue
            if node.op in ("constant", *REDUCTIONS) or node.grid & Grid.RANK:
                continue
            self.writer.line(f"{self.names[node]} = {self._value(node, '')}")

    def _write_loop(self, stage: int) -> None:
        reductions = [
            node
            for node in self.graph.nodes()
            if node.op in REDUCTIONS and self.stages[id(node.args[0])] == stage
        ]
        results = [
            output
            for output in self.graph.outputs
            if output.onto & (Grid.ELEMENT | Grid.POSITION | Grid.RANK)
            and self.stages[id(output.node)] == stage
            and output.name not in self.scatter.shares
        ]
        if not reductions and not results:
            return
        wanted = [node.args[0] for node in reductions]
        for output in results:
            wanted += output.node.args if output.node.op == "place" else [output.node]
        for node in reductions:
            self._start(node)
        self._write_elements(wanted, "")
        for node in reductions:
            self._collect(node)
        for output in results:
            self._write_result(output, "")
        self.writer.close(self.shape.dimensions)

    def _write_elements(self, wanted: list[Node], mark: str) -> None:
        """Open a loop over the elements and compute there what is wanted; leave it open."""
        nodes = needed(wanted, inside=True)
        for node in nodes:
            if node.op == "cumsum":
                self.writer.line(f"{self.names[node]}_sum{mark} = F(0)")
        shape, tap = self.shape, f"0{mark}"
        for d in range(shape.dimensions):
            u, i = f"u{d}{mark}", f"i{d}{mark}"
            self.writer.open(f"for {u} in range(first_{d}[o{d}], stop_{d}[o{d}]):")
            step = f" * {shape.dilation[d]}" if shape.dilation[d] > 1 else ""
            self.writer.line(f"{i} = start_{d}[o{d}] + {u}{step}")
            extent = f"extent_{d}" if shape.extent is None else str(shape.extent[d])
            tap = f"{u}" if d == 0 else f"({tap}) * {extent} + {u}"
        self.writer.line(f"tap{mark} = {tap}")
        for node in nodes:
            if node.op == "cumsum":
                total = f"{self.names[node]}_sum{mark}"
                self.writer.line(f"{total} += {self._argument(node.args[0], mark)}")
                self.writer.line(f"{self.names[node]}{mark} = {total}")
            elif node.op == "rank":
                self._rank(node, mark)
            else:
                self.writer.line(f"{self.names[node]}{mark} = {self._value(node, mark)}")

    def _rank(self, node: Node, mark: str) -> None:
        """Count the elements that come before, in a loop inside the loop."""
        name, other = f"{self.names[node]}{mark}", f"{mark}_{self.names[node]}"
        (arg,) = node.args
        self.writer.line(f"{name} = F(0)")
        self._write_elements([arg], other)
        mine, theirs = self._argument(arg, mark), self._argument(arg, other)
        later, earlier = f"(tap{other} > tap{mark})", f"(tap{other} < tap{mark})"
        self.writer.open(f"if {later} & ({comes_before(theirs, mine)}):")
        self.writer.line(f"{name} += F(1)")
        self.writer.close()
        self.writer.open(f"if {earlier} & (not ({comes_before(mine, theirs)})):")
        self.writer.line(f"{name} += F(1)")
        self.writer.close()
        self.writer.close(self.shape.dimensions)

    def _start(self, node: Node) -> None:
        name = self.names[node]
        if node.op == "sum":
            self.writer.line(f"{name} = F(0)")
            return
        largest = node.op in ("max", "argmax")
        best = name if node.op in ("max", "min") else f"{name}_best"
        self.writer.line(f"{best} = F({'-' if largest else ''}np.inf)")
        if best != name:
            self.writer.line(f"{name} = F(-1)")

    def _collect(self, node: Node) -> None:
        name, value = self.names[node], self._argument(node.args[0], "")
        if node.op == "sum":
            self.writer.line(f"{name} = add({name}, {value})")
            return
        if node.op in ("max", "min"):
            self.writer.line(f"{name} = choose({better(node.op, value, name)}, {value}, {name})")
            return
        best = f"{name}_best"
        self.writer.open(f"if ({name} < F(0)) | {better(node.op, value, best)}:")
        self.writer.line(f"{best} = {value}")
        self.writer.line(f"{name} = F(tap)")
        self.writer.close()

    def _argument(self, node: Node, mark: str) -> str:
        if node.op == "constant":
            return number(float(node.value or 0))
        return f"{self.names[node]}{mark if node.grid.inside else ''}"

    def _value(self, node: Node, mark: str) -> str:
        """Write how one node is computed."""
        if node.op == "leaf":
            return f"in_{node.value}[{self._place(node.grid, mark)}]"
        if node.op == "count":
            return f"F({self._count(bool(node.value))})"
        if node.op == "tap":
            return f"F(tap{mark})"
        if node.op == "pick":
            weights, rank = node.args
            return f"in_{weights.value}[{self._at_rank(rank, mark)}]"
        if node.op == "random":
            return f"F(uniform({node.value}_key, {node.value}_offset, {self._number()}))"
        return expression(node, [self._argument(arg, mark) for arg in node.args])

    def _place(self, grid: Grid, mark: str) -> str:
        """Write the index of a value in an array of its grid."""
        last = self.shape.channels_last
        item = "n" if last else "p"
        if grid == Grid.CHANNEL:
            return "c"
        if grid & Grid.POSITION:
            return f"tap{mark}, c" if last else f"c, tap{mark}"
        letter = "i" if grid == Grid.ELEMENT else "o"
        suffix = mark if grid == Grid.ELEMENT else ""
        places = [f"{letter}{d}{suffix}" for d in range(self.shape.dimensions)]
        return ", ".join([item, *places, *(["c"] if last else [])])

    def _at_rank(self, rank: Node, mark: str) -> str:
        """Write the index of what belongs to a rank and a channel."""
        place = f"int({self._argument(rank, mark)})"
        return f"{place}, c" if self.shape.channels_last else f"c, {place}"

    def _count(self, padding: bool) -> str:
        each = range(self.shape.dimensions)
        if padding:
            return " * ".join(f"padded_{d}[o{d}]" for d in each)
        return " * ".join(f"(stop_{d}[o{d}] - first_{d}[o{d}])" for d in each)

    def _number(self) -> str:
        """Write the window's number, row-major over (N, C, *output)."""
        index = "(n * channels + c)" if self.shape.channels_last else "p"
        for d in range(self.shape.dimensions):
            index = f"({index} * len(start_{d}) + o{d})"
        return index

    def _write_result(self, output: Output, mark: str) -> None:
        placed = output.node.op == "place"
        value = self._argument(output.node.args[0] if placed else output.node, mark)
        last, name = self.shape.channels_last, f"out_{output.name}"
        item = "n" if last else "p"
        if output.onto == Grid.WINDOW:
            self.writer.line(f"{name}[{self._place(Grid.WINDOW, '')}] = {value}")
        elif output.onto == Grid.ELEMENT:
            self.writer.line(f"{name}[{self._place(Grid.ELEMENT, mark)}] += {value}")
        elif output.onto & Grid.RANK:
            rank = f"int({self._argument(output.node.args[1], mark)})" if placed else "0"
            self.writer.line(f"{name}[{item}, {rank}{', c' if last else ''}] += {value}")
        elif output.onto & Grid.POSITION:
            place = f"{item}, tap{mark}" + (", c" if last else "")
            self.writer.line(f"{name}[{place}] += {value}")
        else:
            self.writer.line(f"{name}[{item}{', c' if last else ''}] += {value}")


def stages_of(graph: Graph) -> dict[int, int]:
    """Number for each node the pass over the window before which it cannot be known."""
    stages: dict[int, int] = {}
    for node in graph.nodes():
        below = max((stages[id(arg)] for arg in node.args), default=0)
        stages[id(node)] = below + (node.op in REDUCTIONS)
    return stages
