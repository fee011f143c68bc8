"""Code that deals the elements of planes out to lines, as cards are, and collects them again.

Where windows are two apart, every other element of every other row goes to the same line, so that
there are four lines. What a tap reads for neighbouring windows are then neighbours in one line, and
for windows below one another they are ``pitch`` apart. So the windows of several planes are worked
off as one line, where a tap is a shift, and no element is copied twice.

Rows of windows are ``pitch`` apart, too, which is more than they have: at the places behind them,
and below the last of a plane, are none.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.extremes import lanes_of, plus
from flexpool.backends.numba_cpu.plan import Shape, Writer

__all__ = ["Dealt"]

MOST_TOGETHER = 384  # places of a line, if planes are no larger: all stays in the first cache


class Dealt:
    """Write how planes are dealt out, and collected.

    Args:
        name: of an array like the input, which is dealt out.
        nothing: what taps outside of a plane read.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, name: str, nothing: str, shape: Shape, writer: Writer) -> None:
        self.name, self.nothing, self.writer = name, nothing, writer
        self.lanes, self.inside = lanes_of(shape), shape.inside
        (self.down, self.along), self.dilation = shape.stride, shape.dilation
        extent = self.rows, self.columns = shape.extent or (0, 0)
        self.lines = self.down * self.along
        # Of every so many-th element of a row, from each on: by how many places, and to which line.
        self.shares = [divmod(r - shape.column, self.along) for r in range(self.along)]
        each = zip(extent, shape.dilation, shape.stride, strict=True)
        self.reach = [(k - 1) * d // s for k, d, s in each]

    def tap(self, k: int) -> tuple[int, str]:
        """Tell which line a tap reads, and how far behind a window's place."""
        u, v = divmod(k, self.columns)
        rows, a = divmod(u * self.dilation[0], self.down)
        places, b = divmod(v * self.dilation[1], self.along)
        return a * self.along + b, plus(f"{rows} * pitch", places) if rows else str(places)

    def write_begin(self) -> None:
        """Write, once per call of the kernel, the lines, which are nothing at first."""
        writer, name = self.writer, self.name
        writer.line("rows, windows = len(start_0), len(start_1)")
        writer.line(f"height, width = in_{name}.shape[1], in_{name}.shape[2]")
        depth = f"(height - start_0[0] + {self.down - 1}) // {self.down}"
        pitch = f"(width - start_1[0] + {self.along - 1}) // {self.along}"
        writer.line(f"depth = max({plus('rows', self.reach[0])}, {depth})")
        writer.line(f"pitch = max({plus('windows', self.reach[1])}, {pitch})")
        writer.line("area = depth * pitch")
        writer.line(f"together = max(1, min(end - begin, {MOST_TOGETHER} // area))")
        writer.line(f"reach = {self.reach[0]} * pitch + {self.reach[1]}")
        # Of whole vectors, so that every line begins where a cache line does.
        length = f"together * area + 2 * reach + {3 * self.lanes}"
        writer.line(f"length = ({length}) // {self.lanes} * {self.lanes}")
        each = self.along * self.lanes
        writer.line(f"steps = (width + {each - 1}) // {each} * {self.lanes}")
        writer.line(f"in_{name}_all = row(in_{name}, (0, 0, 0))")
        self.write_lines(f"{name}_lines", self.nothing)
        if not self.inside:
            self._write_within()

    def write_lines(self, lines: str, value: str) -> None:
        """Write, once per call of the kernel, lines like those that are dealt out to."""
        self.writer.line(f"{lines} = aligned(np.full(({self.lines + 1}, length), {value}))")

    def _write_within(self) -> None:
        """Write which numbers of a row's vectors are the row's: 0, the others 1."""
        writer = self.writer
        writer.line(f"within = aligned(np.ones(({self.along + 1}, steps), F))")
        writer.open("for j in range(width):")
        writer.line(f"within[j % {self.along}, j // {self.along}] = F(0)")
        writer.close()
        for r in range(self.along):
            writer.line(f"within_{r} = row(within, ({r}, 0))")

    def open_planes(self) -> None:
        """Open the loop over planes that are worked off together."""
        self.writer.open("for p in range(begin, end, together):")
        self.writer.line("count = min(together, end - p)")
        self.writer.line(
            f"lanes = (count * area + {self.lanes - 1}) // {self.lanes} * {self.lanes}"
        )

    def write_deal(self) -> None:
        """Write how planes are dealt out.

        What vectors have too much becomes nothing, or else it would be where rows have padding.
        """
        writer = self.writer
        self._open_rows(f"{self.name}_lines")
        writer.line(f"first = index_of(in_{self.name}, (p + q, i0, 0))")
        writer.open(f"for j in range(0, steps, {self.lanes}):")
        part = f"in_{self.name}_all, in_{self.name}.size, first + {self.along} * j, {self.along}"
        writer.line(f"read = load_apart({part}, F(0))")
        for r, (shift, b) in enumerate(self.shares):
            value = f"read[{r}]"
            if not self.inside:
                within = f"load_lanes(within_{r}, j) == spread(F(0))"
                value = f"choose({within}, {value}, spread({self.nothing}))"
            writer.line(f"store_lanes(line_{b}, {plus('j', shift)}, {value})")
        writer.close(3)

    def write_collect(self, lines: str, onto: str) -> None:
        """Write how an array like the input is collected.

        What a vector has too much is overwritten by the next row, of this plane or the one behind.
        """
        writer = self.writer
        self._open_rows(lines)
        writer.line(f"onto = row({onto}, (p + q, i0, 0))")
        writer.line("left = ((end - p - q) * height - i0) * width")
        writer.open(f"for j in range(0, steps, {self.lanes}):")
        each = [f"load_lanes(line_{b}, {plus('j', shift)})," for shift, b in self.shares]
        writer.line(f"store_together(onto, left, {self.along} * j, ({' '.join(each)}))")
        writer.close(3)

    def _open_rows(self, lines: str) -> None:
        """Open a loop over the planes' rows, where the lines that a row is dealt to are known."""
        writer = self.writer
        writer.open("for q in range(count):")
        writer.open("for i0 in range(height):")
        writer.line("i = i0 - start_0[0]")
        place = f"q * area + i // {self.down} * pitch"
        for b in range(self.along):
            line = plus(f"i % {self.down} * {self.along}", b)
            writer.line(f"line_{b} = row({lines}, ({line}, {place}))")
