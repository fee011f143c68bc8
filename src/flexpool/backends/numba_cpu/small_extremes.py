"""Code for maxima and minima of small planes whose windows overlap, and for their gradients.

With a few windows in a row most of a vector is empty, and what :mod:`.maxima` and :mod:`.places` do
once for each row takes longer than the rest. So planes are dealt out to lines here (see
:mod:`.dealt`), along which all windows of several planes are worked off, one tap after the other.

What elements are handed is summed along lines like these: of each window that covers it, what that
hands out if its extremum is the element's tap there. Windows are added in row-major order.
"""

from __future__ import annotations

import math

import numpy as np

from flexpool.backends.numba_cpu.dealt import Dealt
from flexpool.backends.numba_cpu.extremes import Extremes, overlaps
from flexpool.backends.numba_cpu.maxima import has_maxima
from flexpool.backends.numba_cpu.places import handed, has_places
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.ir import Graph, Node

__all__ = ["SmallExtremes", "has_extremes", "has_small_extremes"]

# Bytes that have a number for each window of a row. In longer rows, to deal elements out and to
# compare each tap takes longer than what vectors leave over, and than each row's beginning.
MOST_VALUES = 128
MOST_GRADIENT = 224

MOST_WINDOWS = 16384  # of a plane: its lines stay in the second cache, or near
MOST_TAPS = 9  # for each element: with more, to compare rows and columns apart takes less time


def has_small_extremes(graph: Graph, shape: Shape, windows: tuple[int, ...]) -> bool:
    """Tell whether planes of so many windows are worked off together."""
    if not has_extremes(graph, shape) or not shape.unrolled(graph):
        return False
    if math.prod(shape.extent or ()) > MOST_TAPS * math.prod(shape.stride):
        return False
    most = MOST_GRADIENT if handed(graph) else MOST_VALUES
    short = windows[1] * np.dtype(shape.dtype).itemsize < most
    return short and math.prod(windows) <= MOST_WINDOWS


def has_extremes(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is an extremum of windows that overlap, or its gradient."""
    return overlaps(shape) and (has_maxima(graph, shape) or has_places(graph, shape))


class SmallExtremes:
    """Write the work for the planes from ``begin`` to ``end``.

    Args:
        graph: the work, for which :func:`has_small_extremes` is true.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, writer: Writer) -> None:
        self.writer, self.outputs, self.share = writer, graph.outputs, handed(graph)
        nodes = [self.share[0]] if self.share else [output.node for output in graph.outputs]
        self.extremes = found = Extremes(nodes, shape, writer)
        self.lanes, self.positions = found.lanes, math.prod(shape.extent or ())
        self.dealt = Dealt(str(found.x), found.nothing, shape, writer)

    def write(self) -> None:
        """Write the work."""
        self.dealt.write_begin()
        for k in range(self.positions):
            line, shift = self.dealt.tap(k)
            self.writer.line(f"tap_{k} = row({self.extremes.x}_lines, ({line}, {shift}))")
        if self.extremes.placed:
            self._write_firsts()
        if self.share:
            self._write_gradient(*self.share)
        else:
            self._write_values()

    def _write_firsts(self) -> None:
        """Write the place of each window's first element, which stays if no other is better.

        It is -inf in a window without elements, and NaN where there is no window.
        """
        writer = self.writer
        writer.line("firsts = np.full(length, F(np.nan))")
        writer.open("for q in range(together):")
        writer.open("for o0 in range(rows):")
        writer.open("for o1 in range(windows):")
        some = "(first_0[o0] < stop_0[o0]) & (first_1[o1] < stop_1[o1])"
        first = f"F({self.extremes.columns} * first_0[o0] + first_1[o1])"
        at = "q * area + o0 * pitch + o1"
        writer.line(f"firsts[{at}] = choose({some}, {first}, F(-np.inf))")
        writer.close(3)

    def _open_windows(self) -> None:
        """Open a loop over all windows, in which ``best`` and ``place`` are known.

        What is outside never wins, as in :class:`Extremes`.
        """
        writer = self.writer
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        writer.line("best = load_lanes(tap_0, j)")
        if self.extremes.placed:
            writer.line("place = load_lanes(firsts, j)")
        for k in range(1, self.positions):
            self.extremes.write_step(f"load_lanes(tap_{k}, j)", "place", f"spread(F({k}))")

    def _write_values(self) -> None:
        writer = self.writer
        for output in self.outputs:
            writer.line(f"{output.name}_line = np.empty(length, F)")
        self.dealt.open_planes()
        self.dealt.write_deal()
        self._open_windows()
        for output in self.outputs:
            value = self.extremes.write_result(output.node)
            writer.line(f"store_lanes({output.name}_line, j, {value})")
        writer.close()
        self._open_rows()
        writer.line("left = ((end - p - q) * rows - o0) * windows")
        for output in self.outputs:
            writer.line(f"line = row({output.name}_line, (at,))")
            writer.line(f"onto = row(out_{output.name}, (p + q, o0, 0))")
            writer.open(f"for j in range(0, windows, {self.lanes}):")
            writer.line("store_together(onto, left, j, (load_lanes(line, j),))")
            writer.close()
        writer.close(3)

    def _write_gradient(self, place: Node, value: Node) -> None:
        writer, dealt, grad = self.writer, self.dealt, value.value
        writer.line(f"in_{grad}_all = row(in_{grad}, (0, 0, 0))")
        for name in ("places", "handed"):
            writer.line(f"{name} = np.full(length, F(np.nan))")
        dealt.write_lines("sums", "F(0)")
        dealt.open_planes()
        dealt.write_deal()
        self._open_windows()
        writer.line("initial = load_lanes(firsts, j)")
        writer.line("place = choose(initial == initial, place, initial)")
        writer.line("store_lanes(places, reach + j, place)")
        writer.close()
        self._open_rows()
        writer.line("line = row(handed, (reach + at,))")
        writer.line(f"first = index_of(in_{grad}, (p + q, o0, 0))")
        writer.open(f"for j in range(0, windows, {self.lanes}):")
        part = f"in_{grad}_all, in_{grad}.size, first + j, 1, F(0)"
        writer.line(f"store_lanes(line, j, load_apart({part})[0])")
        writer.close(3)
        self._write_sums()
        dealt.write_collect("sums", f"out_{self.outputs[0].name}")
        writer.close()

    def _open_rows(self) -> None:
        """Open a loop over the planes' rows of windows, which lie in a line from ``at`` on."""
        self.writer.open("for q in range(count):")
        self.writer.open("for o0 in range(rows):")
        self.writer.line("at = q * area + o0 * pitch")

    def _write_sums(self) -> None:
        """Write what each element is handed. Of windows, the first reach it with their last tap."""
        writer = self.writer
        taps = [(k, *self.dealt.tap(k)) for k in reversed(range(self.positions))]
        lines = sorted({line for _, line, _ in taps})
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        for line in lines:
            writer.line(f"sum_{line} = spread(F(0))")
        for k, line, shift in taps:
            at = f"reach + j - ({shift})"
            hit = f"load_lanes(places, {at}) == spread(F({k}))"
            part = f"choose({hit}, load_lanes(handed, {at}), spread(F(0)))"
            writer.line(f"sum_{line} = sum_{line} + {part}")
        for line in lines:
            writer.line(f"store_lanes(row(sums, ({line}, 0)), j, sum_{line})")
        writer.close()
