"""The kernel over windows: one lane per window, one loop over it per group of reductions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from flexpool.backends.task import Geometry
from flexpool.backends.triton_gpu.kernel import Kernel, Scope
from flexpool.backends.triton_gpu.plan import below, stages
from flexpool.ir import Graph, Node
from flexpool.window import Window

__all__ = ["Windows"]

# Up to so many turns a loop is written out by the compiler: then addresses are known beforehand.
UNROLLED = 32


class Windows(Kernel):
    """Print the kernel over windows.

    Args:
        graph: what is computed.
        geometry: where the windows lie; its sizes do not enter the text of a sliding window.
        dtype: "float32" or "float64".
    """

    def __init__(self, graph: Graph, geometry: Geometry, dtype: str) -> None:
        super().__init__(graph, dtype, lambda node: not node.grid.inside)
        self.geometry = geometry
        self.count = range(geometry.dimensions)

    def write(
        self, per_window: Sequence[tuple[str, Node]], per_tap: Sequence[tuple[str, Node]]
    ) -> None:
        """Write the body.

        Args:
            per_window: where to store values of windows: name of the pointer, value.
            per_tap: where to store values that differ inside a window, K for each window.
        """
        self._place_windows()
        for group in stages(node for _, node in (*per_window, *per_tap)):
            self._reduce(group)
        for name, node in per_window:
            value = self._value_of_window(node)
            self.line(f"tl.store({self.parameter(name)} + window, {value}, mask=exists)")
        if per_tap:
            self._store_taps(per_tap)

    def define(self, node: Node, scope: Scope) -> str:
        """Write the line that computes a value; ranks and running sums take more than one."""
        name = self.label(node) + scope.suffix
        if node.op == "cumsum":
            share = self.value(node.args[0], scope)
            self.line(f"{name} += tl.where(valid{scope.suffix}, {share}, 0.0)")
            return name
        if node.op == "rank":
            self._rank(name, node, scope)
            return name
        return super().define(node, scope)

    def expression(self, node: Node, scope: Scope) -> str:
        """Write how a value follows from its arguments, or from where the window lies."""
        if node.op == "tap":
            return self.block_of(f"tap{scope.suffix}")
        if node.op == "count":
            return f"({self._counted(padding=bool(node.value))}).to({self.dtype})"
        if node.op == "random":
            self.helpers.add("uniform")
            key, offset = (self.parameter(f"{node.value}_{part}") for part in ("key", "offset"))
            drawn = f"uniform({key}, {offset}, window).to({self.dtype})"
            return f"{drawn} * {2.0**-24!r}"
        return super().expression(node, scope)

    def _value_of_window(self, node: Node) -> str:
        self.prepare(below([node]))
        return self.value(node, self.top)

    def _place_windows(self) -> None:
        self.line(
            "window = tl.program_id(0).to(INDEX) * BLOCK + tl.arange(0, BLOCK)",
            "exists = window < total",
            "plane = window",
        )
        for d in reversed(self.count):
            self.line(f"at_{d} = plane % outputs_{d}", f"plane = plane // outputs_{d}")
        self.line("channel = plane % channels")
        window = self.geometry.window
        for d in self.count:
            if isinstance(window, Window):
                self.line(f"start_{d} = at_{d} * {window.stride[d]} - before_{d}")
            else:
                self.line(
                    f"start_{d} = at_{d} * size_{d} // outputs_{d}",
                    f"end_{d} = ((at_{d} + 1) * size_{d} + outputs_{d} - 1) // outputs_{d}",
                )

    def _counted(self, padding: bool) -> str:
        window = self.geometry.window
        if not isinstance(window, Window):
            return " * ".join(f"(end_{d} - start_{d})" for d in self.count)
        self.helpers.add("taps_below")
        factors = []
        for d in self.count:
            place = f"start_{d}, {window.dilation[d]}, {window.kernel_size[d]}"
            stop, first = (
                f"size_{d} + after_{d}" if padding else f"size_{d}",
                f"taps_below(0, {place})",
            )
            stopped = f"taps_below({stop}, {place})"
            factors.append(stopped if padding else f"({stopped} - {first})")
        return " * ".join(factors)

    @contextlib.contextmanager
    def _over_the_window(self, scope: Scope, nodes: Sequence[Node]) -> Iterator[None]:
        """Loop over the window's elements in row-major order, to compute some nodes for each."""
        inside = [node for node in below(nodes, lambda n: n.grid.inside) if node.grid.inside]
        for node in inside:
            if node.op == "cumsum":
                self.line(f"{self.label(node)}{scope.suffix} = {self.block_of('0.0')}")
        end, extent = scope.suffix, self.geometry.extent
        turns = "tl.static_range" if self.geometry.positions <= UNROLLED else "range"
        with contextlib.ExitStack() as loops:
            for d in self.count:
                loops.enter_context(self.block(f"for tap_{d}{end} in {turns}({extent[d]}):"))
            for d in self.count:
                self.line(f"place_{d}{end} = start_{d} + tap_{d}{end}{self._dilated(d)}")
            self.line(f"valid{end} = {' & '.join(['exists', *self._limits(end)])}")
            element, tap = "plane", f"tap_0{end}"
            for d in self.count:
                element = f"{element if d == 0 else f'({element})'} * size_{d} + place_{d}{end}"
            for d in self.count[1:]:
                tap = f"{tap if d == 1 else f'({tap})'} * {extent[d]} + tap_{d}{end}"
            self.line(f"element{end} = {element}", f"tap{end} = {tap}")
            yield

    def _dilated(self, d: int) -> str:
        window = self.geometry.window
        dilation = window.dilation[d] if isinstance(window, Window) else 1
        return "" if dilation == 1 else f" * {dilation}"

    def _limits(self, end: str) -> list[str]:
        if self.geometry.inside:
            return []
        if not isinstance(self.geometry.window, Window):
            return [f"(place_{d}{end} < end_{d})" for d in self.count]
        return [f"(place_{d}{end} >= 0) & (place_{d}{end} < size_{d})" for d in self.count]

    def _reduce(self, group: Sequence[Node]) -> None:
        """Write one loop that computes several reductions."""
        arguments = [node.args[0] for node in group]
        self.prepare(below(arguments))
        scope = Scope()
        for node in group:
            name = self.label(node)
            self.line(self.comment(node))
            if node.op == "sum":
                self.line(f"{name} = {self.block_of('0.0')}")
            else:
                worst = "-inf" if node.op in ("max", "argmax") else "inf"
                self.line(
                    f'{name}_best = {self.block_of(f"""float("{worst}")""")}',
                    f"{name}_tap = tl.full((BLOCK,), -1, tl.int32)",
                )
        with self._over_the_window(scope, arguments):
            for node in group:
                self._take_in(node, self.value(node.args[0], scope))
        for node in group:
            name = self.label(node)
            if node.op in ("max", "min"):
                self.line(f"{name} = {name}_best")
            elif node.op != "sum":
                self.line(f"{name} = {name}_tap.to({self.dtype})")
            self.top.names[node] = name

    def _take_in(self, node: Node, value: str) -> None:
        """Write what one more element does to a reduction."""
        name = self.label(node)
        if node.op == "sum":
            self.line(f"{name} += tl.where(valid, {value}, 0.0)")
            return
        sign = ">" if node.op in ("max", "argmax") else "<"
        self.line(
            f"better = ({value} {sign} {name}_best) | ({value} != {value}) | ({name}_tap < 0)",
            f"{name}_best = tl.where(valid & better, {value}, {name}_best)",
            f"{name}_tap = tl.where(valid & better, tap, {name}_tap)",
        )

    def _rank(self, name: str, node: Node, scope: Scope) -> None:
        """Write a loop inside the loop that counts the elements before this one."""
        own, inner = self.value(node.args[0], scope), Scope(scope.suffix + "_j")
        self.line(f"{name} = {self.block_of('0.0')}")
        with self._over_the_window(inner, node.args):
            other = self.value(node.args[0], inner)
            missing, here = f"({other} != {other})", f"({own} != {own})"
            self.line(
                f"tied = ({other} == {own}) | ({missing} & {here})",
                f"first = ({other} > {own}) | ({missing} & ~{here})",
                f"first = first | (tied & (tap{inner.suffix} < tap{scope.suffix}))",
                f"{name} += tl.where(valid{inner.suffix} & first, 1.0, 0.0)",
            )

    def _store_taps(self, per_tap: Sequence[tuple[str, Node]]) -> None:
        """Write the loop that stores what differs inside a window; nothing where nothing is."""
        nodes, scope = [node for _, node in per_tap], Scope()
        self.prepare(below(nodes))
        with self._over_the_window(scope, nodes):
            for name, node in per_tap:
                value, place = node, "tap"
                if node.op == "place":
                    value, rank = node.args
                    place = f"{self.value(rank, scope)}.to(tl.int32)"
                pointer = f"{self.parameter(name)} + window * {self.geometry.positions} + {place}"
                self.line(f"tl.store({pointer}, {self.value(value, scope)}, mask=valid)")
