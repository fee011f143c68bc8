"""Code for windows that are whole planes, each of them worked off as one line.

The graph is cut into stages, as in :mod:`flexpool.backends.numba_cpu.rolled`. A stage computes what
it reduces for all elements first, into rows of ``kept``, and reduces each row after that: so both
are done in vectors. A row is filled up to whole vectors with what lies behind the plane, at which
no reduction looks; of a gradient, that is overwritten with the next plane's.

A short plane fits the rows, and what took long to compute stays there for later stages. A longer
one is worked off in pieces, and computed again in each stage that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flexpool.backends.numba_cpu.expressions import better, expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, needed
from flexpool.backends.numba_cpu.rolled import REDUCTIONS, stages_of
from flexpool.backends.numba_math import CACHE_LINE
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["SHORT", "Whole", "is_wholesale"]

SHORT = 2048  # elements of the longest plane of which something is kept
PIECE = 2048  # elements of a longer one that are worked off at once
_SLOW = frozenset(
    {"div", "exp", "expm1", "log", "log1p", "pow", "sigmoid", "sqrt", "tanh"}
)  # takes longer than to store it and read it again


def is_wholesale(graph: Graph) -> bool:
    """Tell whether a graph's work on a plane can be done by stages over all elements at once."""
    by_rank = any(output.onto & Grid.RANK for output in graph.outputs)
    return not by_rank and all(
        node.op not in ("rank", "cumsum", "pick", "place") for node in graph.nodes()
    )


@dataclass
class _Stage:
    """One time over a plane's elements.

    Attributes:
        reductions: made there.
        results: written there, element by element.
        nodes: that differ from element to element and are computed there or taken from ``kept``.
        taken: those that are taken from there.
        stored: those that are brought there.
    """

    reductions: list[Node]
    results: list[Output]
    nodes: list[Node] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)

    @property
    def wanted(self) -> list[Node]:
        """List what has to be computed for each element; leaves are reduced where they lie."""
        reduced = [node.args[0] for node in self.reductions if node.args[0].op != "leaf"]
        return [*reduced, *(output.node for output in self.results)]


