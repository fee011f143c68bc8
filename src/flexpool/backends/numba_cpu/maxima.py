"""Code for maxima and minima of planes whose windows overlap."""

from __future__ import annotations

from flexpool.backends.numba_cpu.extremes import Extremes, is_extreme_of_element, overlaps
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.ir import Graph

__all__ = ["Maxima", "has_maxima"]


def has_maxima(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is the maximum or minimum of such windows, and nothing else.

    Where none overlap, to go down the columns first takes less time.
    """
    if not overlaps(shape) or shape.disjoint or len(graph.outputs) != 1:
        return False
    node = graph.outputs[0].node
    return node.op in ("max", "min") and is_extreme_of_element(node)


class Maxima:
    """Write the work for some rows of windows of the plane ``p``.

    Args:
        graph: the work.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, writer: Writer) -> None:
        self.writer = writer
        (self.output,) = graph.outputs
        self.extremes = Extremes(self.output.node, shape, writer)

    def write_buffers(self) -> None:
        """Write what is needed once per call of the kernel."""
        self.extremes.write_buffers()

    def write_plane(self) -> None:
        """Write the work. What vectors write too much is overwritten by the next row."""
        writer, name = self.writer, f"out_{self.output.name}"
        writer.line("known = 0")
        writer.open("for o0 in range(low_row, high_row):")
        self.extremes.write_along()
        writer.line(f"{self.output.name}_r = row({name}, (p, o0, 0))")
        writer.line("left = (end - p * rows - o0) * windows")
        self.extremes.open_down()
        writer.line(f"store_together({self.output.name}_r, left, j, (best,))")
        writer.close(2)
