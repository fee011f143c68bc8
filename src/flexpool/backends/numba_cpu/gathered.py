"""Code for gradients of planes whose rows are gathered from the windows that cover them.

What each window hands to its elements lies in ``values``: a line for each tap, or one for all if
they get the same. The windows of a plane's rows lie there one behind the other. Beforehand it is
found out which rows of windows cover each row of the input. So rows are written once, in vectors,
and in order: what is too much of a vector is overwritten by the next row, of this plane or of the
one behind.
"""

from __future__ import annotations

import math

from flexpool.backends.numba_cpu.extremes import lanes_of, plus
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.backends.numba_cpu.rows import VECTOR
from flexpool.ir import Output

__all__ = ["MARGIN", "Gathered"]

MARGIN = VECTOR  # numbers that are read before the values of a line, and of no account


class Gathered:
    """Write how a gradient is gathered.

    Args:
        output: the gradient.
        length: of a line of values.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, output: Output, length: int, shape: Shape, writer: Writer) -> None:
        self.name, self.several = output.name, output.node.grid.inside
        self.shape, self.length, self.writer = shape, length, writer
        self.lanes, self.stride = lanes_of(shape), shape.stride[1]
        self.rows, self.columns = shape.extent or (0, 0)
        # A row is covered by every so many-th row of taps.
        every = shape.stride[0] // math.gcd(shape.stride[0], shape.dilation[0])
        self.most = -(-self.rows // every)

    def write_covering(self) -> None:
        """Write, once per call of the kernel, where values lie that go to each row of the input.

        For each of the rows of windows that may cover it, that is where the first tap's begin, and
        how many there are: none if fewer rows cover it.
        """
        writer, name, step = self.writer, self.name, self.shape.dilation[0]
        writer.line(f"{name}_place = np.zeros((out_{name}.shape[1], {self.most}), np.int64)")
        writer.line(f"{name}_count = np.zeros((out_{name}.shape[1], {self.most}), np.int64)")
        writer.open("for o0 in range(rows):")
        writer.open("for u in range(first_0[o0], stop_0[o0]):")
        writer.line("i0 = start_0[o0] + " + (f"{step} * u" if step > 1 else "u"))
        writer.line("c = 0")
        writer.open(f"while {name}_count[i0, c] > 0:")
        writer.line("c += 1")
        writer.close()
        taps = f" + {self.columns * self.length} * u" if self.several else ""
        writer.line(f"{name}_place[i0, c] = {MARGIN} + o0 * windows{taps}")
        writer.line(f"{name}_count[i0, c] = windows")
        writer.close(2)

    def write_planes(self) -> None:
        """Write the gradient of ``count`` planes, from ``p`` on."""
        writer, name, step = self.writer, self.name, self.stride * self.lanes
        writer.line(f"height, width = out_{name}.shape[1], out_{name}.shape[2]")
        writer.line(f"steps = (width + {step - 1}) // {step} * {self.lanes}")
        writer.open("for q in range(count):")
        writer.open("for i0 in range(height):")
        for c in range(self.most):
            writer.line(f"place = q * plane + {name}_place[i0, {c}]")
            writer.line(f"count_{c} = {name}_count[i0, {c}]")
            for v in range(self.columns if self.several else 1):
                writer.line(f"values_{c}_{v} = row({name}_values, ({v}, place))")
        writer.line(f"onto = row(out_{name}, (p + q, i0, 0))")
        writer.line("left = ((end - p - q) * height - i0) * width")
        writer.open(f"for j in range(0, steps, {self.lanes}):")
        for remainder in range(self.stride):
            self._write_sum(remainder)
        sums = "".join(f"sum_{remainder}, " for remainder in range(self.stride))
        writer.line(f"store_together(onto, left, {self.stride} * j, ({sums.strip()}))")
        writer.close(3)

    def _write_sum(self, remainder: int) -> None:
        """Write what windows hand to every ``stride``-th element from one on, in their order."""
        parts = []
        for c in range(self.most):
            for v in reversed(range(self.columns)):
                place = self.shape.column + v * self.shape.dilation[1]
                shift, found = divmod(place, self.stride)
                if found == remainder:
                    values = f"values_{c}_{v if self.several else 0}"
                    parts.append(f"load_within({values}, count_{c}, {plus('j', -shift)})")
        self.writer.line(f"sum_{remainder} = {parts[0] if parts else 'spread(F(0))'}")
        for part in parts[1:]:
            self.writer.line(f"sum_{remainder} = sum_{remainder} + {part}")
