"""Code for gradients of maxima and minima of planes whose windows overlap.

Each window hands its gradient to one element, whose place is searched for again: nothing is kept
from the forward pass. Three loops, all over vectors of neighbouring windows, do that:

* Along a row of the input, the best of each window's columns, and which it is. Windows below one
  another share these. As a window's rows come one after the other in row-major order, so do its
  places: the first of equals is that of the first row, and there of the first column.
* Down a row of windows, the best of its rows' bests. This gives the place: the tap's number.
* Along a row of the input that no later window reaches, the sum of what is handed to each element:
  of each window that covers it, its gradient where the place is the element's tap there. Windows
  are added in row-major order.

The rows of the first two wait in rings of as many as one row of windows reads, or covers an
element. The third loop runs a row of windows late: what has just been written in vectors and is
read shifted by some numbers would have to be waited for.
"""

from __future__ import annotations

from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.backends.numba_cpu.scatter import Share, shares
from flexpool.backends.numba_extrema import VECTOR_BYTES
from flexpool.ir import Graph, Grid

__all__ = ["Places", "has_places"]

_MOST = 8  # rows or columns of a window that are written out
_FARTHEST = 4  # columns from one window to the next for which vectors are taken apart


def has_places(graph: Graph, shape: Shape) -> bool:
    """Tell whether a graph's work is the gradient of a maximum or minimum of such windows."""
    if shape.extent is None or shape.channels_last or shape.dimensions != 2:
        return False
    if (shape.disjoint and shape.inside) or shape.stride[-1] > _FARTHEST:
        return False
    if max(shape.extent) > _MOST or len(_handed(graph)) != 1:
        return False
    ((place, value),) = _handed(graph)
    return (
        place.op in ("argmax", "argmin")
        and place.args[0].op == value.op == "leaf"
        and place.args[0].grid == Grid.ELEMENT
        and value.grid == Grid.WINDOW
    )


def _handed(graph: Graph) -> list[Share]:
    """List what each window hands to elements, if that is the graph's only work."""
    if len(graph.outputs) != 1 or graph.outputs[0].onto != Grid.ELEMENT:
        return []
    return shares(graph.outputs[0].node) or []


