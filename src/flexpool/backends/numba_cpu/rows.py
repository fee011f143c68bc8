"""Code for a row of windows of one plane: the innermost loop goes over neighbouring windows.

A row is worked off in pieces of ``PIECE`` windows. Gradients of a piece go to small arrays first,
whose rows have a fixed length, so that LLVM need not test whether they overlap.

Windows that reach over an edge need no loop of their own. A tap outside reads whatever lies there
and is masked: tap v of a row is present in window j where ``first[j] <= v < stop[j]``, and where
the whole row lies outside, ``first`` is infinite.

A piece is filled up to whole vectors with windows that are not there: one vector more takes less
time than a few windows one by one. What they come to is overwritten by the next row of windows; in
the last rows of a call, behind which another thread may write, it goes to a buffer instead.
"""

from __future__ import annotations

import itertools
import math

from flexpool.backends.numba_cpu.body import Body
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, by_rows
from flexpool.backends.numba_cpu.scatter import Scatter
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Rows", "window_number"]

PIECE = 256  # windows
VECTOR = 16  # windows that the widest vector of today's processors serves


class Rows:
    """Write the work for the windows of one row, whose place is in ``p``, ``o0``, ``o1``, ...

    Args:
        graph: the work.
        shape: the kernel's constants; the extent is known.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        extent = shape.extent or ()
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.last = shape.dimensions - 1
        self.rows = list(itertools.product(*map(range, extent[:-1])))
        self.columns = extent[-1]
        self.positions = math.prod(extent)
        self.stored = shape.disjoint and shape.inside  # each element is written once, at most
        self.scatter = Scatter(graph, shape, names, writer)
        self.scattered = {} if self.stored else self.scatter.shares
        work = graph if self.stored else self.scatter.work
        self.body = Body(work, names, writer, self.positions, not shape.inside, self.load)
        self.inputs = [
            (str(name), node)
            for name, node in graph.leaves().items()
            if node.op == "leaf" and node.grid in (Grid.ELEMENT, Grid.WINDOW)
        ]
        # Where little is done for each element, the windows of an incomplete vector cost less.
        much = any(node.grid.inside and node.op != "leaf" for node in graph.nodes())
        self.filled = much or not shape.inside
        self.onto_input = [
            output
            for output in graph.outputs
            if output.onto == Grid.ELEMENT and output.name not in self.scattered
        ]

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, what its rows need."""
        writer, last = self.writer, self.last
        writer.line(f"windows = len(start_{last})")
        writer.line(f"base = start_{last}[0]")
        for name, node in self.inputs if self.filled else ():
            size = f"({len(self.rows)}, {self._reach(PIECE + 1)})"
            spare = size if node.grid == Grid.ELEMENT else f"{PIECE + 1}"
            writer.line(f"{name}_edge = np.zeros({spare}, F)")
            zeros = ", ".join("0" for _ in range(self.last + 2))
            writer.line(f"in_{name}_all = row(in_{name}, ({zeros}))")
        if not self.shape.inside:
            writer.line(f"firsts = np.full((2, windows + {VECTOR}), F(np.inf))")
            writer.line(f"stops = np.zeros(windows + {VECTOR}, F)")
            writer.open("for j in range(windows):")
            writer.line(f"firsts[0, j] = first_{last}[j]")
            writer.line(f"stops[j] = stop_{last}[j]")
            writer.close()
        self.write_counts()
        if self.scattered:
            self.scatter.write_offsets()
        for output in self.graph.outputs:
            if self.filled and output.onto in (Grid.WINDOW, Grid.ELEMENT):
                self._write_end(output)
            if output.onto == Grid.WINDOW and not self.filled:
                continue
            size = f"({self._spread(output) + 1}, {PIECE + VECTOR + 2 * self._most_shift})"
            writer.line(f"{output.name}_values = aligned(np.zeros({size}, F))")
        if self.onto_input and self._streams:
            writer.line(f"waiting = aligned(np.empty({self.columns * (PIECE + VECTOR)}, F))")
        if self.onto_input and not self.stored:
            steps = PIECE + 2 * VECTOR + self._most_shift
            writer.line(f"line = aligned(np.zeros({self.shape.stride[-1] * steps}, F))")

    def write_row(self, known: set[int]) -> None:
        """Write the work for one row of windows."""
        writer = self.writer
        if not self.shape.inside:
            for r, row in enumerate(self.rows):
                writer.line(f"row_{r} = {self.row_inside(row)}")
        writer.open(f"for at in range(0, windows, {PIECE}):")
        writer.line(f"count = min({PIECE}, windows - at)")
        whole = f"(count + {VECTOR - 1}) // {VECTOR} * {VECTOR}"
        writer.line(f"lanes = {whole + self._one_more if self.filled else 'count'}")
        self._write_pointers()
        writer.open("for j in range(lanes):")
        if not self.shape.inside:
            for k in range(self.positions):
                r, v = divmod(k, self.columns)
                writer.line(f"has_{k} = (first_r{r}[j] <= F({v})) & (F({v}) < stop_r[j])")
        self.body.write(known)
        for output in self.graph.outputs:
            self._write_result(output)
        writer.close()
        for output in self.graph.outputs:
            self._place(output)
        writer.close()

    # What is written once.

    def _write_end(self, output: Output) -> None:
        """Write where what this call of the kernel may write ends: the rest is another thread's."""
        first = 2 if by_rows(self.graph, self.shape) else 1
        name = f"out_{output.name}"
        each = [f"{name}.shape[{axis}]" for axis in range(first, self.last + 2)]
        self.writer.line(f"{name}_end = {' * '.join(['end', *each])}")

    def write_counts(self) -> None:
        """Write how many elements each window has along the row, as numbers."""
        last = self.last
        for stem in self._counts():
            present = f"stop_{last}[j] - first_{last}[j]"
            self.writer.line(f"{stem} = np.zeros(windows + {VECTOR}, F)")
            self.writer.open("for j in range(windows):")
            count = f"padded_{last}[j]" if stem == "padded_count" else present
            self.writer.line(f"{stem}[j] = {count}")
            self.writer.close()

    def _counts(self) -> list[str]:
        """Name the arrays that say how many elements of each window there are along the row."""
        kinds = {bool(node.value) for node in self.graph.nodes() if node.op == "count"}
        present = ["present_count"] if False in kinds and not self.shape.inside else []
        return present + (["padded_count"] if True in kinds else [])

    # Where things lie.

    def row_inside(self, row: tuple[int, ...]) -> str:
        """Write whether a row of taps lies inside the input."""
        tests = [f"(first_{d}[o{d}] <= {u}) & ({u} < stop_{d}[o{d}])" for d, u in enumerate(row)]
        return " & ".join(tests) or "True"

    def row_place(self, row: tuple[int, ...], column: str) -> str:
        """Write where a row of taps lies in the input, from a column on."""
        places = ["p"]
        for d, u in enumerate(row):
            offset = u * self.shape.dilation[d]
            places.append(f"start_{d}[o{d}]" + (f" + {offset}" if offset else ""))
        return f"({', '.join([*places, column])})"

    def _reach(self, windows: int) -> int:
        """Count the elements of a line that neighbouring windows span."""
        return (
            self.shape.stride[-1] * (windows - 1) + (self.columns - 1) * self.shape.dilation[-1] + 1
        )

    def window_place(self, at: str) -> str:
        """Write where a row of windows lies, from a window on, in what has a value for each."""
        return f"({', '.join(['p', *(f'o{d}' for d in range(self.last)), at])})"

    def write_count_rows(self, at: str) -> None:
        """Write where the counts of a row begin, and what all of them are multiplied by.

        Read for each window, integers of 64 bits would let a vector serve half as many.
        """
        for stem in self._counts():
            kind = stem.removesuffix("_count")
            self.writer.line(f"{stem}_r = row({stem}, ({at},))")
            each = [
                f"padded_{d}[o{d}]" if kind == "padded" else f"stop_{d}[o{d}] - first_{d}[o{d}]"
                for d in range(self.last)
            ]
            if each:
                product = " * ".join(f"F({count})" for count in each)
                self.writer.line(f"{kind}_in_rows = {product}")

    def _write_pointers(self) -> None:
        """Write where the piece lies in every array that is read."""
        writer = self.writer
        if not self.shape.inside:
            for r in range(len(self.rows)):
                writer.line(f"first_r{r} = row(firsts, (0 if row_{r} else 1, at))")
            writer.line("stop_r = row(stops, (at,))")
        for name, node in self.inputs:
            if node.grid == Grid.WINDOW:
                self._write_pointer(f"{name}_r", name, self.window_place("at"), "lanes", "0,")
                continue
            for r, row in enumerate(self.rows):
                place = self._line_place(row)
                self._write_pointer(f"{name}_r{r}", name, place, self._span, f"{r}, 0")
            self.write_fetches(name, self._first_column, "count")
        for output in self.graph.outputs:
            if output.onto == Grid.WINDOW:
                name, place = f"out_{output.name}", self.window_place("at")
                if not self.filled:
                    writer.line(f"{name}_r = row({name}, {place})")
                    continue
                writer.line(f"{name}_here = index_of({name}, {place}) + lanes <= {name}_end")
                spare = f"row({output.name}_values, (0, 0))"
                writer.line(f"{name}_r = row_or({name}, {place}, {spare}, {name}_here)")
        self.write_count_rows("at")

    def _write_pointer(self, line: str, name: str, place: str, length: str, spare: str) -> None:
        """Write where a line of an array lies that may begin before the array or end behind it."""
        begin, edge = f"index_of(in_{name}, {place})", f"row({name}_edge, ({spare}))"
        with_edges = f"row_with_edges(in_{name}_all, {begin}, {length}, {edge})"
        self.writer.line(f"{line} = {with_edges if self.filled else f'row(in_{name}, {place})'}")

    def write_fetches(self, name: str, column: str, windows: str) -> None:
        """Ask for what later windows will read of the input, as much as is new in each row.

        That is what comes next, or in three dimensions the next slices, in the same place.
        """
        if not self.last:
            return
        count = f"{math.prod(self.shape.stride[-2:])} * {windows}"
        self.writer.open("if distant:")
        if self.last == 1:
            self.writer.line(f"fetch_ahead({name}_r0, {count})")
        for row in self.rows if self.last > 1 else ():
            *slices, first = row
            size, step = (self.shape.extent or ())[self.last - 2], self.shape.stride[self.last - 2]
            if first == 0 and slices[-1] >= size - step:  # the others were there before
                slices[-1] += step
                place = self.row_place((*slices, 0), column)
                self.writer.line(f"fetch(row(in_{name}, {place}), {count})")
        self.writer.close()

    @property
    def _one_more(self) -> str:
        """Write a window to add where elements between windows are skipped.

        LLVM reads a vector of them with the last skipped one, which may lie behind the array. So it
        leaves a last vector to be worked off one by one; let that be a single window.
        """
        return " + 1" if self.columns % self.shape.stride[-1] else ""

    @property
    def _span(self) -> str:
        """Write how many elements of a line the windows of a piece span."""
        stride = self.shape.stride[-1]
        more = self._reach(1) - stride
        return f"{stride} * lanes" + (f" + {more}" if more else "")

    def _line_place(self, row: tuple[int, ...]) -> str:
        return self.row_place(row, self._first_column)

    @property
    def _first_column(self) -> str:
        stride = self.shape.stride[-1]
        return "base + " + (f"{stride} * at" if stride > 1 else "at")

    def column(self, tap: int) -> str:
        """Write where a column of taps lies, from the first window's start."""
        stride, offset = self.shape.stride[-1], tap * self.shape.dilation[-1]
        return (f"{stride} * j" if stride > 1 else "j") + (f" + {offset}" if offset else "")

    def load(self, node: Node, k: int) -> str:
        """Write how a leaf, a count or a random number is read."""
        if node.op == "random":
            place = window_number("p", [*(f"o{d}" for d in range(self.last)), "at + j"])
            return f"F(uniform({node.value}_key, {node.value}_offset, {place}))"
        if node.op == "count":
            return self._count(bool(node.value))
        name = node.value
        if node.grid == Grid.CHANNEL:
            return f"in_{name}[c]"
        if node.grid.in_kernel:
            return f"in_{name}[c, {k}]"
        if node.grid == Grid.WINDOW:
            return f"{name}_r[j]"
        r, v = divmod(k, self.columns)
        stride, offset = self.shape.stride[-1], v * self.shape.dilation[-1]
        if offset < stride:
            return f"strided({name}_r{r}, {stride}, j, {offset})"
        return f"{name}_r{r}[{self.column(v)}]"  # LLVM must not see that the next window reads it

    def _count(self, padding: bool) -> str:
        if self.shape.inside and not padding:
            return f"F({self.positions})"
        kind = "padded" if padding else "present"
        return f"{kind}_in_rows * {kind}_count_r[j]" if self.last else f"{kind}_count_r[j]"

    # Results.

    def _spread(self, output: Output) -> int:
        """Count the buffers of a result: one per position, or one if all would be equal."""
        if output.name in self.scattered:
            return 2 * len(self.scattered[output.name])
        masked = bool(output.onto & Grid.POSITION) and not self.shape.inside
        several = output.node.grid.inside or output.onto & Grid.RANK or masked
        return self.positions if several else 1

    def _value(self, output: Output, k: int) -> str:
        place = f"j + {self._most_shift}" if self._most_shift else "j"
        return f"{output.name}_values[{min(k, self._spread(output) - 1)}, {place}]"

    def _write_result(self, output: Output) -> None:
        if output.onto == Grid.WINDOW:
            self.writer.line(f"out_{output.name}_r[j] = {self.body.value(output.node, 0)}")
            return
        if output.name in self.scattered:
            nodes = itertools.chain.from_iterable(self.scattered[output.name])
            for k, node in enumerate(nodes):
                self.writer.line(f"{self._value(output, k)} = {self.body.value(node, 0)}")
            return
        for k in range(self._spread(output)):
            value = self.body.value(output.node, k)
            if output.onto & Grid.POSITION:
                value = self.body.present(value, k, "F(0)")
            self.writer.line(f"{self._value(output, k)} = {value}")

    def _place(self, output: Output) -> None:
        """Bring a piece's results to where they belong."""
        name, shift, writer = output.name, self._most_shift, self.writer
        if output.onto == Grid.WINDOW and not self.filled:
            return
        if output.onto == Grid.WINDOW:
            writer.open(f"if not out_{name}_here:")
            writer.line(f"onto = row(out_{name}, {self.window_place('at')})")
            writer.open("for j in range(count):")
            writer.line(f"onto[j] = out_{name}_r[j]")
            writer.close(2)
        elif output.name in self.scattered:
            first = self._line_place((0,) * self.last)
            self.scatter.write_row(name, first, self.shape.stride[-1])
        elif output.onto == Grid.ELEMENT:
            if self.stored:
                self._store_rows(output)
            else:
                self._add_rows(output)
        elif output.onto == Grid.CHANNEL:
            writer.line(f"out_{name}[p] += total(row({name}_values, (0, {shift})), count)")
        else:
            for k in range(self.positions):
                values = f"row({name}_values, ({min(k, self._spread(output) - 1)}, {shift}))"
                writer.line(f"out_{name}[p, {k}] += total({values}, count)")

    def _store_rows(self, output: Output) -> None:
        """Interleave a piece's values into the gradient."""
        writer, name = self.writer, f"out_{output.name}"
        for r, row in enumerate(self.rows):
            place = self._line_place(row)
            writer.line(f"onto = row({name}, {place})")
            onto = "onto"
            if self._streams:
                onto = "to"
                writer.line("to = row_or(onto, (0,), waiting, not streamed)")
            count = "count"
            if self._spills:
                count = "written"
                stop = f"index_of({name}, {place}) + {self.columns} * lanes"
                all_fit = f"(not cleared) & (windows <= {PIECE}) & ({stop} <= {name}_end)"
                writer.line(f"written = choose({all_fit}, lanes, count)")
            writer.open(f"for j in range({count}):")
            for v in range(self.columns):
                value = self._value(output, r * self.columns + v)
                writer.line(f"{onto}[{self.column(v)}] = {value}")
            writer.close()
            if self._streams:
                writer.open("if streamed:")
                writer.line(f"stream(onto, to, {self.columns} * count)")
                writer.close()

    @property
    def _streams(self) -> bool:
        """Whether a row of windows writes whole rows of the gradient."""
        return self.stored and self.shape.stride[-1] == self.columns

    @property
    def _spills(self) -> bool:
        """Whether what is too much falls on elements that are written later, if windows tile.

        In three dimensions a row lies before one of the slice that was written with it.
        """
        return self._streams and self.filled and self.last < 2

    @property
    def _residues(self) -> dict[int, list[tuple[int, int]]]:
        """Group a row's taps by what is left of their column after whole strides.

        Taps of one group meet the same elements, some windows apart.
        """
        groups: dict[int, list[tuple[int, int]]] = {}
        for v in range(self.columns):
            shift, residue = divmod(v * self.shape.dilation[-1], self.shape.stride[-1])
            groups.setdefault(residue, []).append((v, shift))
        return dict(sorted(groups.items()))

    @property
    def _most_shift(self) -> int:
        """Count the windows between the first and the last that meet the same element."""
        if self.stored or not self.onto_input:
            return 0
        return max(shift for taps in self._residues.values() for _, shift in taps)

    def _add_rows(self, output: Output) -> None:
        """Sum what meets the same element and add it to the gradient, row of taps by row.

        Before and after the values of a piece lie zeros, as many as windows overlap.
        """
        writer, stride, name = self.writer, self.shape.stride[-1], output.name
        most = self._most_shift
        if most:
            writer.open(f"for k in range({self._spread(output)}):")
            for extra in range(most):
                writer.line(f"{name}_values[k, count + {most + extra}] = F(0)")
            writer.close()
            writer.line(f"steps = (count + {most + VECTOR - 1}) // {VECTOR} * {VECTOR}")
        for r, row in enumerate(self.rows):
            if not self.shape.inside:
                writer.open(f"if row_{r}:")
            writer.open(f"for j in range({'steps' if most else 'lanes'}):")
            for residue, taps in self._residues.items():
                parts = []
                for v, shift in taps:
                    k = min(r * self.columns + v, self._spread(output) - 1)
                    back = f"j + {most - shift}" if most > shift else "j"
                    parts.append(f"{name}_values[{k}, {back}]")
                place = f"{stride} * j" if stride > 1 else "j"
                place += f" + {residue}" if residue else ""
                writer.line(f"line[{place}] = {' + '.join(parts)}")
            writer.close()
            writer.line(f"onto = row(out_{name}, {self.row_place(row, '0')})")
            length = f"{stride} * (count + {most})" if stride > 1 else f"count + {most}"
            width = f"out_{name}.shape[{self.last + 1}]"
            writer.line(f"add_row(onto, row(line, (0,)), {length}, {self._first_column}, {width})")
            if not self.shape.inside:
                writer.close()


def window_number(item: str, places: list[str]) -> str:
    """Write a window's number, row-major over (N, C, *output)."""
    index = item
    for d, place in enumerate(places):
        index = f"({index} * len(start_{d}) + {place})"
    return index
