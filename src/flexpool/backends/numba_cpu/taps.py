"""Code that copies what the taps of a row of windows read to lines, one for each tap, in vectors.

LLVM makes vectors of such a loop too, but works off what is left of a row one by one: of 14 windows
that is almost half. Here whole vectors are written; of several rows, each overwrites what was too
much of the one before.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.extremes import lanes_of, plus
from flexpool.backends.numba_cpu.plan import Shape, Writer

__all__ = ["Taps"]


class Taps:
    """Write how rows of ``windows`` are split.

    Args:
        names: of the arrays that taps read.
        rows: how many rows of taps there are.
        length: from one tap's line to the next; each needs room for a vector more.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(
        self, names: list[str], rows: int, length: int, shape: Shape, writer: Writer
    ) -> None:
        self.names, self.rows, self.length, self.writer = names, rows, length, writer
        self.lanes, self.step = lanes_of(shape), shape.stride[-1]
        # By how many windows, and by how many elements more, a column of taps is shifted.
        columns = range((shape.extent or ())[-1])
        self.places = [divmod(v * shape.dilation[-1], self.step) for v in columns]
        self.axes = shape.dimensions + 1

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, the lines."""
        for name in self.names:
            size = f"({self.rows * len(self.places) + 1}, {self.length})"
            self.writer.line(f"{name}_taps = aligned(np.empty({size}, F))")
            self.writer.line(f"in_{name}_all = row(in_{name}, ({', '.join('0' * self.axes)}))")

    def write_row(self, places: list[str], first: str) -> None:
        """Write how a row is split.

        What lies before and behind it is read, too, and outside of the array a 1, since for 0 some
        functions take long.

        Args:
            places: where each row of taps begins.
            first: which place in the lines its first window has.
        """
        writer, columns = self.writer, len(self.places)
        for name in self.names:
            for u, place in enumerate(places):
                writer.line(f"begin_{u} = index_of(in_{name}, {place})")
            writer.line(f"onto = row({name}_taps, (0, {first}))")
            writer.open(f"for j in range(0, windows, {self.lanes}):")
            for u in range(self.rows):
                for shift in sorted({shift for shift, _ in self.places}):
                    begin = plus(f"begin_{u} + {self.step} * j", self.step * shift)
                    part = f"in_{name}_all, in_{name}.size, {begin}, {self.step}, F(1)"
                    writer.line(f"read = load_apart({part})")
                    for v, (found, remainder) in enumerate(self.places):
                        if found == shift:
                            at = plus("j", (u * columns + v) * self.length)
                            writer.line(f"store_lanes(onto, {at}, read[{remainder}])")
            writer.close()