class Places:
    """Write the work for one plane.

    Args:
        graph: the work.
        shape: the kernel's constants.
        writer: where to write.
    """

    def __init__(self, graph: Graph, shape: Shape, writer: Writer) -> None:
        self.writer = writer
        (self.output,) = graph.outputs
        ((place, value),) = _handed(graph)
        self.x, self.grad = place.args[0].value, value.value
        self.better = "above" if place.op == "argmax" else "below"
        self.nothing = f"F({'-' if place.op == 'argmax' else ''}np.inf)"
        self.lanes = VECTOR_BYTES // (4 if shape.dtype == "float32" else 8)
        self.rows, self.columns = shape.extent or (0, 0)
        self.stride, self.dilation = shape.stride[1], shape.dilation
        self.reach = (self.rows - 1) * self.dilation[0] + 1
        self.covering = -(-self.reach // shape.stride[0])  # rows of windows that meet a row
        self.read = _whole_power(self.reach)
        self.kept = _whole_power(self.covering + 1)
        most = self._shift(self.columns - 1)[0]
        self.margin = -(-most // self.lanes) * self.lanes

    def _shift(self, column: int) -> tuple[int, int]:
        """Tell by how many windows, and by how many elements more, a tap is shifted."""
        return divmod(column * self.dilation[1], self.stride)

    def _begin(self, shift: int) -> str:
        """Write where the elements begin that are shifted by some windows."""
        if self.stride == 1:
            return _plus("j", shift)
        return f"{self.stride} * " + (f"(j + {shift})" if shift else "j")

    def write_buffers(self) -> None:
        """Write, once per call of the kernel, the rings of rows."""
        writer, whole = self.writer, f"{self.lanes} * {self.lanes}"
        writer.line("rows, windows = len(start_0), len(start_1)")
        writer.line("base = start_1[0]")
        writer.line(f"height, width = in_{self.x}.shape[1], in_{self.x}.shape[2]")
        writer.line(f"lanes = (windows + {self.lanes - 1}) // {whole}")
        each = self.stride * self.lanes
        writer.line(f"steps = (width - base + {each - 1}) // {each} * {self.lanes}")
        writer.line("firsts = np.full(lanes, F(np.inf))")  # no tap has this number
        writer.open("for j in range(windows):")
        writer.line("firsts[j] = choose(first_1[j] < stop_1[j], F(first_1[j]), F(np.inf))")
        writer.close()
        for name in ("bests", "columns"):
            writer.line(f"{name} = aligned(np.zeros(({self.read + 1}, lanes), F))")
        size = f"({self.kept + 2}, {self.margin} + max(lanes, steps))"
        writer.line(f"places = aligned(np.full({size}, F(np.inf)))")
        writer.line(f"handed = aligned(np.zeros({size}, F))")

    def write_plane(self) -> None:
        """Write the work for the plane ``p``."""
        writer = self.writer
        writer.line("known, finished, oldest = 0, 0, 0")
        writer.open("for o0 in range(rows + 1):")
        writer.line("stop = height")
        writer.open("if o0 < rows:")
        writer.line("start, first, last = start_0[o0], first_0[o0], stop_0[o0] - 1")
        writer.line("stop = min(height, start)")
        self._write_along()
        self._write_down()
        writer.close()
        self._write_sums()
        writer.close()

    def _write_along(self) -> None:
        """Write, for each row of the input that is new, the best of each window's columns."""
        writer, far = self.writer, _times(self.dilation[0])
        writer.open(f"for i0 in range(max(0, start, known), start + last{far} + 1):")
        writer.line("known = i0 + 1")
        writer.line(f"{self.x}_r = row(in_{self.x}, (p, i0, 0))")
        writer.open("if distant:")
        writer.line(f"fetch_ahead({self.x}_r, width)")
        writer.close()
        for name in ("best", "column"):
            writer.line(f"{name}_r = row({name}s, (i0 & {self.read - 1}, 0))")
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        for shift in sorted({self._shift(v)[0] for v in range(self.columns)}):
            begin = f"base + {self._begin(shift)}"
            part = f"load_apart({self.x}_r, width, {begin}, {self.stride}, {self.nothing})"
            writer.line(f"{self.x}_{shift} = {part}")
        writer.line(f"best = {self.x}_0[0]")
        writer.line("column = load_lanes(firsts, j)")
        for v in range(1, self.columns):
            shift, more = self._shift(v)
            writer.line(f"new = {self.x}_{shift}[{more}]")
            writer.line(f"wins = {self.better}(new, best)")
            writer.line("best = choose(wins, new, best)")
            writer.line(f"column = choose(wins, spread(F({v})), column)")
        writer.line("store_lanes(best_r, j, best)")
        writer.line("store_lanes(column_r, j, column)")
        writer.close(2)

    def _write_down(self) -> None:
        """Write the place in each window of a row.

        A row outside is another time the nearest inside, which changes nothing.
        """
        writer = self.writer
        for u in range(self.rows):
            writer.line(f"u = max(min({u}, last), first)")
            ring = f"(start + u{_times(self.dilation[0])}) & {self.read - 1}"
            writer.line(
                f"begin_{u} = spread(choose(first <= last, F({self.columns} * u), F(np.inf)))"
            )
            for name in ("best", "column"):
                writer.line(f"{name}_r{u} = row({name}s, ({ring}, 0))")
        ring = f"o0 & {self.kept - 1}, {self.margin}"
        writer.line(f"place_r = row(places, ({ring}))")
        writer.line(f"handed_r = row(handed, ({ring}))")
        writer.line(f"{self.grad}_r = row(in_{self.grad}, (p, o0, 0))")
        writer.open(f"for j in range(0, lanes, {self.lanes}):")
        writer.line("best = load_lanes(best_r0, j)")
        writer.line("place = load_lanes(column_r0, j) + begin_0")
        for u in range(1, self.rows):
            writer.line(f"new = load_lanes(best_r{u}, j)")
            writer.line(f"wins = {self.better}(new, best)")
            writer.line("best = choose(wins, new, best)")
            writer.line(f"place = choose(wins, load_lanes(column_r{u}, j) + begin_{u}, place)")
        writer.line("store_lanes(place_r, j, place)")
        value = f"load_apart({self.grad}_r, windows, j, 1, F(0))[0]"
        writer.line(f"store_lanes(handed_r, j, {value})")
        writer.close()

    def _write_sums(self) -> None:
        """Write the rows of the gradient that are complete; ``o0`` rows of windows are known."""
        writer, name = self.writer, f"out_{self.output.name}"
        writer.open("for i0 in range(finished, stop):")
        writer.line("finished = i0 + 1")
        writer.open(f"while (oldest < o0) & (start_0[min(oldest, rows - 1)] + {self.reach} <= i0):")
        writer.line("oldest += 1")
        writer.close()
        for c in range(self.covering):
            self._write_covering(c)
        writer.line(f"onto = row({name}, (p, i0, 0))")
        writer.open(f"for j in range(0, steps, {self.lanes}):")
        for residue in range(self.stride):
            writer.line(f"sum_{residue} = spread(F(0))")
        for c in range(self.covering):
            for v in reversed(range(self.columns)):
                shift, residue = self._shift(v)
                place, handed = (
                    f"load_before({name}_r{c}, j, {shift})" for name in ("place", "handed")
                )
                hit = f"{place} == spread(F({_plus(f'tap_{c}', v)}))"
                part = f"choose({hit}, {handed}, spread(F(0)))"
                writer.line(f"sum_{residue} = sum_{residue} + {part}")
        sums = "".join(f"sum_{residue}, " for residue in range(self.stride))
        writer.line(f"store_together(onto, width, base + {self._begin(0)}, ({sums.strip()}))")
        writer.close(2)

    def _write_covering(self, c: int) -> None:
        """Write where a row of windows that covers the row ``i0`` has its places; else nothing."""
        writer, step = self.writer, self.dilation[0]
        ring = f"o & {self.kept - 1}"
        writer.line(f"o = {_plus('oldest', c)}")
        writer.line("u = i0 - start_0[min(o, rows - 1)]")
        meets = f" & (u % {step} == 0)" if step > 1 else ""
        writer.line(f"meets = (o < o0) & (u >= 0){meets}")
        writer.line(f"tap_{c} = {self.columns} * {f'(u // {step})' if step > 1 else 'u'}")
        writer.line(
            f"place_r{c} = row(places, (choose(meets, {ring}, {self.kept}), {self.margin}))"
        )
        writer.line(f"handed_r{c} = row(handed, ({ring}, {self.margin}))")


def _times(step: int) -> str:
    return f" * {step}" if step > 1 else ""


def _plus(name: str, number: int) -> str:
    return f"{name} + {number}" if number else name


def _whole_power(number: int) -> int:
    """Round up to a power of two: a row's place in a ring is then a single instruction away."""
    return 1 << (number - 1).bit_length()
