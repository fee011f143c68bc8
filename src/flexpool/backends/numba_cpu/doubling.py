"""Code for the largest or smallest of the elements of large windows of a plane that overlap.

The best of two neighbours, and that of the next two, give the best of four, and so on: windows of
31 elements take five steps instead of 30. The last step may count elements twice, which changes no
extremum. Along each row of the input the elements are doubled up, down the columns the rows.

As in :mod:`.extremes` the best of a row's columns comes first: so the first of equals is that of
the first row, and there of the first column.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.extremes import Extremes, overlaps, plus
from flexpool.backends.numba_cpu.plan import MOST_UNROLLED, Shape

__all__ = ["Doubling", "doubles"]

_FEWEST = 8  # elements of windows per element of the input


def doubles(shape: Shape) -> bool:
    """Tell whether windows of planes are that large, and overlap that much."""
    if shape.extent is None or shape.channels_last or shape.dimensions != 2 or overlaps(shape):
        return False
    (rows, columns), (down, along) = shape.extent, shape.stride
    return rows * columns > max(MOST_UNROLLED, _FEWEST * down * along)


class Doubling(Extremes):
    """Write how the extremum of each window is found; see there for the arguments."""

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, the ring, and the line that is doubled up."""
        writer, lanes = self.writer, self.lanes
        self.write_sizes()
        writer.line("begins = " + _times("(lanes - 1)", self.stride) + " + 1")
        behind = (self.columns - 1) * self.dilation[1] + 2 * lanes
        writer.line(f"line = aligned(np.full((2, begins + {behind}), {self.nothing}))")
        writer.line(f"bests = aligned(np.full(({self.ring + 1}, lanes), {self.nothing}))")
        if not self.placed:
            return
        writer.line(f"numbers = aligned(np.zeros((2, begins + {behind}), F))")
        writer.line(f"columns = aligned(np.zeros(({self.ring + 1}, lanes), F))")
        writer.line("firsts = np.zeros(lanes, F)")
        writer.line("absent = np.zeros(lanes, F)")
        writer.open("for j in range(windows):")
        writer.line("firsts[j] = F(first_1[j])")
        writer.line("absent[j] = choose(first_1[j] < stop_1[j], F(0), F(-np.inf))")
        writer.close()

    def write_along(self) -> None:
        """Write, for each row that a row of windows reads anew, the best of its windows' columns.

        Rows above and below the plane are nothing.
        """
        writer, ring = self.writer, self.ring - 1
        writer.line("start, first, last = start_0[o0], first_0[o0], stop_0[o0] - 1")
        writer.open(f"for i0 in range(max(start, known), start + {self._reach(self.rows)} + 1):")
        writer.line("known = i0 + 1")
        for name in self._rings:
            writer.line(f"{name}_r = row({name}s, (i0 & {ring}, 0))")
        writer.open("if (0 <= i0) & (i0 < height):")
        self._write_row()
        writer.close()
        writer.open("else:")
        writer.open("for j in range(lanes):")
        writer.line(f"best_r[j] = {self.nothing}")
        if self.placed:
            writer.line("column_r[j] = F(0)")
        writer.close(2)
        self._write_rows()
        writer.close()

    def _reach(self, rows: int) -> int:
        return (rows - 1) * self.dilation[0]

    def _write_row(self) -> None:
        """Write how a row of the input is doubled up, and what is kept of it.

        What is outside never wins. So only where nothing at all is better than nothing does the
        place found lie outside, before the first tap inside; then that one is taken in the end.
        """
        writer = self.writer
        writer.line(f"{self.x}_r = row(in_{self.x}, (p, i0, 0))")
        writer.open("if distant:")
        writer.line(f"fetch_ahead({self.x}_r, width)")
        writer.close()
        writer.line("line_r = row(line, (0, 0))")
        if self.placed:
            writer.line("number_r = row(numbers, (0, 0))")
        together = 1
        for shift in _shifts(self.columns):
            far = shift * self.dilation[1]
            left = (self.columns - together - shift) * self.dilation[1]
            writer.open(f"for j in range(0, {plus('begins', left)}, {self.lanes}):")
            if together == 1:
                best, new = (self._element(at) for at in ("j", f"j + {far}"))
                number, other = "spread(F(0))", "spread(F(0))"
            else:
                best, new = "load_lanes(line_r, j)", f"load_lanes(line_r, j + {far})"
                number, other = "load_lanes(number_r, j)", f"load_lanes(number_r, j + {far})"
            writer.line(f"best = {best}")
            if self.placed:
                writer.line(f"number = {number}")
            self.write_step(new, "number", f"{other} + spread(F({shift}))")
            writer.line("store_lanes(line_r, j, best)")
            if self.placed:
                writer.line("store_lanes(number_r, j, number)")
            writer.close()
            together += shift
        if self.columns == 1:
            writer.open(f"for j in range(0, begins, {self.lanes}):")
            writer.line(f"store_lanes(line_r, j, {self._element('j')})")
            writer.close()
        writer.open("for j in range(lanes):")
        writer.line(f"best_r[j] = strided(line_r, {self.stride}, j, 0)")
        if self.placed:
            writer.line(f"column_r[j] = strided(number_r, {self.stride}, j, 0)")
        writer.close()

    def _element(self, at: str) -> str:
        return f"load_apart({self.x}_r, width, base + {at}, 1, {self.nothing})[0]"

    def _write_rows(self) -> None:
        """Write how rows are doubled up, each as soon as the last it stands for is known."""
        writer, together = self.writer, 1
        for shift in _doublings(self.rows):
            self._write_pair("i0 - " + str(self._reach(2 * together)), shift)
            writer.open(f"for j in range(0, lanes, {self.lanes}):")
            self._write_joined(shift)
            for name, value in zip(self._rings, ("best", "place"), strict=False):
                writer.line(f"store_lanes({name}_a, j, {value})")
            writer.close()
            together *= 2

    def _write_pair(self, at: str, shift: int) -> None:
        """Write which rows of the ring are joined."""
        writer, ring, far = self.writer, self.ring - 1, shift * self.dilation[0]
        for name in self._rings:
            writer.line(f"{name}_a = row({name}s, (({at}) & {ring}, 0))")
            writer.line(f"{name}_b = row({name}s, (({at} + {far}) & {ring}, 0))")

    def _write_joined(self, shift: int) -> None:
        """Write the better of two rows of the ring."""
        writer = self.writer
        writer.line("best = load_lanes(best_a, j)")
        if self.placed:
            writer.line("place = load_lanes(column_a, j)")
        if shift:
            taps = f"load_lanes(column_b, j) + spread(F({shift * self.columns}))"
            self.write_step("load_lanes(best_b, j)", "place", taps)

    def open_down(self) -> None:
        """Open a loop over a row's windows, in which ``best`` and ``place`` are known.

        The place in a window without elements is -inf.
        """
        writer = self.writer
        left = self.rows - (1 << (self.rows.bit_length() - 1))
        self._write_pair("start", left)
        if self.placed:
            writer.line(f"taps = spread(F({self.columns} * first))")
            writer.line("none = spread(choose(first <= last, F(0), F(-np.inf)))")
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        self._write_joined(left)
        if self.placed:
            writer.line("least = load_lanes(firsts, j) + taps")
            writer.line("place = choose(above(least, place), least, place)")
            writer.line("place = place + load_lanes(absent, j) + none")


def _doublings(count: int) -> list[int]:
    """List how far apart are joined what stands for as many, until the next would be too many.

    Example:
        >>> _doublings(11)
        [1, 2, 4]
    """
    return [1 << step for step in range(count.bit_length() - 1)]


def _shifts(count: int) -> list[int]:
    """List the same, and last the rest.

    Example:
        >>> _shifts(11), _shifts(8), _shifts(1)
        ([1, 2, 4, 3], [1, 2, 4], [])
    """
    steps = _doublings(count)
    rest = count - sum(steps) - 1
    return [*steps, rest] if rest else steps


def _times(name: str, step: int) -> str:
    return f"{step} * {name}" if step > 1 else name
