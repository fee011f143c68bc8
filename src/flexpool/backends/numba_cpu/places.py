"""Code for gradients of maxima and minima of planes whose windows overlap.

Each window hands its gradient to one element, whose place is searched for again, as in
:mod:`.extremes`: nothing is kept from the forward pass. Then, along each row of the input that no
later window reaches, what is handed to each element is summed: of each window that covers it, its
gradient where the place is the element's tap there. Windows are added in row-major order.
:mod:`.small_extremes` does the same for planes whose rows have few windows.

Places wait in rings of as many rows as cover an element, and one more: the sums run a row of
windows late, as what has just been written in vectors and is read shifted by some numbers would
have to be waited for.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.extremes import (
    Extremes,
    is_extreme_of_element,
    overlaps,
    plus,
    ring_of,
)
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.backends.numba_cpu.scatter import Share, shares
from flexpool.ir import Graph, Grid

__all__ = ["Places", "handed", "has_places"]


def has_places(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is the gradient of a maximum or minimum of such windows."""
    return overlaps(shape) and handed(graph) is not None


def handed(graph: Graph) -> Share | None:
    """Give what each window hands to its extremum, and where that is, if it is all there is."""
    if len(graph.outputs) != 1 or graph.outputs[0].onto != Grid.ELEMENT:
        return None
    found = shares(graph.outputs[0].node) or []
    if len(found) != 1:
        return None
    ((place, value),) = found
    is_given = value.op == "leaf" and value.grid == Grid.WINDOW
    return (place, value) if is_extreme_of_element(place) and is_given else None


class Places:
    """Write the work for the plane ``p``.

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
        self.extremes = found = Extremes([place], shape, writer)
        self.lanes = found.lanes
        self.covering = -(-found.reach // shape.stride[0])  # rows of windows that meet a row
        self.ring = ring_of(self.covering + 1)
        most, _ = found.shift(found.columns - 1)
        self.margin = -(-most // self.lanes) * self.lanes

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, the rings, and behind them a row of nothing."""
        writer = self.writer
        self.extremes.write_buffers()
        each = self.extremes.stride * self.lanes
        writer.line(f"steps = (width - base + {each - 1}) // {each} * {self.lanes}")
        size = f"({self.ring + 2}, {self.margin} + max(lanes, steps))"
        writer.line(f"places = aligned(np.full({size}, F(np.inf)))")
        writer.line(f"handed = aligned(np.zeros({size}, F))")

    def write_plane(self) -> None:
        """Write the work."""
        writer = self.writer
        writer.line("known, finished, oldest = 0, 0, 0")
        writer.open("for o0 in range(rows + 1):")
        writer.line("complete = height")
        writer.open("if o0 < rows:")
        self.extremes.write_along()
        self._write_places()
        writer.line("complete = min(height, start)")
        writer.close()
        self._write_sums()
        writer.close()

    def _write_places(self) -> None:
        """Write what each window of a row hands out, and where to."""
        writer = self.writer
        ring = f"o0 & {self.ring - 1}, {self.margin}"
        writer.line(f"place_r = row(places, ({ring}))")
        writer.line(f"handed_r = row(handed, ({ring}))")
        writer.line(f"{self.grad}_r = row(in_{self.grad}, (p, o0, 0))")
        self.extremes.open_down()
        writer.line("store_lanes(place_r, j, place)")
        value = f"load_apart({self.grad}_r, windows, j, 1, F(0))[0]"
        writer.line(f"store_lanes(handed_r, j, {value})")
        writer.close()

    def _write_sums(self) -> None:
        """Write the rows of the gradient that are complete, as ``o0`` rows of windows are known."""
        writer, found, name = self.writer, self.extremes, f"out_{self.output.name}"
        writer.open("for i0 in range(finished, complete):")
        writer.line("finished = i0 + 1")
        passed = f"start_0[min(oldest, rows - 1)] + {found.reach} <= i0"
        writer.open(f"while (oldest < o0) & ({passed}):")
        writer.line("oldest += 1")
        writer.close()
        for c in range(self.covering):
            self._write_covering(c)
        writer.line(f"onto = row({name}, (p, i0, 0))")
        writer.open(f"for j in range(0, steps, {self.lanes}):")
        for residue in range(found.stride):
            writer.line(f"sum_{residue} = spread(F(0))")
        for c in range(self.covering):
            for v in reversed(range(found.columns)):
                shift, residue = found.shift(v)
                place, value = (
                    f"load_before({name}_r{c}, j, {shift})" for name in ("place", "handed")
                )
                hit = f"{place} == spread(F({plus(f'tap_{c}', v)}))"
                part = f"choose({hit}, {value}, spread(F(0)))"
                writer.line(f"sum_{residue} = sum_{residue} + {part}")
        sums = "".join(f"sum_{residue}, " for residue in range(found.stride))
        writer.line(f"store_together(onto, width, {found.begin(0)}, ({sums.strip()}))")
        writer.close(2)

    def _write_covering(self, c: int) -> None:
        """Write where a row of windows that covers the row ``i0`` has its places; else nothing."""
        writer, step = self.writer, self.extremes.dilation[0]
        writer.line(f"o = {plus('oldest', c)}")
        writer.line("u = i0 - start_0[min(o, rows - 1)]")
        meets = f" & (u % {step} == 0)" if step > 1 else ""
        writer.line(f"meets = (o < o0) & (u >= 0){meets}")
        tap = f"(u // {step})" if step > 1 else "u"
        writer.line(f"tap_{c} = {self.extremes.columns} * {tap}")
        ring = f"o & {self.ring - 1}"
        place = f"choose(meets, {ring}, {self.ring})"
        writer.line(f"place_r{c} = row(places, ({place}, {self.margin}))")
        writer.line(f"handed_r{c} = row(handed, ({ring}, {self.margin}))")
