"""Code for the largest or smallest of the elements of windows of a plane that overlap.

Two loops over vectors of neighbouring windows find it:

* Along a row of the input, the best of each window's columns; windows below one another share it.
* Down a row of windows, the best of its rows' bests.

As a window's rows come one after the other in row-major order, the first of equals is that of the
first row, and there of the first column; so its place, the tap's number, is known too.

What the first loop finds waits in rings of as many rows as one row of windows reads.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.backends.numba_extrema import VECTOR_BYTES
from flexpool.ir import Grid, Node

__all__ = [
    "FARTHEST",
    "Extremes",
    "is_extreme_of_element",
    "lanes_of",
    "overlaps",
    "plus",
    "ring_of",
]

_MOST = 8  # rows or columns of a window that are written out
FARTHEST = 4  # columns from one window to the next for which vectors are taken apart


def overlaps(shape: Shape) -> bool:
    """Tell whether windows of planes overlap, or reach over an edge, and are as small as that."""
    if shape.extent is None or shape.channels_last or shape.dimensions != 2:
        return False
    if shape.disjoint and shape.inside:
        return False
    return shape.stride[-1] <= FARTHEST and max(shape.extent) <= _MOST


def is_extreme_of_element(node: Node) -> bool:
    """Tell whether a node is an extremum of what is given for each element, or its place."""
    if node.op not in ("max", "min", "argmax", "argmin"):
        return False
    return node.args[0].op == "leaf" and node.args[0].grid == Grid.ELEMENT


class Extremes:
    """Write how the extremum of each window is found.

    Args:
        nodes: the extremum, or its place, or both.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, nodes: list[Node], shape: Shape, writer: Writer) -> None:
        self.writer, self.x = writer, nodes[0].args[0].value
        largest = nodes[0].op in ("max", "argmax")
        self.placed = any(node.op in ("argmax", "argmin") for node in nodes)
        self.better = "above" if largest else "below"
        self.nothing = f"F({'-' if largest else ''}np.inf)"
        self.lanes = lanes_of(shape)
        self.rows, self.columns = shape.extent or (0, 0)
        self.stride, self.dilation = shape.stride[1], shape.dilation
        self.reach = (self.rows - 1) * self.dilation[0] + 1
        self.ring = ring_of(self.reach)

    def shift(self, column: int) -> tuple[int, int]:
        """Tell by how many windows, and by how many elements more, a column is shifted."""
        return divmod(column * self.dilation[1], self.stride)

    def begin(self, shift: int) -> str:
        """Write in which column the elements begin that are shifted by some windows."""
        if self.stride == 1:
            return f"base + {plus('j', shift)}"
        return f"base + {self.stride} * " + (f"(j + {shift})" if shift else "j")

    def write_sizes(self) -> None:
        """Write how many windows and elements there are, and where the first row of them begins."""
        writer = self.writer
        writer.line("rows, windows = len(start_0), len(start_1)")
        writer.line("base = start_1[0]")
        writer.line(f"height, width = in_{self.x}.shape[1], in_{self.x}.shape[2]")
        writer.line(f"lanes = (windows + {self.lanes - 1}) // {self.lanes} * {self.lanes}")

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, the rings, which are nothing at first."""
        writer = self.writer
        self.write_sizes()
        size = f"({self.ring + 1}, lanes)"
        writer.line(f"bests = aligned(np.full({size}, {self.nothing}))")
        if not self.placed:
            return
        writer.line(f"columns = aligned(np.zeros({size}, F))")
        writer.line("firsts = np.zeros(lanes, F)")
        writer.open("for j in range(windows):")
        writer.line("firsts[j] = choose(first_1[j] < stop_1[j], F(first_1[j]), F(-np.inf))")
        writer.close()

    def write_along(self) -> None:
        """Write, for each row that a row of windows reads anew, the best of its windows' columns.

        What is outside never wins. So where all others are no better, the place that stays is that
        of the first column inside, with which the search begins.
        """
        writer = self.writer
        writer.line("start, first, last = start_0[o0], first_0[o0], stop_0[o0] - 1")
        stop = f"start + {_times('last', self.dilation[0])} + 1"
        writer.open(f"for i0 in range(max(0, start, known), {stop}):")
        writer.line("known = i0 + 1")
        writer.line(f"{self.x}_r = row(in_{self.x}, (p, i0, 0))")
        writer.open("if distant:")
        writer.line(f"fetch_ahead({self.x}_r, width)")
        writer.close()
        for name in self._rings:
            writer.line(f"{name}_r = row({name}s, (i0 & {self.ring - 1}, 0))")
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        for shift in sorted({self.shift(v)[0] for v in range(self.columns)}):
            part = f"{self.x}_r, width, {self.begin(shift)}, {self.stride}, {self.nothing}"
            writer.line(f"{self.x}_{shift} = load_apart({part})")
        writer.line(f"best = {self.x}_0[0]")
        if self.placed:
            writer.line("column = load_lanes(firsts, j)")
        for v in range(1, self.columns):
            shift, more = self.shift(v)
            self.write_step(f"{self.x}_{shift}[{more}]", "column", f"spread(F({v}))")
        for name in self._rings:
            writer.line(f"store_lanes({name}_r, j, {name})")
        writer.close(2)

    def open_down(self) -> None:
        """Open a loop over a row's windows, in which ``best`` and ``place`` are known.

        The place in a window without elements is -inf.

        Instead of a row outside, the nearest inside is looked at once more, which changes nothing.
        Where none is inside, ``first`` lies behind the plane, where the ring still holds nothing.
        """
        writer = self.writer
        for u in range(self.rows):
            writer.line(f"u = max(min({u}, last), first)")
            i0 = f"start + {_times('u', self.dilation[0])}"
            for name in self._rings:
                writer.line(f"{name}_r{u} = row({name}s, (({i0}) & {self.ring - 1}, 0))")
            if self.placed:
                taps = f"choose(first <= last, F({self.columns} * u), F(-np.inf))"
                writer.line(f"taps_{u} = spread({taps})")
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        writer.line("best = load_lanes(best_r0, j)")
        if self.placed:
            writer.line("place = load_lanes(column_r0, j) + taps_0")
        for u in range(1, self.rows):
            place = f"load_lanes(column_r{u}, j) + taps_{u}"
            self.write_step(f"load_lanes(best_r{u}, j)", "place", place)

    def write_result(self, node: Node) -> str:
        """Write what a node is of a window, ``best`` or ``place``; where there is none, -1."""
        if node.op in ("max", "min"):
            return "best"
        self.writer.line("none = spread(F(-1))")
        return "choose(above(none, place), none, place)"

    @property
    def _rings(self) -> list[str]:
        return ["best", "column"] if self.placed else ["best"]

    def write_step(self, new: str, place: str, number: str) -> None:
        """Write a comparison with what was the best so far."""
        self.writer.line(f"new = {new}")
        self.writer.line(f"wins = {self.better}(new, best)")
        self.writer.line("best = choose(wins, new, best)")
        if self.placed:
            self.writer.line(f"{place} = choose(wins, {number}, {place})")


def lanes_of(shape: Shape) -> int:
    """Count the numbers of a vector."""
    return VECTOR_BYTES // (4 if shape.dtype == "float32" else 8)


def plus(name: str, number: int) -> str:
    """Write a sum, but not of nothing."""
    return f"{name} + {number}" if number else name


def ring_of(rows: int) -> int:
    """Round up to a power of two: a row's place in the ring is then a single instruction away."""
    return 1 << (rows - 1).bit_length()


def _times(name: str, step: int) -> str:
    return f"{name} * {step}" if step > 1 else name
