"""Code for maxima and minima of planes whose windows overlap, and for their places.

Where rows have few windows, :mod:`.small_extremes` takes less time.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.doubling import Doubling, doubles
from flexpool.backends.numba_cpu.extremes import Extremes, is_extreme_of_element, overlaps
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.ir import Graph, Grid

__all__ = ["Maxima", "has_maxima"]


def has_maxima(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is the maximum or minimum of such windows, or its place.

    Where no windows overlap, to go down the columns first takes less time.
    """
    nodes = [output.node for output in graph.outputs]
    if not ((overlaps(shape) and not shape.disjoint) or doubles(shape)):
        return False
    if not all(map(is_extreme_of_element, nodes)):
        return False
    if any(output.onto != Grid.WINDOW for output in graph.outputs):
        return False
    return len({(node.op.removeprefix("arg"), node.args[0]) for node in nodes}) == 1


class Maxima:
    """Write the work for some rows of windows of the plane ``p``.

    Args:
        graph: the work.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, writer: Writer) -> None:
        self.writer, self.outputs = writer, graph.outputs
        nodes = [output.node for output in graph.outputs]
        self.extremes = (Doubling if doubles(shape) else Extremes)(nodes, shape, writer)

    def write_buffers(self) -> None:
        """Write what is needed once per call of the kernel."""
        self.extremes.write_buffers()

    def write_plane(self) -> None:
        """Write the work. What vectors write too much is overwritten by the next row."""
        writer = self.writer
        writer.line("known = start_0[low_row]")
        writer.open("for o0 in range(low_row, high_row):")
        self.extremes.write_along()
        for output in self.outputs:
            writer.line(f"{output.name}_r = row(out_{output.name}, (p, o0, 0))")
        writer.line("left = (end - p * rows - o0) * windows")
        self.extremes.open_down()
        for output in self.outputs:
            value = self.extremes.write_result(output.node)
            writer.line(f"store_together({output.name}_r, left, j, ({value},))")
        writer.close(2)
