"""The kernel over elements: one lane per element gathers from the windows that hold it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from flexpool.backends.task import Geometry
from flexpool.backends.triton_gpu.kernel import Kernel, Scope
from flexpool.backends.triton_gpu.plan import below, kept
from flexpool.ir import Graph, Grid, Node
from flexpool.ir.nodes import SCANS
from flexpool.window import Window

__all__ = ["Elements"]


class Elements(Kernel):
    """Print the kernel over elements.

    Args:
        graph: what is computed.
        geometry: where the windows lie; its sizes do not enter the text of a sliding window.
        dtype: "float32" or "float64".
    """

    def __init__(self, graph: Graph, geometry: Geometry, dtype: str) -> None:
        super().__init__(graph, dtype, lambda node: not node.grid & (Grid.WINDOW | Grid.POSITION))
        self.geometry = geometry
        self.count = range(geometry.dimensions)

    def write(self, totals: Sequence[tuple[str, Node]]) -> None:
        """Write the body.

        Args:
            totals: where to store sums over windows: name of the pointer, value added by each.
        """
        self._place_elements()
        nodes = [node for _, node in totals]
        self.prepare(below(nodes, lambda node: not kept(node)))
        for name, node in totals:
            self.line(self.comment(node), f"{name}_total = {self.block_of('0.0')}")
        scope = Scope()
        with contextlib.ExitStack() as loops:
            for d, slots in enumerate(_slots(self.geometry)):
                loops.enter_context(self.block(f"for slot_{d} in tl.static_range({slots}):"))
                self._find_window(d, slots)
            self._name_window()
            for name, node in totals:
                self.line(f"{name}_total += tl.where(valid, {self.value(node, scope)}, 0.0)")
        for name, _ in totals:
            self.line(f"tl.store({self.parameter(name)} + element, {name}_total, mask=exists)")

    def define(self, node: Node, scope: Scope) -> str:
        """Write the line that computes a value, or the one that reads what was kept."""
        if not kept(node):
            return super().define(node, scope)
        name = self.label(node)
        place = f"window * {self.geometry.positions} + tap" if node.op in SCANS else "window"
        pointer = self.parameter(f"{name}_kept")
        self.line(f"{name} = {self.load(f'{pointer} + {place}', node, scope)}")
        return name

    def expression(self, node: Node, scope: Scope) -> str:
        """Write how a value follows from its arguments, or from where the element lies."""
        return f"tap.to({self.dtype})" if node.op == "tap" else super().expression(node, scope)

    def _place_elements(self) -> None:
        self.line(
            "element = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)",
            "exists = element < total",
            "plane = element",
        )
        for d in reversed(self.count):
            self.line(f"place_{d} = plane % size_{d}", f"plane = plane // size_{d}")
        self.line("channel = plane % channels")

    def _find_window(self, d: int, slots: int) -> None:
        """Write which window of one dimension a slot stands for, in ascending order."""
        window = self.geometry.window
        if isinstance(window, Window):
            stride, dilation, kernel = window.stride[d], window.dilation[d], window.kernel_size[d]
            last = f"(place_{d} + before_{d}) // {stride}"
            offset = f"place_{d} + before_{d} - at_{d} * {stride}"
            holds = f"(at_{d} >= 0) & (at_{d} < outputs_{d}) & (tap_{d} < {kernel})"
            self.line(
                f"at_{d} = {last} - {slots - 1} + slot_{d}" if slots > 1 else f"at_{d} = {last}"
            )
            if dilation == 1:
                self.line(f"tap_{d} = {offset}", f"holds_{d} = {holds}")
            else:
                self.line(
                    f"offset_{d} = {offset}",
                    f"tap_{d} = offset_{d} // {dilation}",
                    f"holds_{d} = {holds} & (offset_{d} == tap_{d} * {dilation})",
                )
        else:
            self.line(
                f"at_{d} = place_{d} * outputs_{d} // size_{d} + slot_{d}",
                f"tap_{d} = place_{d} - at_{d} * size_{d} // outputs_{d}",
                f"holds_{d} = at_{d} <= ((place_{d} + 1) * outputs_{d} - 1) // size_{d}",
            )

    def _name_window(self) -> None:
        window, tap = "plane", "tap_0"
        for d in self.count:
            window = f"{window if d == 0 else f'({window})'} * outputs_{d} + at_{d}"
        for d in self.count[1:]:
            tap = f"{tap if d == 1 else f'({tap})'} * {self.geometry.extent[d]} + tap_{d}"
        holds = " & ".join(f"holds_{d}" for d in self.count)
        self.line(f"valid = exists & {holds}", f"window = {window}", f"tap = {tap}")


def _slots(geometry: Geometry) -> list[int]:
    """Count per dimension how many windows at most hold one element."""
    if isinstance(geometry.window, Window):
        each = zip(geometry.window.effective_kernel, geometry.window.stride, strict=True)
        return [-(-kernel // stride) for kernel, stride in each]
    slots = []
    for size, placement in zip(geometry.sizes, geometry.placements, strict=True):
        steps = np.zeros(size + 1, dtype=np.int64)
        np.add.at(steps, placement.start, 1)
        np.add.at(steps, placement.end, -1)
        slots.append(int(np.cumsum(steps).max(initial=0)))
    return slots
