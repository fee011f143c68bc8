"""Code for gradients of maxima and minima of small planes that windows tile.

Rows of so few windows that one vector holds them follow each other through all planes, each the
same work: what is read too much harms nobody, and what is written too much is overwritten by the
next row. So there is nothing to set up for a row but where it lies.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.extremes import FARTHEST, Extremes, lanes_of, plus
from flexpool.backends.numba_cpu.places import handed
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.ir import Graph

__all__ = ["Tiles", "has_tiles"]

_MOST = 9  # elements of a window


def has_tiles(graph: Graph, shape: Shape, windows: int) -> bool:
    """Tell whether a graph's work is that, if windows that lie in a row by so many tile a plane."""
    if shape.extent is None or shape.channels_last or shape.dimensions != 2:
        return False
    if shape.extent != shape.stride or windows > lanes_of(shape):
        return False
    if shape.extent[0] * shape.extent[1] > _MOST or shape.stride[1] > FARTHEST:
        return False
    return handed(graph) is not None


class Tiles:
    """Write the work for the planes from ``begin`` to ``end``.

    Args:
        graph: the work.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, writer: Writer) -> None:
        self.writer = writer
        (self.output,) = graph.outputs
        share = handed(graph)
        assert share is not None
        place, value = share
        self.grad = value.value
        self.extremes = Extremes([place], shape, writer)
        self.x, self.rows, self.columns = self.extremes.x, *(shape.extent or (0, 0))

    def write(self) -> None:
        """Write the work."""
        writer = self.writer
        writer.line(f"rows, windows = in_{self.grad}.shape[1], in_{self.grad}.shape[2]")
        writer.line(f"width = in_{self.x}.shape[2]")
        writer.open("for o in range(begin * rows, end * rows):")
        writer.line("left = (end * rows - o) * windows")  # as many windows are still to be done
        writer.line(f"{self.grad}_r = row(in_{self.grad}, (0, 0, o * windows))")
        writer.line(f"{self.grad}_ = load_apart({self.grad}_r, left, 0, 1, F(0))[0]")
        for u in range(self.rows):
            writer.line(f"{self.x}_r{u} = row(in_{self.x}, {self._place(u)})")
            part = f"{self.x}_r{u}, {self._left(u)}, 0, {self.columns}, F(0)"
            writer.line(f"{self.x}_{u} = load_apart({part})")
        self._write_place()
        for u in range(self.rows):
            taps = range(u * self.columns, (u + 1) * self.columns)
            nothing = "spread(F(0))"
            for tap in taps:
                hit = f"place == spread(F({tap}))"
                writer.line(f"handed_{tap} = choose({hit}, {self.grad}_, {nothing})")
            writer.line(f"onto = row(out_{self.output.name}, {self._place(u)})")
            each = "".join(f"handed_{tap}, " for tap in taps).strip()
            writer.line(f"store_together(onto, {self._left(u)}, 0, ({each}))")

    def _place(self, u: int) -> str:
        """Write where a row of the elements of a row of windows lies."""
        return f"(0, {plus(f'{self.rows} * o', u)}, 0)"

    def _left(self, u: int) -> str:
        """Write how many elements there are from there on."""
        return f"{self.rows * self.columns} * left" + (f" - {u} * width" if u else "")

    def _write_place(self) -> None:
        """Write a comparison of one element after the other."""
        self.writer.line(f"best = {self.x}_0[0]")
        self.writer.line("place = spread(F(0))")
        for tap in range(1, self.rows * self.columns):
            u, v = divmod(tap, self.columns)
            self.extremes.write_step(f"{self.x}_{u}[{v}]", "place", f"spread(F({tap}))")