class Whole:
    """Write the work for one plane ``p``, which is one line.

    Args:
        graph: the work, for which :func:`is_wholesale` is true.
        shape: the kernel's constants.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.names, self.writer = graph, names, writer
        self.short = shape.whole == "short"
        self.vector = CACHE_LINE // np.dtype(shape.dtype).itemsize
        self.order = stages_of(graph)
        self.stages = [self._stage(i) for i in range(max(self.order.values(), default=0) + 1)]
        self.rows: dict[str, int] = {}
        self._share_out()
        self.leaves = [
            node
            for node in graph.nodes()
            if node.op == "leaf" and any(node in stage.nodes for stage in self.stages)
        ]
        for node in self.leaves:
            self._add_row(f"{node.value}_edge")
        if any(node.op == "tap" for stage in self.stages for node in stage.nodes):
            self._add_row("tap")

    def _stage(self, order: int) -> _Stage:
        nodes, outputs = self.graph.nodes(), self.graph.outputs
        return _Stage(
            [n for n in nodes if n.op in REDUCTIONS and self.order[id(n.args[0])] == order],
            [
                output
                for output in outputs
                if output.onto.inside and self.order[id(output.node)] == order
            ],
        )

    def _share_out(self) -> None:
        """Say what each stage computes, and give rows to what is reduced or needed again."""
        slow = {id(node) for node in self.graph.nodes() if node.op in _SLOW and node.grid.inside}
        kept: set[int] = set()
        for at, stage in enumerate(self.stages):
            later = {
                id(node)
                for other in (self.stages[at + 1 :] if self.short else ())
                for node in _computed(other.wanted, slow)
            }
            reduced = {id(node.args[0]) for node in stage.reductions}
            stage.nodes = _computed(stage.wanted, kept)
            stage.taken = kept & {id(node) for node in stage.nodes}
            for node in stage.nodes:
                if id(node) in (reduced | (later & slow)) - kept and node.op != "leaf":
                    stage.stored.add(id(node))
                    self._add_row(self.names[node])
            if self.short:
                kept |= stage.stored
            for output in stage.results:
                self._add_row(f"out_{output.name}")

    def _add_row(self, name: str) -> None:
        self.rows.setdefault(name, len(self.rows))

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, what its planes need."""
        writer = self.writer
        writer.line("length = extent_0")
        if self.rows:
            size = f"({len(self.rows) + 1}, {(SHORT if self.short else PIECE) + self.vector})"
            writer.line(f"kept = aligned(np.zeros({size}, F))")
        if "tap" in self.rows:
            writer.open(f"for j in range({(SHORT if self.short else PIECE) + self.vector}):")
            writer.line(f"kept[{self.rows['tap']}, j] = F(j)")
            writer.close()
        for node in self.leaves:
            writer.line(f"in_{node.value}_all = row(in_{node.value}, (0, 0))")
        if self.short:
            writer.line("at = 0")
            self._write_count("length")

    def write_plane(self, known: set[int]) -> None:
        """Write the work for one plane; ``known`` are the nodes that have their values already."""
        if self.short:
            self._write_lines(self.leaves)
        for order, stage in enumerate(self.stages):
            self._write_values(order, known)
            self._write_stage(stage)
        for output in self.graph.outputs:
            value = self._argument(output.node)
            if output.onto == Grid.WINDOW:
                self.writer.line(f"out_{output.name}[p, 0] = {value}")
            elif output.onto == Grid.CHANNEL:
                self.writer.line(f"out_{output.name}[p] = {value}")

    # What is the same for the whole plane.

    def _write_values(self, order: int, known: set[int]) -> None:
        """Write what can be computed before a stage."""
        for node in self.graph.nodes():
            if node.grid.inside or self.order[id(node)] != order or id(node) in known:
                continue
            if node.op not in ("constant", *REDUCTIONS):
                self.writer.line(f"{self.names[node]} = {self._value(node)}")

    def _value(self, node: Node) -> str:
        if node.op == "leaf":
            return f"in_{node.value}[p, 0]"
        if node.op == "count":
            return "F(length)"  # nothing is padded
        if node.op == "random":
            return f"F(uniform({node.value}_key, {node.value}_offset, p))"
        return expression(node, [self._argument(arg) for arg in node.args])

    def _argument(self, node: Node) -> str:
        return number(float(node.value or 0)) if node.op == "constant" else self.names[node]

    # What differs from element to element.

    def _write_count(self, count: str) -> None:
        """Write how many elements a piece has, and how many in whole vectors."""
        self.writer.line(f"count = {count}")
        self.writer.line(f"lanes = (count + {self.vector - 1}) // {self.vector} * {self.vector}")

    def _write_lines(self, leaves: Iterable[Node]) -> None:
        """Write where the piece lies in every array of which each element is computed with."""
        for leaf in leaves:
            name = f"in_{leaf.value}"
            begin, edge = f"index_of({name}, {self._place(leaf)})", self._row(f"{leaf.value}_edge")
            self.writer.line(f"{leaf.value}_r = row_with_edges({name}_all, {begin}, lanes, {edge})")

    def _place(self, leaf: Node) -> str:
        return f"({'p' if leaf.grid == Grid.ELEMENT else 'c'}, at)"

    def _row(self, name: str) -> str:
        return f"row(kept, ({self.rows[name]}, 0))"

    def _write_stage(self, stage: _Stage) -> None:
        writer = self.writer
        if not stage.reductions and not stage.results:
            return
        if not self.short:
            for node in stage.reductions:
                self._start(node)
            writer.open(f"for at in range(0, length, {PIECE}):")
            self._write_count(f"min({PIECE}, length - at)")
            self._write_lines(node for node in stage.nodes if node.op == "leaf")
        if stage.nodes or stage.results:
            self._write_elements(stage)
        found: dict[tuple[bool, int], str] = {}
        for node in stage.reductions:
            self._reduce(node, found)
        if not self.short:
            writer.close()
        for node in stage.reductions:
            if node.op in ("argmax", "argmin"):
                writer.line(f"{self.names[node]} = F({self.names[node]}_place)")

    def _write_elements(self, stage: _Stage) -> None:
        """Compute what a stage reduces, and its results.

        The last vector of a gradient is overwritten with the next plane's; where that is another
        thread's, and where gradients go past the caches, they wait in a row. The loop is written
        for either case: with a pointer to the one or the other it takes half as long again.
        """
        writer = self.writer
        gradients = [output for output in stage.results if output.onto == Grid.ELEMENT]
        for output in gradients:
            writer.line(f"onto_{output.name} = row(out_{output.name}, (p, at))")
        if gradients:
            fits = f"index_of(out_{gradients[0].name}, (p, at)) + lanes <= end * length"
            writer.open(f"if ({fits}) & (not streamed):")
            self._loop_over_elements(stage, straight=True)
            writer.close()
            writer.open("else:")
        self._loop_over_elements(stage, straight=False)
        for output in gradients:
            row = self._row(f"out_{output.name}")
            writer.line(f"bring(onto_{output.name}, {row}, count, streamed)")
        if gradients:
            writer.close()
        for output in stage.results:
            if output not in gradients:
                name = f"out_{output.name}"
                writer.line(f"onto = row({name}, (p, at))")
                writer.open("for j in range(count):")
                writer.line(f"onto[j] = kept[{self.rows[name]}, j]")
                writer.close()

    def _loop_over_elements(self, stage: _Stage, straight: bool) -> None:
        """Write the loop; ``straight`` is whether gradients go where they belong at once."""
        writer = self.writer
        writer.open("for j in range(lanes):")
        for node in stage.nodes:
            name = self.names[node]
            if node.op == "leaf":
                writer.line(f"{name} = {node.value}_r[j]")
            elif node.op == "tap":
                tap = f"kept[{self.rows['tap']}, j]"
                writer.line(f"{name} = {tap if self.short else f'F(at) + {tap}'}")
            elif id(node) in stage.taken:
                writer.line(f"{name} = kept[{self.rows[name]}, j]")
            else:
                writer.line(f"{name} = {self._expression(node)}")
                if id(node) in stage.stored:
                    writer.line(f"kept[{self.rows[name]}, j] = {name}")
        for output in stage.results:
            at_once = straight and output.onto == Grid.ELEMENT
            row = self.rows[f"out_{output.name}"]
            onto = f"onto_{output.name}[j]" if at_once else f"kept[{row}, j]"
            writer.line(f"{onto} = {self._argument(output.node)}")
        writer.close()

    def _expression(self, node: Node) -> str:
        extremum = None if self.short else _place_compared(node)
        if extremum is not None:  # places in long lines are not whole numbers of float32
            tap = f"kept[{self.rows['tap']}, j]"
            return f"{tap} == F({self.names[extremum]}_place - at)"
        return expression(node, [self._argument(arg) for arg in node.args])

    def _start(self, node: Node) -> None:
        """Write what a reduction is before the first piece."""
        name = self.names[node]
        if node.op == "sum":
            self.writer.line(f"{name} = F(0)")
            return
        nothing = f"F({'-' if node.op in ('max', 'argmax') else ''}np.inf)"
        if node.op in ("max", "min"):
            self.writer.line(f"{name} = {nothing}")
        else:
            self.writer.line(f"{name}_best = {nothing}")
            self.writer.line(f"{name}_place = 0")

    def _reduce(self, node: Node, found: dict[tuple[bool, int], str]) -> None:
        """Reduce a piece, and bring it together with those before.

        Args:
            node: the reduction.
            found: the piece's extrema so far: whether the largest, of which node, and its name.
        """
        writer, name, (arg,) = self.writer, self.names[node], node.args
        leaf = arg.op == "leaf"
        line = f"row(in_{arg.value}, {self._place(arg)})" if leaf else self._row(self.names[arg])
        if node.op == "sum":
            before = "" if self.short else f"{name} + "
            writer.line(f"{name} = {before}total({line}, count)")
            return
        largest = node.op in ("max", "argmax")
        if (extremum := found.get((largest, id(arg)))) is None:
            extremum = found[largest, id(arg)] = f"{name}_here"
            function = "largest" if largest else "smallest"
            writer.line(f"{extremum} = {function}({line}, count)")
        if self.short and node.op in ("max", "min"):
            writer.line(f"{name} = {extremum}")
        elif self.short:
            writer.line(f"{name}_place = place_of({line}, count, {extremum})")
        elif node.op in ("max", "min"):
            wins = better(node.op, extremum, name)
            writer.line(f"{name} = choose({wins}, {extremum}, {name})")
        else:
            writer.open(f"if {better(node.op, extremum, f'{name}_best')}:")
            writer.line(f"{name}_best = {extremum}")
            writer.line(f"{name}_place = at + place_of({line}, count, {extremum})")
            writer.close()


def _computed(wanted: list[Node], kept: set[int]) -> list[Node]:
    """List the nodes that differ from element to element below some, down to those that are kept.

    Of what is kept, what it was computed from is left out.
    """
    nodes, live = needed(wanted, inside=True), {id(node) for node in wanted}
    for node in reversed(nodes):
        if id(node) in live and id(node) not in kept:
            live.update(id(arg) for arg in node.args)
    return [node for node in nodes if id(node) in live]


def _place_compared(node: Node) -> Node | None:
    """Give the place of an extremum that a node compares each element's place with."""
    ops = [arg.op for arg in node.args]
    if node.op != "eq" or "tap" not in ops:
        return None
    other = node.args[1 - ops.index("tap")]
    return other if other.op in ("argmax", "argmin") else None
