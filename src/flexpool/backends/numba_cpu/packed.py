"""Code for a row of windows where channels lie next to each other and are few.

A loop over six channels is too short for vectors. So the values at one position of neighbouring
windows are first copied next to each other, all channels of a window after those of the one before;
the innermost loop then goes over windows and channels alike. Gradients are copied back in the same
way. Both copies move :data:`~flexpool.backends.numba_math.LANES` values at a time; what is too much
is overwritten by the next.
"""

from __future__ import annotations

import itertools

from flexpool.backends.numba_cpu.body import Body
from flexpool.backends.numba_cpu.plan import Names, Shape, Writer
from flexpool.ir import Graph, Grid, Node, Output

__all__ = ["Packed", "packs"]

PIECE = 512  # values: whole windows are worked off until these are full
FEW = 32  # channels


def packs(graph: Graph, shape: Shape, channels: int) -> bool:
    """Tell whether a kernel gains by packing, and can do so.

    Gradients can if the windows of a row lie side by side; a number per channel or position, or a
    random number, would have to be told apart again.
    """
    side_by_side = shape.extent is not None and shape.extent[-1:] == shape.stride[-1:]
    side_by_side &= shape.disjoint and max(shape.dilation) == 1
    onto = {output.onto for output in graph.outputs}
    return (
        shape.channels_last
        and shape.inside
        and shape.unrolled(graph)
        and 1 < channels < FEW
        and channels % 16 != 0
        and onto <= {Grid.WINDOW, Grid.ELEMENT}
        and (Grid.ELEMENT not in onto or side_by_side)
        and all(node.op != "random" for node in graph.nodes())
    )


class Packed:
    """Write the work for one row of windows of image ``n``, at ``o0``, ``o1``, ...

    Args:
        graph: the work.
        shape: the kernel's constants; every window lies inside the input.
        names: of the nodes.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, names: Names, writer: Writer) -> None:
        self.graph, self.shape, self.names, self.writer = graph, shape, names, writer
        self.last = shape.dimensions - 1
        self.taps = list(itertools.product(*map(range, shape.extent or ())))
        self.columns = (shape.extent or (1,))[-1]
        self.body = Body(graph, names, writer, len(self.taps), masked=False, load=self._load)
        self.lines: list[tuple[str, str]] = []
        self.leaves = [(str(n), a) for n, a in graph.leaves().items() if a.op == "leaf"]

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, the lines that values are packed into."""
        writer, count = self.writer, len(self.taps)
        writer.line(f"windows = len(start_{self.last})")
        writer.line(f"most = max(1, {PIECE} // channels)")
        for name, node in self.leaves:
            if node.grid == Grid.ELEMENT:
                self._write_lines(f"{name}_lines", f"{name}_r", count)
            elif node.grid == Grid.CHANNEL:
                writer.line(f"{name}_r = np.empty({PIECE}, F)")
                self._write_tiles(f"{name}_r[j] = in_{name}[j % channels]")
            elif node.grid.in_kernel:
                self._write_lines(f"{name}_lines", f"{name}_r", count)
                for k in range(count):
                    self._write_tiles(f"{name}_lines[{k}, j] = in_{name}[{k}, j % channels]")
        for output in self.graph.outputs:
            if output.onto == Grid.ELEMENT:
                self._write_lines(
                    f"{output.name}_lines", f"{output.name}_row", self._spread(output)
                )

    def write_row(self) -> None:
        """Write the work."""
        writer = self.writer
        writer.open("for at in range(0, windows, most):")
        writer.line("count = min(most, windows - at)")
        for line, place in self.lines:
            writer.line(f"{line} = {place}")
        window = ", ".join(["n", *(f"o{d}" for d in range(self.last)), "at", "0"])
        for name, node in self.leaves:
            if node.grid == Grid.ELEMENT:
                step = f"{self.shape.stride[-1]} * channels"
                for k, tap in enumerate(self.taps):
                    writer.line(f"line = row(in_{name}, ({self._place(tap)}))")
                    writer.line(f"pack(line, {step}, channels, count, {name}_r{k})")
            elif node.grid == Grid.WINDOW:
                writer.line(f"{name}_r = row(in_{name}, ({window}))")
        for output in self.graph.outputs:
            if output.onto == Grid.WINDOW:
                writer.line(f"out_{output.name}_r = row(out_{output.name}, ({window}))")
        writer.open("for j in range(count * channels):")
        self.body.write(set())
        for output in self.graph.outputs:
            self._write_result(output)
        writer.close()
        for output in self.graph.outputs:
            if output.onto == Grid.ELEMENT:
                self._place_rows(output)
        writer.close()

    def _write_lines(self, lines: str, line: str, count: int) -> None:
        self.writer.line(f"{lines} = aligned(np.empty(({count + 1}, {PIECE} + LANES), F))")
        self.lines += [(f"{line}{k}", f"row({lines}, ({k}, 0))") for k in range(count)]

    def _write_tiles(self, assignment: str) -> None:
        self.writer.open(f"for j in range({PIECE}):")
        self.writer.line(assignment)
        self.writer.close()

    def _spread(self, output: Output) -> int:
        """Count the lines of a result: one per position, or one if all would be equal."""
        return len(self.taps) if output.node.grid.inside else 1

    def _place(self, tap: tuple[int, ...]) -> str:
        """Write where a position lies in the first window of a piece."""
        places = ["n"]
        for d, u in enumerate(tap):
            offset = u * self.shape.dilation[d]
            start = f"start_{d}[{f'o{d}' if d < self.last else 'at'}]"
            places.append(start + (f" + {offset}" if offset else ""))
        return ", ".join([*places, "0"])

    def _load(self, node: Node, k: int) -> str:
        if node.op == "count":
            return f"F({len(self.taps)})"
        inside = node.grid == Grid.ELEMENT or node.grid.in_kernel
        return f"{node.value}_r{k}[j]" if inside else f"{node.value}_r[j]"

    def _write_result(self, output: Output) -> None:
        if output.onto == Grid.WINDOW:
            self.writer.line(f"out_{output.name}_r[j] = {self.body.value(output.node, 0)}")
            return
        for k in range(self._spread(output)):
            self.writer.line(f"{output.name}_row{k}[j] = {self.body.value(output.node, k)}")

    def _place_rows(self, output: Output) -> None:
        """Copy the values of a row's positions to where they lie: one window after the other."""
        writer, name = self.writer, output.name
        for first in range(0, len(self.taps), self.columns):
            writer.line(f"onto = row(out_{name}, ({self._place(self.taps[first])}))")
            writer.line(f"safe = unharmed(count, {self.columns} * channels, channels)")
            for begin, end, copy in (
                ("0", "safe", "copy_lanes"),
                ("safe", "count", "copy_exactly"),
            ):
                writer.open(f"for i in range({begin}, {end}):")
                for v in range(self.columns):
                    source = f"{name}_row{min(first + v, self._spread(output) - 1)}"
                    place = f"({self.columns} * i + {v}) * channels"
                    writer.line(f"{copy}(onto, {place}, {source}, i * channels, channels)")
                writer.close()
