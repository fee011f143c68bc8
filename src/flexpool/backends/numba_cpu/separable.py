"""Code for windows whose reductions can be done down the columns first and along the row after.

That is so where what is reduced depends on the element alone, as in ``x.max()`` and ``x.sum()``. A
kernel of k by k then costs 2 k steps a window instead of k * k; the first k read memory in order,
and where a window reaches over an edge, nothing is added there.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.expressions import better, expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, needed
from flexpool.backends.numba_cpu.rolled import REDUCTIONS
from flexpool.backends.numba_cpu.rows import Rows
from flexpool.ir import Graph, Grid, Node

__all__ = ["Separable", "is_separable", "of_element"]

_FEW = 8  # rows or columns that are written out instead of looped over


def is_separable(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work on overlapping or clipped windows can be split that way."""
    if shape.extent is None or shape.channels_last:
        return False
    if shape.disjoint and shape.inside and shape.unrolled(graph):
        return False  # each element is met once anyway
    if any(output.onto != Grid.WINDOW for output in graph.outputs):
        return False
    reductions = [node for node in graph.nodes() if node.op in ("sum", "max", "min")]
    return bool(reductions) and all(
        node.op not in ("argmax", "argmin", "rank", "cumsum", "tap")
        and (not node.grid.inside or of_element(node))
        for node in graph.nodes()
    )


def of_element(node: Node) -> bool:
    """Tell whether a value depends on its element, and on its channel's numbers, alone."""
    if node.op == "leaf":
        return node.grid in (Grid.ELEMENT, Grid.CHANNEL)
    plain = node.op not in (*REDUCTIONS, "cumsum", "random", "count", "tap")
    return plain and all(map(of_element, node.args))


