"""Code that splits rows of a plane by the stride, so that neighbouring windows meet neighbours.

Tap v of the windows of a row meets every ``stride``-th element. So a row of the input is split into
``lines``, one for each remainder of the column by the stride; what depends on the element alone is
computed then, once for all windows that meet it. Gradients take the way back: they are summed in
``sums``, one line for each remainder, and these are added to a row of the gradient at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flexpool.backends.numba_cpu.expressions import expression, number
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer, needed
from flexpool.backends.numba_cpu.rows import PIECE, VECTOR
from flexpool.ir import Node

__all__ = ["Lines", "whole_vectors"]

MOST_TOGETHER = 8  # taps
_FEW = 8  # remainders that are written out instead of looped over


class Lines:
    """Write how lines are made and added up; the kernel's loops set ``lanes`` and ``origin``.

    Args:
        shape: the kernel's constants; the extent is known.
        names: of the nodes.
        writer: where to write.

    Attributes:
        group: how many taps of a row are worked off together. Each group begins at a multiple of
            the stride, so that the remainders of its taps are known.
        margin: by how many windows the taps of a group are shifted at most.
    """

    def __init__(self, shape: Shape, names: Names, writer: Writer) -> None:
        self.shape, self.names, self.writer = shape, names, writer
        self.last = shape.dimensions - 1
        self.columns = (shape.extent or ())[-1]
        self.stride, self.dilation = shape.stride[-1], shape.dilation[-1]
        self.group = self._group()
        self.margin = (self.group - 1) * self.dilation // self.stride
        self.most = (self.columns - 1) * self.dilation // self.stride
        self.length = whole_vectors(PIECE + VECTOR + self.most)

    def _group(self) -> int:
        if self.columns <= MOST_TOGETHER:
            return self.columns
        period = self.stride // math.gcd(self.stride, self.dilation)
        sizes = range(period, MOST_TOGETHER + 1, period)
        return min(sizes, key=lambda size: (-(-self.columns // size), size), default=1)

    # What is written once.

    def write_buffers(self, lines: int, arrays: Sequence[str], results: int) -> None:
        """Write, once per call of the kernel, what lines need.

        Args:
            lines: how many values of an element are kept at once.
            arrays: names of the arrays that lines are made of.
            results: how many gradients are summed.
        """
        writer, zeros = self.writer, ", ".join("0" for _ in range(self.last + 2))
        if lines:
            size = f"({lines * self.stride + 1}, {self.length})"
            writer.line(f"lines = aligned(np.zeros({size}, F))")
        for name in arrays:
            writer.line(f"{name}_edge = np.zeros({self.stride * self.length}, F)")
            writer.line(f"in_{name}_all = row(in_{name}, ({zeros}))")
        if results:
            size = f"({results * self.stride + 1}, {self.length})"
            writer.line(f"sums = aligned(np.zeros({size}, F))")
            if self.stride > 1:
                writer.line(f"line = np.zeros({self.stride * self.length}, F)")

    # Rows of the input.

    def open_rows(self) -> None:
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

    def write_split(self, lines: list[Node]) -> None:
        """Split a row of the input, and compute what depends on it alone."""
        writer, stride = self.writer, self.stride
        nodes = [node for node in needed(lines, inside=True) if node.op != "constant"]
        writer.line(f"steps = lanes + {self.most}")
        for node in nodes:
            if node.op == "leaf":
                name, length = node.value, _times("steps", stride)
                place = f"index_of(in_{name}, {self._row_place('origin')})"
                edge = f"row({name}_edge, (0,))"
                row = f"row_with_edges(in_{name}_all, {place}, {length}, {edge})"
                writer.line(f"{name}_r = {row}")
        looped = stride > _FEW
        if looped:
            writer.open(f"for r in range({stride}):")
            writer.line("split = row(lines, (r, 0))")
        writer.open("for j in range(steps):")
        for r in range(1 if looped else stride):
            for node in nodes:
                if node.op == "leaf":
                    value = f"strided({node.value}_r, {stride}, j, {'r' if looped else r})"
                else:
                    value = expression(node, [self._argument(arg, r) for arg in node.args])
                writer.line(f"{self.names[node]}_{r} = {value}")
            for line, node in enumerate(lines):
                onto = f"split[{line * stride * self.length} + j]"
                onto = onto if looped else f"lines[{line * stride + r}, j]"
                writer.line(f"{onto} = {self.names[node]}_{r}")
        writer.close(1 + looped)

    def _argument(self, node: Node, r: int) -> str:
        if node.op == "constant":
            return number(float(node.value or 0))
        return f"{self.names[node]}_{r}" if node.grid.inside else self.names[node]

    def write_shift(self) -> None:
        """Write where tap ``v`` finds its line, and by how many windows it is shifted there."""
        self.writer.line(f"shift = {_times('v', self.dilation)}")
        if self.stride > 1:
            self.writer.line(f"remainder = shift % {self.stride}")
            self.writer.line(f"shift = shift // {self.stride}")

    def write_taps(self) -> None:
        """Write where the first tap of a group reads."""
        remainder = "remainder" if self.stride > 1 else "0"
        self.writer.line(f"taps = row(lines, ({remainder}, shift))")

    def tap(self, line: int, g: int) -> str:
        """Write how a tap of a group is read, for window ``j``."""
        remainder, shift = self._place(g)
        at = (line * self.stride + remainder) * self.length + shift
        return f"strided(taps, 1, j, {at})"

    def _place(self, g: int) -> tuple[int, int]:
        """Give the remainder of a tap of a group and by how many windows it is shifted."""
        shift, remainder = divmod(g * self.dilation, self.stride)
        return remainder, shift

    # Rows of the gradient; each result has its number.

    def clear_sums(self, result: int) -> None:
        """Write how sums begin."""
        self.writer.open(f"for j in range(lanes + {self.most}):")
        for r in range(self.stride):
            self.writer.line(f"sums[{result * self.stride + r}, j] = F(0)")
        self.writer.close()

    def sum_up(self, result: int, rows: list[int]) -> None:
        """Add the values of a group, all that meet the same element at once.

        Args:
            result: the number of the gradient.
            rows: of ``values``, one for each tap of the group.
        """
        writer, first = self.writer, result * self.stride
        met: dict[int, list[tuple[int, int]]] = {}
        for g, row in enumerate(rows):
            remainder, shift = self._place(g)
            met.setdefault(remainder, []).append((row, shift))
        for remainder, taps in met.items():
            most = max(shift for _, shift in taps)
            parts = []
            for row, shift in taps:
                back = self.margin - shift
                parts.append(f"values[{row}, j + {back}]" if back else f"values[{row}, j]")
            at = f"{first + remainder} + remainder" if self.stride > 1 else str(first)
            writer.line(f"onto = row(sums, ({at}, shift))")
            writer.open(f"for j in range(lanes + {most}):")
            writer.line(f"onto[j] += {' + '.join(parts)}")
            writer.close()

    def interleave(self, result: int) -> None:
        """Bring the sums into the order of a row of the gradient."""
        if self.stride == 1:
            return
        self.writer.open(f"for j in range(lanes + {self.most}):")
        for r in range(self.stride):
            place = f"{self.stride} * j" + (f" + {r}" if r else "")
            self.writer.line(f"line[{place}] = sums[{result * self.stride + r}, j]")
        self.writer.close()

    def add_to_row(self, result: int, name: str) -> None:
        """Add the sums to a row of the gradient of that name."""
        stride = self.stride
        line = "row(line, (0,))" if stride > 1 else f"row(sums, ({result * stride}, 0))"
        length = _times(f"(count + {self.most})", stride)
        self.writer.line(f"onto = row(out_{name}, {self._row_place('0')})")
        width = f"out_{name}.shape[{self.last + 1}]"
        self.writer.line(f"add_row(onto, {line}, {length}, origin, {width})")


def whole_vectors(windows: int) -> int:
    """Count the windows of so many whole vectors that these find room."""
    return -(-windows // VECTOR) * VECTOR


def _times(name: str, step: int) -> str:
    return f"{step} * {name}" if step > 1 else name
