"""The work for one window, written out position by position, without loops.

Each layout puts it inside a loop over neighbouring windows, or over channels, so that one vector
instruction serves several; how a value is loaded, and where a result goes, is the layout's matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from flexpool.backends.numba_cpu.expressions import better, comes_before, expression, number
from flexpool.backends.numba_cpu.plan import Names, Writer
from flexpool.ir import Graph, Grid, Node

__all__ = ["Body"]

Load = Callable[[Node, int], str]


class Body:
    """Write the work for one window.

    Args:
        graph: the work.
        names: of the nodes.
        writer: where to write.
        positions: how many the window has.
        masked: whether some may be absent; position k is present where the variable ``has_k`` is
            true.
        load: how to read a leaf, a count or a random number, by node and position.
    """

    def __init__(
        self, graph: Graph, names: Names, writer: Writer, positions: int, masked: bool, load: Load
    ) -> None:
        self.graph, self.names, self.writer = graph, names, writer
        self.positions, self.masked, self.load = positions, masked, load

    def write(self, known: set[int]) -> None:
        """Write all but the results; ``known`` are the nodes that have their values already."""
        for node in self.graph.nodes():
            if node.op == "constant" or id(node) in known:
                continue
            if node.op == "rank":
                self._rank(node)
            elif node.op == "pick":
                self._pick(node)
            elif node.op == "place":
                self._place(node)
            elif node.grid.inside or node.grid & Grid.RANK:
                for k in range(self.positions):
                    self.writer.line(f"{self.names[node]}_{k} = {self._value(node, k)}")
            elif node.op in ("max", "min"):
                self._extremum(node)
            elif node.op in ("argmax", "argmin"):
                self._place_of_extremum(node)
            else:
                self.writer.line(f"{self.names[node]} = {self._value(node, 0)}")

    def value(self, node: Node, k: int) -> str:
        """Name a value that has been computed, at a position if it differs from one to another."""
        if node.op == "constant":
            return number(float(node.value or 0))
        several = node.grid.inside or node.grid & Grid.RANK
        return f"{self.names[node]}_{k}" if several else self.names[node]

    def present(self, value: str, k: int, otherwise: str) -> str:
        """Take a value only if its position is present."""
        return f"choose(has_{k}, {value}, {otherwise})" if self.masked else value

    def _value(self, node: Node, k: int) -> str:
        if node.op in ("leaf", "random", "count"):
            return self.load(node, k)
        if node.op == "tap":
            return f"F({k})"
        if node.op == "sum":
            return " + ".join(
                self.present(self.value(node.args[0], i), i, "F(0)") for i in range(self.positions)
            )
        if node.op == "cumsum":
            before = f"{self.names[node]}_{k - 1} + " if k else ""
            return before + self.present(self.value(node.args[0], k), k, "F(0)")
        return expression(node, [self.value(arg, k) for arg in node.args])

    def _wins(self, condition: str, k: int) -> str:
        return f"has_{k} & ({condition})" if self.masked else condition

    def _extremum(self, node: Node) -> None:
        """Compare one after the other, passing over NaN, which are looked for apart.

        So each step is one instruction where processors have it, and two NaN are found with one.
        The first value stays if it is NaN: nothing is larger or smaller.
        """
        name, (arg,) = self.names[node], node.args
        sign, nothing = (">", "F(-np.inf)") if node.op == "max" else ("<", "F(np.inf)")
        values = [self.value(arg, k) for k in range(self.positions)]
        self.writer.line(f"{name} = {self.present(values[0], 0, nothing)}")
        later = list(enumerate(values))[1:]
        for k, new in later:
            wins = self._wins(f"{new} {sign} {name}", k)
            self.writer.line(f"{name} = choose({wins}, {new}, {name})")
        if later:
            nan = " | ".join(self._wins(f"({new} != {new})", k) for k, new in later)
            self.writer.line(f"{name} = choose({nan}, F(np.nan), {name})")

    def _place_of_extremum(self, node: Node) -> None:
        """Compare one after the other: the first of equals stays, a NaN takes over."""
        name, (arg,) = self.names[node], node.args
        best = f"{name}_best"
        self.writer.line(f"{best} = {self.value(arg, 0)}")
        self.writer.line(f"{name} = {self.present('F(0)', 0, 'F(-1)')}")
        for k in range(1, self.positions):
            new = self.value(arg, k)
            wins = better(node.op, new, best)
            if self.masked:
                wins = self._wins(f"({name} < F(0)) | {wins}", k)
            self.writer.line(f"wins = {wins}")
            self.writer.line(f"{name} = choose(wins, F({k}), {name})")
            self.writer.line(f"{best} = choose(wins, {new}, {best})")

    def _rank(self, node: Node) -> None:
        """Compare each pair once: whoever loses has one more before it."""
        name, (arg,) = self.names[node], node.args
        for k in range(self.positions):
            self.writer.line(f"{name}_{k} = F(0)")
        for earlier, later in itertools.combinations(range(self.positions), 2):
            wins = comes_before(self.value(arg, later), self.value(arg, earlier))
            self.writer.line(f"wins = {wins}")
            for loser, won in ((earlier, "wins"), (later, "not wins")):
                winner = later if loser == earlier else earlier
                counts = self._wins(won, winner)
                self.writer.line(f"{name}_{loser} += choose({counts}, F(1), F(0))")

    def _pick(self, node: Node) -> None:
        """Compare each rank with every number it may be."""
        weights, rank = node.args
        for k in range(self.positions):
            name = f"{self.names[node]}_{k}"
            self.writer.line(f"{name} = {self.value(weights, 0)}")
            for r in range(1, self.positions):
                hit = f"{self.value(rank, k)} == F({r})"
                self.writer.line(f"{name} = choose({hit}, {self.value(weights, r)}, {name})")

    def _place(self, node: Node) -> None:
        """Give each rank the value of the element that has it."""
        values, rank = node.args
        for r in range(self.positions):
            name = f"{self.names[node]}_{r}"
            self.writer.line(f"{name} = F(0)")
            for k in range(self.positions):
                hit = self._wins(f"({self.value(rank, k)} == F({r}))", k)
                self.writer.line(f"{name} = choose({hit}, {self.value(values, k)}, {name})")
