"""Code for rows of large windows of one plane: the innermost loop goes over neighbouring windows.

Windows are too large here for code without loops. So each stage (see :mod:`.rolled`) goes over the
rows of taps that lie inside, and along each over the columns, ``MOST_TOGETHER`` taps at a time. For
these a loop over the windows of a piece computes what differs inside the window and joins it to
what waits in ``values``, which has a row for each node.

What is read, and gradients of the input, pass through the lines of :mod:`.lines`.

As in :mod:`.rows`, a piece is filled up to whole vectors with windows that are not there, and taps
outside are masked; but nothing is written for a window that is not there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from flexpool.backends.numba_cpu.expressions import better, expression, number
from flexpool.backends.numba_cpu.handing import hands
from flexpool.backends.numba_cpu.lines import Lines, whole_vectors
from flexpool.backends.numba_cpu.places import has_places
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.backends.numba_cpu.rolled import REDUCTIONS, stages_of
from flexpool.backends.numba_cpu.rows import PIECE, VECTOR, Rows
from flexpool.backends.numba_cpu.scatter import Scatter
from flexpool.backends.numba_cpu.separable import is_separable, of_element
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Neighbours", "has_neighbours"]

FEWEST = 3  # windows of a row; for two, windows one by one take as long
_TRUTHS = ("lt", "le", "eq", "ne", "and", "or", "not")


def has_neighbours(graph: Graph, shape: Shape, windows: int) -> bool:
    """Tell whether rows of so many windows are worked off together, each being large."""
    if shape.extent is None or shape.channels_last or windows < FEWEST:
        return False
    if any(node.op in ("rank", "pick", "place") for node in graph.nodes()):
        return False
    if has_places(graph, shape) or hands(graph, shape):
        return False
    return not shape.unrolled(graph) and not is_separable(graph, shape)


class Neighbours:
    """Write the work for the windows of one row of a plane; see :class:`Rows` for the arguments."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.last = shape.dimensions - 1
        self.stride = shape.stride[-1]
        self.masked = not shape.inside
        self.rows = Rows(graph, shape, names, writer)
        self.lines = Lines(shape, names, writer)
        self.scatter = Scatter(graph, shape, names, writer)
        self.work = self.scatter.work
        self.stages = stages_of(self.work)
        self.onto_input = [
            output
            for output in graph.outputs
            if output.onto == Grid.ELEMENT and output.name not in self.scatter.shares
        ]
        self.onto_taps = [o for o in graph.outputs if o.onto & Grid.POSITION]
        self.margin = self.lines.margin if self.onto_input else 0
        self.kept = self._kept()

    def _kept(self) -> dict[str, int]:
        """Give each value that waits from one loop to the next its row of ``values``."""
        kept: dict[str, int] = {}
        for node in self.work.nodes():
            name = self.names[node]
            if node.op == "cumsum":
                kept[f"{name}_sum"] = len(kept)
            elif node.grid & Grid.WINDOW and not node.grid.inside:
                kept[name] = len(kept)
            if node.op in ("argmax", "argmin"):
                kept[f"{name}_best"] = len(kept)
        for output in self.onto_input:
            for g in range(self._spread(output)):
                kept[f"{output.name}_at_{g}"] = len(kept)
        return kept

    def _spread(self, output: Output) -> int:
        """Count the rows of values for a gradient: one per tap, or one if all are equal."""
        return self.lines.group if output.node.grid.inside else 1

    # What is written once.

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, what its rows need."""
        writer, last = self.writer, self.last
        writer.line(f"windows = len(start_{last})")
        writer.line(f"base = start_{last}[0]")
        width = whole_vectors(PIECE + VECTOR + 2 * self.margin)
        writer.line(f"values = aligned(np.zeros(({len(self.kept) + 1}, {width}), F))")
        several = max(len(self._of_element(stage)) for stage in range(self._stages))
        self.lines.write_buffers(several, self._arrays(), len(self.onto_input))
        if self.masked or self.onto_input or self.onto_taps:
            writer.line(f"firsts = np.full(windows + {VECTOR}, F(np.inf))")
            writer.line(f"stops = np.zeros(windows + {VECTOR}, F)")
            writer.open("for j in range(windows):")
            writer.line(f"firsts[j] = first_{last}[j]")
            writer.line(f"stops[j] = stop_{last}[j]")
            writer.close()
        self.rows.write_counts()
        if self.scatter.shares:
            self.scatter.write_offsets()
        for name, found in self.scatter.shares.items():
            writer.line(f"{name}_values = np.zeros(({2 * len(found)}, {PIECE}), F)")

    def _arrays(self) -> list[str]:
        """Name the arrays that have a value for each element."""
        leaves = self.work.leaves().items()
        return [name for name, node in leaves if node.op == "leaf" and node.grid == Grid.ELEMENT]

    # A row of windows.

    @property
    def _stages(self) -> int:
        return max(self.stages.values(), default=0) + 1

    def write_row(self, known: set[int]) -> None:
        """Write the work for one row of windows; ``known`` values are read by their names."""
        writer = self.writer
        writer.open(f"for at in range(0, windows, {PIECE}):")
        writer.line(f"count = min({PIECE}, windows - at)")
        writer.line(f"lanes = (count + {VECTOR - 1}) // {VECTOR} * {VECTOR}")
        writer.line("origin = base + " + (f"{self.stride} * at" if self.stride > 1 else "at"))
        if self.masked or self.onto_input or self.onto_taps:
            writer.line("first_r = row(firsts, (at,))")
            writer.line("stop_r = row(stops, (at,))")
        self.rows.write_count_rows("at")
        self._write_margins()
        for stage in range(self._stages):
            self._write_values(stage)
            self._write_equal(stage)
            self._write_pass(stage)
        self._write_results()
        writer.close()

    def _write_margins(self) -> None:
        """Clear what lies behind the values that are summed where windows overlap."""
        if not self.margin:
            return
        self.writer.open(f"for j in range({self.margin}):")
        for output in self.onto_input:
            for g in range(self._spread(output)):
                row = self.kept[f"{output.name}_at_{g}"]
                self.writer.line(f"values[{row}, lanes + j + {self.margin}] = F(0)")
        self.writer.close()

    def _write_values(self, stage: int) -> None:
        """Write what is the same for the whole window and can be computed by now."""
        writer = self.writer
        nodes = [
            node
            for node in self.work.nodes()
            if self.names[node] in self.kept
            and self.stages[id(node)] == stage
            and node.op not in REDUCTIONS
        ]
        leaves = [node for node in nodes if node.op == "leaf"]
        for node in leaves:
            place = self.rows.window_place("at")
            writer.line(f"{node.value}_r = row(in_{node.value}, {place})")
            writer.open("for j in range(count):")
            writer.line(f"{self._waiting(node)} = {node.value}_r[j]")
            writer.close()
        nodes = [node for node in nodes if node.op != "leaf"]
        if not nodes:
            return
        writer.open("for j in range(lanes):")
        done = {id(node) for node in nodes}
        self._load([arg for node in nodes for arg in node.args if id(arg) not in done])
        for node in nodes:
            if node.op in ("random", "count"):
                value = self.rows.load(node, 0)
            else:
                value = expression(node, [self._argument(arg) for arg in node.args])
            writer.line(f"{self.names[node]} = {value}")
            writer.line(f"{self._waiting(node)} = {self.names[node]}")
        writer.close()

    def _write_equal(self, stage: int) -> None:
        """Write gradients that are the same for all elements of a window, one line for all rows."""
        for result, output in enumerate(self.onto_input):
            if output.node.grid.inside or self.stages[id(output.node)] != stage:
                continue
            self.writer.open("for j in range(lanes):")
            self._load([output.node])
            self.writer.line("real = first_r[j] < F(np.inf)")
            self._write_onto_input(output, 1)
            self.writer.close()
            self.lines.clear_sums(result)
            self._write_groups(functools.partial(self._sum_up, output))
            self.lines.interleave(result)
            self.lines.open_rows()
            self.lines.add_to_row(result, output.name)
            self.writer.close(self.last)

    def _write_pass(self, stage: int) -> None:
        """Go over the elements of the windows once."""
        reductions, results = self._reductions(stage), self._inner_results(stage)
        if not reductions and not results:
            return
        lines, inner = self._of_element(stage), self._inner(stage)
        self._start([*reductions, *(node for node in inner if node.op == "cumsum")])
        self.lines.open_rows()
        if lines:
            self.lines.write_split(lines)
        onto_input = [i for i, output in enumerate(self.onto_input) if output in results]
        for result in onto_input:
            self.lines.clear_sums(result)
        self._write_groups(functools.partial(self._write_taps, stage))
        for result in onto_input:
            self.lines.interleave(result)
            self.lines.add_to_row(result, self.onto_input[result].name)
        self.writer.close(self.last)

    def _reductions(self, stage: int) -> list[Node]:
        return [
            node
            for node in self.work.nodes()
            if node.op in REDUCTIONS and self.stages[id(node.args[0])] == stage
        ]

    def _inner_results(self, stage: int) -> list[Output]:
        """List the results that are collected element by element."""
        return [
            output
            for output in self.onto_input + self.onto_taps
            if self.stages[id(output.node)] == stage
            and (output.onto != Grid.ELEMENT or output.node.grid.inside)
        ]

    def _of_element(self, stage: int) -> list[Node]:
        """List what a stage reads from lines: all that it needs of each element alone."""
        return [node for node in self._met(stage) if self._in_line(node)]

    def _inner(self, stage: int) -> list[Node]:
        """List what a stage computes for each window and element, or each tap."""
        return [node for node in self._met(stage) if not self._in_line(node)]

    def _in_line(self, node: Node) -> bool:
        return node.op not in _TRUTHS and of_element(node)

    def _met(self, stage: int) -> list[Node]:
        """List what differs inside a window and is needed in a stage, but not to make lines."""
        roots = [node.args[0] for node in self._reductions(stage)]
        waiting = roots + [output.node for output in self._inner_results(stage)]
        met: set[int] = set()
        while waiting:
            node = waiting.pop()
            if node.grid.inside and id(node) not in met:
                met.add(id(node))
                waiting += [] if self._in_line(node) else node.args
        return [node for node in self.work.nodes() if id(node) in met]

    def _start(self, nodes: list[Node]) -> None:
        """Write what a reduction is before the first element."""
        if not nodes:
            return
        writer, tap = self.writer, "F(0)"
        if self.masked and any(node.op in ("argmax", "argmin") for node in nodes):
            first = "0"
            for d, size in enumerate(self.shape.extent or ()):
                first = f"({first}) * {size}" if d else first
                first += f" + first_{d}[o{d}]" if d < self.last else ""
            some = [f"(first_{d}[o{d}] < stop_{d}[o{d}])" for d in range(self.last)]
            writer.line(f"first_tap = F({first})")
            writer.line(f"some = {' & '.join(some) or 'True'}")
            tap = "choose(some & (first_r[j] < stop_r[j]), first_tap + first_r[j], F(-1))"
        writer.open("for j in range(lanes):")
        for node in nodes:
            name = self.names[node]
            if node.op in ("sum", "cumsum"):
                row = self.kept[name if node.op == "sum" else f"{name}_sum"]
                writer.line(f"values[{row}, j] = F(0)")
                continue
            nothing = f"F({'-' if node.op in ('max', 'argmax') else ''}np.inf)"
            best = name if node.op in ("max", "min") else f"{name}_best"
            writer.line(f"values[{self.kept[best]}, j] = {nothing}")
            if best != name:
                writer.line(f"values[{self.kept[name]}, j] = {tap}")
        writer.close()

    # Taps, some of a row at a time.

    def _write_groups(self, write: Callable[[int], None]) -> None:
        """Write a loop over the groups of a row of taps, and the incomplete last group."""
        writer, group = self.writer, self.lines.group
        left = self.lines.columns % group
        whole = self.lines.columns - left
        if whole > group:
            writer.open(f"for v in range(0, {whole}, {group}):")
        else:
            writer.line("v = 0")
        self.lines.write_shift()
        write(group)
        if whole > group:
            writer.close()
        if left:
            writer.line(f"v = {whole}")
            self.lines.write_shift()
            write(left)

    def _write_taps(self, stage: int, size: int) -> None:
        """Write what some taps of a row contribute to each window of the piece."""
        writer, lines, inner = self.writer, self._of_element(stage), self._inner(stage)
        reductions, results = self._reductions(stage), self._inner_results(stage)
        onto_taps = [output for output in results if output.onto != Grid.ELEMENT]
        onto_input = [output for output in results if output.onto == Grid.ELEMENT]
        cumulated = [node for node in inner if node.op == "cumsum"]
        if lines:
            self.lines.write_taps()
        masked = self.masked and bool(reductions or onto_taps or cumulated)
        for g in range(size):
            writer.line(f"tap_{g} = F(row_tap + v + {g})")
            if masked:
                writer.line(f"column_{g} = F(v + {g})")
        same = [node for node in inner if self._same(node)]
        for g in range(size):
            for node in same:
                writer.line(f"{self.names[node]}_{g} = {self._of_tap(node, g)}")
            for output in onto_taps:
                writer.line(f"{output.name}_sum_{g} = F(0)")
        writer.open("for j in range(lanes):")
        if masked:
            writer.line("low_tap, stop_tap = first_r[j], stop_r[j]")
            for g in range(size):
                writer.line(f"has_{g} = (low_tap <= column_{g}) & (column_{g} < stop_tap)")
        if onto_input or (onto_taps and not masked):
            writer.line("real = first_r[j] < F(np.inf)")
        outer = [node.args[0] for node in reductions] + [output.node for output in results]
        self._load([arg for node in inner for arg in node.args] + outer)
        for node in cumulated:
            writer.line(
                f"{self.names[node]}_sum = values[{self.kept[f'{self.names[node]}_sum']}, j]"
            )
        for g in range(size):
            self._write_tap(lines, [node for node in inner if node not in same], g)
        for node in cumulated:
            writer.line(
                f"values[{self.kept[f'{self.names[node]}_sum']}, j] = {self.names[node]}_sum"
            )
        for node in reductions:
            self._collect(node, size)
        for output in onto_input:
            self._write_onto_input(output, size)
        for output in onto_taps:
            for g in range(size):
                has = f"has_{g}" if masked else "real"
                value = f"choose({has}, {self._argument(output.node, str(g))}, F(0))"
                total = f"{output.name}_sum_{g}"
                writer.line(f"{total} = add({total}, {value})")
        writer.close()
        for output in onto_taps:
            for g in range(size):
                place = f"p, row_tap + v + {g}"
                writer.line(f"out_{output.name}[{place}] += {output.name}_sum_{g}")
        for output in onto_input:
            self._sum_up(output, size)

    def _same(self, node: Node) -> bool:
        """Tell whether a value that differs inside the window is the same for all windows."""
        if node.grid & (Grid.ELEMENT | Grid.WINDOW) or node.op == "cumsum":
            return False
        return all(self._same(arg) for arg in node.args if arg.grid.inside)

    def _of_tap(self, node: Node, g: int) -> str:
        """Write the value of a node at a tap of a group."""
        if node.op == "tap":
            return f"tap_{g}"
        if node.op == "leaf":
            return f"in_{node.value}[c, row_tap + v + {g}]"
        return expression(node, [self._argument(arg, str(g)) for arg in node.args])

    def _write_tap(self, lines: list[Node], inner: list[Node], g: int) -> None:
        for line, node in enumerate(lines):
            self.writer.line(f"{self.names[node]}_{g} = {self.lines.tap(line, g)}")
        for node in inner:
            name = self.names[node]
            if node.op == "cumsum":
                value = self._present(self._argument(node.args[0], str(g)), g, "F(0)")
                self.writer.line(f"{name}_sum = {name}_sum + {value}")
                self.writer.line(f"{name}_{g} = {name}_sum")
            else:
                self.writer.line(f"{name}_{g} = {self._of_tap(node, g)}")

    def _present(self, value: str, g: int, otherwise: str) -> str:
        return f"choose(has_{g}, {value}, {otherwise})" if self.masked else value

    def _collect(self, node: Node, size: int) -> None:
        """Join the values of a group to a reduction."""
        name, writer, here = self.names[node], self.writer, self._waiting(node)
        values = [self._argument(node.args[0], str(g)) for g in range(size)]
        if node.op == "sum":
            values = [self._present(value, g, "F(0)") for g, value in enumerate(values)]
            writer.line(f"{here} += {' + '.join(values)}")
            return
        best = f"values[{self.kept[f'{name}_best']}, j]" if node.op[:3] == "arg" else here
        writer.line(f"best = {best}")
        if best != here:
            writer.line(f"place = {here}")
        for g, value in enumerate(values):
            wins = better(node.op, value, "best")
            writer.line(f"wins = {f'has_{g} & ({wins})' if self.masked else wins}")
            if best != here:
                writer.line(f"place = choose(wins, tap_{g}, place)")
            writer.line(f"best = choose(wins, {value}, best)")
        writer.line(f"{best} = best")
        if best != here:
            writer.line(f"{here} = place")

    # Gradients of the input.

    def _write_onto_input(self, output: Output, size: int) -> None:
        """Write the values that a group adds to the gradient, none for windows not there.

        What is added at taps outside the input falls outside the gradient too and is left out.
        """
        for g in range(min(size, self._spread(output))):
            row = self.kept[f"{output.name}_at_{g}"]
            value = f"choose(real, {self._argument(output.node, str(g))}, F(0))"
            place = f"j + {self.margin}" if self.margin else "j"
            self.writer.line(f"values[{row}, {place}] = {value}")

    def _sum_up(self, output: Output, size: int) -> None:
        """Add what a group adds to the gradient to its sums."""
        most = self._spread(output) - 1
        rows = [self.kept[f"{output.name}_at_{min(g, most)}"] for g in range(size)]
        result = [other.name for other in self.onto_input].index(output.name)
        self.lines.sum_up(result, rows)

    # What belongs to windows.

    def _write_results(self) -> None:
        writer, scattered = self.writer, self.scatter.shares
        stored = [o for o in self.graph.outputs if o.onto == Grid.WINDOW]
        summed = [o for o in self.graph.outputs if o.onto == Grid.CHANNEL]
        shared = {name: [n for share in found for n in share] for name, found in scattered.items()}
        if not (stored or summed or shared):
            return
        for output in stored:
            place = self.rows.window_place("at")
            writer.line(f"out_{output.name}_r = row(out_{output.name}, {place})")
        for output in summed:
            writer.line(f"{output.name}_sum = F(0)")
        writer.open("for j in range(count):")
        self._load([o.node for o in stored + summed] + [n for ns in shared.values() for n in ns])
        for output in stored:
            writer.line(f"out_{output.name}_r[j] = {self._argument(output.node)}")
        for output in summed:
            total = f"{output.name}_sum"
            writer.line(f"{total} = add({total}, {self._argument(output.node)})")
        for name, nodes in shared.items():
            for k, node in enumerate(nodes):
                writer.line(f"{name}_values[{k}, j] = {self._argument(node)}")
        writer.close()
        for output in summed:
            writer.line(f"out_{output.name}[p] += {output.name}_sum")
        for name in shared:
            first = self.rows.row_place((0,) * self.last, "origin")
            self.scatter.write_row(name, first, self.stride)

    def _waiting(self, node: Node) -> str:
        return f"values[{self.kept[self.names[node]]}, j]"

    def _load(self, nodes: list[Node]) -> None:
        """Take up what waits of a window's values."""
        for node in {id(node): node for node in nodes}.values():
            if not node.grid.inside and self.names[node] in self.kept:
                truth = " != F(0)" if node.op in _TRUTHS else ""
                self.writer.line(f"{self.names[node]} = {self._waiting(node)}{truth}")

    def _argument(self, node: Node, mark: str = "") -> str:
        if node.op == "constant":
            return number(float(node.value or 0))
        return f"{self.names[node]}_{mark}" if node.grid.inside else self.names[node]
