"""Code for rows of large windows of one plane: the innermost loop goes over neighbouring windows.

Windows are too large here for code without loops. So each stage (see :mod:`.rolled`) goes over the
rows of taps that lie inside, and along each over the columns, ``MOST_TOGETHER`` taps at a time. For
these a loop over the windows of a piece computes what differs inside the window and joins it to
what waits in ``values``, which has a row for each node.

A row of the input is first split into ``lines``, one for each remainder of the column by the
stride: so neighbouring windows read neighbouring values. What depends on the element alone is
computed then, once for all windows that meet it. Gradients take the way back: they are summed
in ``sums``, one line for each remainder, and these are added to a row of the gradient at once.

As in :mod:`.rows`, a piece is filled up to whole vectors with windows that are not there, and taps
outside are masked; but nothing is written for a window that is not there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from flexpool.backends.numba_cpu.expressions import better, expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, needed
from flexpool.backends.numba_cpu.rolled import REDUCTIONS, stages_of
from flexpool.backends.numba_cpu.rows import PIECE, VECTOR, Rows
from flexpool.backends.numba_cpu.scatter import Scatter
from flexpool.backends.numba_cpu.separable import is_separable, of_element
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Neighbours", "has_neighbours"]

MOST_TOGETHER = 8  # taps
FEWEST = 3  # windows of a row; for two, windows one by one take as long
_FEW = 8  # remainders that are written out instead of looped over
_TRUTHS = ("lt", "le", "eq", "ne", "and", "or", "not")


def has_neighbours(graph: Graph, shape: Shape, windows: int) -> bool:
    """Tell whether rows of so many windows are worked off together, each being large."""
    if shape.extent is None or shape.channels_last or windows < FEWEST:
        return False
    if any(node.op in ("rank", "pick", "place") for node in graph.nodes()):
        return False
    return not shape.unrolled(graph) and not is_separable(graph, shape)


class Neighbours:
    """Write the work for the windows of one row of a plane; see :class:`Rows` for the arguments."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.last = shape.dimensions - 1
        self.columns = (shape.extent or ())[-1]
        self.stride, self.dilation = shape.stride[-1], shape.dilation[-1]
        self.masked = not shape.inside
        self.rows = Rows(graph, shape, names, writer)
        self.scatter = Scatter(graph, shape, names, writer)
        self.work = self.scatter.work
        self.stages = stages_of(self.work)
        self.known: set[int] = set()
        self.onto_input = [
            output
            for output in graph.outputs
            if output.onto == Grid.ELEMENT and output.name not in self.scatter.shares
        ]
        self.onto_taps = [o for o in graph.outputs if o.onto & Grid.POSITION]
        self.group = self._group()
        self.most = (self.columns - 1) * self.dilation // self.stride
        self.margin = (self.group - 1) * self.dilation // self.stride if self.onto_input else 0
        self.length = _whole(PIECE + VECTOR + self.most)
        self.kept = self._kept()

    def _group(self) -> int:
        """Count the taps of a row that are worked off together.

        Each group begins at a multiple of the stride, so that remainders are known.
        """
        if self.columns <= MOST_TOGETHER:
            return self.columns
        period = self.stride // math.gcd(self.stride, self.dilation)
        sizes = range(period, MOST_TOGETHER + 1, period)
        return min(sizes, key=lambda size: (-(-self.columns // size), size), default=1)

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
        return self.group if output.node.grid.inside else 1

    # What is written once.

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, what its rows need."""
        writer, last = self.writer, self.last
        writer.line(f"windows = len(start_{last})")
        writer.line(f"base = start_{last}[0]")
        width = _whole(PIECE + VECTOR + 2 * self.margin)
        writer.line(f"values = aligned(np.zeros(({len(self.kept) + 1}, {width}), F))")
        several = max(len(self._lines(stage)) for stage in range(self._stages))
        if several:
            size = f"({several * self.stride + 1}, {self.length})"
            writer.line(f"lines = aligned(np.zeros({size}, F))")
        zeros = ", ".join("0" for _ in range(last + 2))
        for name in self._arrays():
            writer.line(f"{name}_edge = np.zeros({self.stride * self.length}, F)")
            writer.line(f"in_{name}_all = row(in_{name}, ({zeros}))")
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
        if self.onto_input:
            size = f"({len(self.onto_input) * self.stride + 1}, {self.length})"
            writer.line(f"sums = aligned(np.zeros({size}, F))")
            if self.stride > 1:
                writer.line(f"line = np.zeros({self.stride * self.length}, F)")

    def _arrays(self) -> list[str]:
        """Name the arrays that have a value for each element."""
        leaves = self.work.leaves().items()
        return [name for name, node in leaves if node.op == "leaf" and node.grid == Grid.ELEMENT]

    # A row of windows.

    @property
    def _stages(self) -> int:
        return max(self.stages.values(), default=0) + 1

    def write_row(self, known: set[int]) -> None:
        """Write the work for one row of windows."""
        writer, self.known = self.writer, known
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
        for output in self.onto_input:
            if output.node.grid.inside or self.stages[id(output.node)] != stage:
                continue
            self.writer.open("for j in range(lanes):")
            self._load([output.node])
            self.writer.line("real = first_r[j] < F(np.inf)")
            self._write_onto_input(output, 1)
            self.writer.close()
            self._clear_sums(output)
            self._write_groups(functools.partial(self._sum_up, output))
            self._interleave(output)
            self._open_rows()
            self._add_line(output)
            self.writer.close(self.last)

    def _write_pass(self, stage: int) -> None:
        """Go over the elements of the windows once."""
        reductions, results = self._reductions(stage), self._inner_results(stage)
        if not reductions and not results:
            return
        lines, inner = self._lines(stage), self._inner(stage)
        self._start([*reductions, *(node for node in inner if node.op == "cumsum")])
        self._open_rows()
        if lines:
            self._write_lines(lines)
        onto_input = [output for output in results if output.onto == Grid.ELEMENT]
        for output in onto_input:
            self._clear_sums(output)
        self._write_groups(lambda size: self._write_taps(stage, size))
        for output in onto_input:
            self._interleave(output)
            self._add_line(output)
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

    def _lines(self, stage: int) -> list[Node]:
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

    # The rows of the input.

    def _open_rows(self) -> None:
        """Open the loops over the rows of taps that lie inside, and write where each lies."""
        tap = "0"
        for d in range(self.last):
            self.writer.open(f"for u{d} in range(first_{d}[o{d}], stop_{d}[o{d}]):")
            step = f" * {self.shape.dilation[d]}" if self.shape.dilation[d] > 1 else ""
            self.writer.line(f"i{d} = start_{d}[o{d}] + u{d}{step}")
            size = (self.shape.extent or ())[d + 1]
            tap = f"({tap} + u{d}) * {size}" if d else f"u{d} * {size}"
        self.writer.line(f"row_tap = {tap}")

    def _row_place(self, column: str) -> str:
        return f"({', '.join(['p', *(f'i{d}' for d in range(self.last)), column])})"

    def _write_lines(self, lines: list[Node]) -> None:
        """Split a row of the input by the remainders, and compute what depends on it alone."""
        writer, stride = self.writer, self.stride
        nodes = [n for n in needed(lines, inside=True) if n.op != "constant"]
        writer.line(f"steps = lanes + {self.most}")
        for node in nodes:
            if node.op == "leaf":
                name, length = node.value, _times("steps", stride)
                place = f"index_of(in_{name}, {self._row_place('origin')})"
                edge = f"row({name}_edge, (0,))"
                row = f"row_with_edges(in_{name}_all, {place}, {length}, {edge})"
                writer.line(f"{name}_r = {row}")
        if stride > _FEW:
            writer.open(f"for r in range({stride}):")
            writer.line("split = row(lines, (r, 0))")
        writer.open("for j in range(steps):")
        for r in [0] if stride > _FEW else range(stride):
            remainder = "r" if stride > _FEW else str(r)
            for node in nodes:
                if node.op == "leaf":
                    value = f"strided({node.value}_r, {stride}, j, {remainder})"
                else:
                    value = expression(node, [self._argument(arg, str(r)) for arg in node.args])
                writer.line(f"{self.names[node]}_{r} = {value}")
            for line, node in enumerate(lines):
                value = f"{self.names[node]}_{r}"
                if stride > _FEW:
                    writer.line(f"split[{line * stride * self.length} + j] = {value}")
                else:
                    writer.line(f"lines[{line * stride + r}, j] = {value}")
        writer.close(2 if stride > _FEW else 1)

    # Taps, some of a row at a time.

    def _write_groups(self, write: Callable[[int], None]) -> None:
        """Write a loop over the groups of a row of taps, and the incomplete last group."""
        writer, left = self.writer, self.columns % self.group
        whole = self.columns - left
        if whole > self.group:
            writer.open(f"for v in range(0, {whole}, {self.group}):")
        else:
            writer.line("v = 0")
        self._open_group(write, self.group)
        if whole > self.group:
            writer.close()
        if left:
            writer.line(f"v = {whole}")
            self._open_group(write, left)

    def _open_group(self, write: Callable[[int], None], size: int) -> None:
        self.writer.line(f"shift = {_times('v', self.dilation)}")
        if self.stride > 1:
            self.writer.line(f"remainder = shift % {self.stride}")
            self.writer.line(f"shift = shift // {self.stride}")
        write(size)

    def _place(self, g: int) -> tuple[int, int]:
        """Give the remainder of a tap of a group and by how many windows it is shifted."""
        shift, remainder = divmod(g * self.dilation, self.stride)
        return remainder, shift

    def _write_taps(self, stage: int, size: int) -> None:
        """Write what some taps of a row contribute to each window of the piece."""
        writer, lines, inner = self.writer, self._lines(stage), self._inner(stage)
        reductions, results = self._reductions(stage), self._inner_results(stage)
        onto_taps = [output for output in results if output.onto != Grid.ELEMENT]
        onto_input = [output for output in results if output.onto == Grid.ELEMENT]
        cumulated = [node for node in inner if node.op == "cumsum"]
        if lines:
            remainder = "remainder" if self.stride > 1 else "0"
            writer.line(f"taps = row(lines, ({remainder}, shift))")
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
        remainder, shift = self._place(g)
        for line, node in enumerate(lines):
            at = (line * self.stride + remainder) * self.length + shift
            self.writer.line(f"{self.names[node]}_{g} = strided(taps, 1, j, {at})")
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

    def _sums_row(self, output: Output) -> int:
        return self.stride * [o.name for o in self.onto_input].index(output.name)

    def _clear_sums(self, output: Output) -> None:
        first = self._sums_row(output)
        self.writer.open(f"for j in range(lanes + {self.most}):")
        for r in range(self.stride):
            self.writer.line(f"sums[{first + r}, j] = F(0)")
        self.writer.close()

    def _sum_up(self, output: Output, size: int) -> None:
        """Add the values of a group to the sums, all that meet the same element at once."""
        writer, first = self.writer, self._sums_row(output)
        met: dict[int, list[tuple[int, int]]] = {}
        for g in range(size):
            remainder, shift = self._place(g)
            met.setdefault(remainder, []).append((g, shift))
        for remainder, taps in met.items():
            most = max(shift for _, shift in taps)
            parts = []
            for g, shift in taps:
                row = self.kept[f"{output.name}_at_{min(g, self._spread(output) - 1)}"]
                back = self.margin - shift
                parts.append(f"values[{row}, j + {back}]" if back else f"values[{row}, j]")
            at = f"{first + remainder} + remainder" if self.stride > 1 else str(first)
            writer.line(f"onto = row(sums, ({at}, shift))")
            writer.open(f"for j in range(lanes + {most}):")
            writer.line(f"onto[j] += {' + '.join(parts)}")
            writer.close()

    def _interleave(self, output: Output) -> None:
        """Bring the sums into the order of a row of the gradient."""
        if self.stride == 1:
            return
        first, writer = self._sums_row(output), self.writer
        writer.open(f"for j in range(lanes + {self.most}):")
        for r in range(self.stride):
            place = f"{self.stride} * j" + (f" + {r}" if r else "")
            writer.line(f"line[{place}] = sums[{first + r}, j]")
        writer.close()

    def _add_line(self, output: Output) -> None:
        name, stride = output.name, self.stride
        line = "row(line, (0,))" if stride > 1 else f"row(sums, ({self._sums_row(output)}, 0))"
        length = _times(f"(count + {self.most})", stride)
        self.writer.line(f"onto = row(out_{name}, {self._row_place('0')})")
        width = f"out_{name}.shape[{self.last + 1}]"
        self.writer.line(f"add_row(onto, {line}, {length}, origin, {width})")

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


def _whole(windows: int) -> int:
    return -(-windows // VECTOR) * VECTOR


def _times(name: str, step: int) -> str:
    return f"{step} * {name}" if step > 1 else name