class Separable:
    """Write the work for the windows of one row of a plane; see :class:`Rows` for the arguments."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.last = shape.dimensions - 1
        self.extent = shape.extent or ()
        self.rows = Rows(graph, shape, names, writer)
        self.reductions = [n for n in graph.nodes() if n.op in ("sum", "max", "min")]
        self.inner = needed([node.args[0] for node in self.reductions], inside=True)

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, a row per reduction, empty beyond the edges."""
        writer, last = self.writer, self.last
        writer.line(f"windows = len(start_{last})")
        writer.line(f"base = start_{last}[0]")
        writer.line("left = max(0, -base)")
        writer.line("skipped = max(0, base)")
        array = next(n.value for n in self.inner if n.op == "leaf" and n.grid == Grid.ELEMENT)
        writer.line(f"width = in_{array}.shape[{last + 1}]")
        reach = (self.extent[-1] - 1) * self.shape.dilation[-1] + 1
        writer.line(f"span = start_{last}[windows - 1] - base + {reach}")
        for node in self.reductions:
            name = self.names[node]
            size = "left + max(width, span)"
            writer.line(f"{name}_columns = np.full({size}, {_nothing(node)}, F)")
            writer.line(f"{name}_inside = {name}_columns[left:]")
            writer.line(f"{name}_from_first = {name}_columns[skipped:]")
            if self.extent[-1] > _FEW:
                writer.line(f"{name}_windows = np.empty(windows, F)")
        self.rows.write_counts()

    def write_row(self, known: set[int]) -> None:
        """Write the work for one row of windows."""
        each = self.rows.rows
        if self.shape.inside and len(each) <= _FEW:
            self._write_columns(known, list(each))
        elif len(each) <= _FEW:
            self.writer.open(f"if {' & '.join(map(self.rows.row_inside, each))}:")
            self._write_columns(known, list(each))
            self.writer.close()
            self.writer.open("else:")
            self._loop_over_columns(known)
            self.writer.close()
        else:
            self._loop_over_columns(known)
        self._write_windows(known)

    def _write_columns(self, known: set[int], rows: list[tuple[int, ...]]) -> None:
        """Reduce down all columns at once, with the rows written out."""
        writer = self.writer
        for node in self.inner:
            if node.op == "leaf" and node.grid == Grid.ELEMENT:
                for r, row in enumerate(rows):
                    place = self.rows.row_place(row, "0")
                    writer.line(f"{node.value}_r{r} = row(in_{node.value}, {place})")
                self.rows.write_fetches(str(node.value), "0", "windows")
        writer.open("for i in range(width):")
        for r in range(len(rows)):
            self._write_inner(known, f"_{r}", f"_r{r}")
        for node in self.reductions:
            name = self.names[node]
            value = self._value(node.args[0], "_0")
            for r in range(1, len(rows)):
                writer.line(f"{name}_{r} = {value}")
                value = _joined(node, f"{name}_{r}", self._value(node.args[0], f"_{r}"))
            writer.line(f"{name}_inside[i] = {value}")
        writer.close()

    def _loop_over_columns(self, known: set[int]) -> None:
        """Reduce down all columns at once, row after row, those that lie inside."""
        writer = self.writer
        for node in self.reductions:
            writer.line(f"{self.names[node]}_inside[:width] = {_nothing(node)}")
        for d in range(self.last):
            writer.open(f"for u{d} in range(first_{d}[o{d}], stop_{d}[o{d}]):")
        step = [f" * {s}" if s > 1 else "" for s in self.shape.dilation]
        places = [f"start_{d}[o{d}] + u{d}{step[d]}" for d in range(self.last)]
        for node in self.inner:
            if node.op == "leaf" and node.grid == Grid.ELEMENT:
                place = ", ".join(["p", *places, "0"])
                writer.line(f"{node.value}_r = row(in_{node.value}, ({place}))")
        writer.open("for i in range(width):")
        self._write_inner(known, "", "_r")
        for node in self.reductions:
            name = self.names[node]
            writer.line(f"{name} = {name}_inside[i]")
            value = _joined(node, name, self._value(node.args[0], ""))
            writer.line(f"{name}_inside[i] = {value}")
        writer.close(self.last + 1)

    def _write_inner(self, known: set[int], mark: str, row: str) -> None:
        """Write what is computed of one element."""
        for node in self.inner:
            if node.op == "constant" or id(node) in known:
                continue
            if node.op == "leaf":
                value = f"{node.value}{row}[i]"
            else:
                value = expression(node, [self._value(arg, mark) for arg in node.args])
            self.writer.line(f"{self.names[node]}{mark} = {value}")

    def _value(self, node: Node, mark: str) -> str:
        if node.op == "constant":
            return number(float(node.value or 0))
        return f"{self.names[node]}{mark if node.grid.inside else ''}"

    def _write_windows(self, known: set[int]) -> None:
        """Reduce along the row, and compute the rest."""
        writer, reach = self.writer, self.extent[-1]
        for name, node in self.graph.leaves().items():
            if node.op == "leaf" and node.grid == Grid.WINDOW:
                writer.line(f"{name}_r = row(in_{name}, {self.rows.window_place('0')})")
        for output in self.graph.outputs:
            writer.line(
                f"out_{output.name}_r = row(out_{output.name}, {self.rows.window_place('0')})"
            )
        self.rows.write_count_rows("0")
        if reach > _FEW:
            self._write_long_windows()
        writer.open("for j in range(windows):")
        for node in self.graph.nodes():
            if node.op == "constant" or node.grid.inside or id(node) in known:
                continue
            name = self.names[node]
            if node not in self.reductions:
                value = (
                    self.rows.load(node, 0).replace("at + j", "j")
                    if node.op in ("leaf", "random", "count")
                    else expression(node, [self._value(arg, "") for arg in node.args])
                )
                writer.line(f"{name} = {value}")
            elif reach > _FEW:
                writer.line(f"{name} = {name}_windows[j]")
            else:
                writer.line(f"{name} = {name}_from_first[{self.rows.column(0)}]")
                for v in range(1, reach):
                    writer.line(f"new = {name}_from_first[{self.rows.column(v)}]")
                    writer.line(f"{name} = {_joined(node, name, 'new')}")
        for output in self.graph.outputs:
            writer.line(f"out_{output.name}_r[j] = {self._value(output.node, '')}")
        writer.close()

    def _write_long_windows(self) -> None:
        """Reduce along the row, one column of all windows after the other."""
        writer = self.writer
        stride, dilation = self.shape.stride[-1], self.shape.dilation[-1]
        for node in self.reductions:
            name = self.names[node]
            writer.line(f"{name}_windows[:] = {_nothing(node)}")
            writer.open(f"for v in range({self.extent[-1]}):")
            writer.line(f"columns = {name}_from_first[v * {dilation}:]")
            writer.open("for j in range(windows):")
            new, old = f"columns[{stride} * j]", f"{name}_windows[j]"
            writer.line(f"new, old = {new}, {old}")
            writer.line(f"{name}_windows[j] = {_joined(node, 'old', 'new')}")
            writer.close(2)


def _nothing(node: Node) -> str:
    """Write what the reduction of no element is."""
    return {"sum": "F(0)", "max": "F(-np.inf)", "min": "F(np.inf)"}[node.op]


def _joined(node: Node, old: str, new: str) -> str:
    """Write the reduction of what came before and one more value."""
    if node.op == "sum":
        return f"{old} + {new}"
    return f"choose({better(node.op, new, old)}, {new}, {old})"
