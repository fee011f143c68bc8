"""Code for gradients of maxima and minima of large windows of a plane that overlap.

Too many windows meet an element to look through them, as :mod:`.places` does. So each window adds
what it hands out where that belongs, one after the other: PyTorch's order.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.doubling import Doubling, doubles
from flexpool.backends.numba_cpu.places import handed
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.backends.numba_cpu.scatter import Scatter
from flexpool.ir import Graph

__all__ = ["Handing", "hands"]


def hands(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is the gradient of a maximum or minimum of such windows."""
    return doubles(shape) and handed(graph) is not None


class Handing:
    """Write the work for the plane ``p``; see :class:`Places` for the arguments."""

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.writer, self.stride = writer, shape.stride[1]
        share = handed(graph)
        assert share is not None
        place, value = share
        self.output, self.grad = graph.outputs[0].name, value.value
        self.extremes = Doubling([place], shape, writer)
        self.scatter = Scatter(graph, shape, names, writer)

    def write_buffers(self) -> None:
        """Write what is needed once per call of the kernel."""
        self.extremes.write_buffers()
        self.scatter.write_offsets()
        self.writer.line(f"{self.output}_values = aligned(np.zeros((3, lanes), F))")

    def write_plane(self) -> None:
        """Write the work."""
        writer, name = self.writer, self.output
        writer.line("known, count = start_0[0], windows")
        writer.line(f"out_{name}[p] = F(0)")
        writer.open("for o0 in range(rows):")
        self.extremes.write_along()
        writer.line(f"place_r = row({name}_values, (0, 0))")
        self.extremes.open_down()
        writer.line("store_lanes(place_r, j, place)")
        writer.close()
        writer.line(f"{self.grad}_r = row(in_{self.grad}, (p, o0, 0))")
        writer.open("for j in range(windows):")
        writer.line(f"{name}_values[1, j] = {self.grad}_r[j]")
        writer.close()
        self.scatter.write_row(name, "(p, start, base)", self.stride)
        writer.close()
