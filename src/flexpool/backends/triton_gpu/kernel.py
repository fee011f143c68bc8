"""What the two kernels have in common: names, leaves, and how an operation is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from flexpool.ir import Graph, Grid, Node, text

__all__ = ["HELPERS", "Kernel", "Scope"]

_FORMS = {
    "neg": "-{}",
    "abs": "tl.abs({})",
    "exp": "libdevice.exp({})",
    "expm1": "libdevice.expm1({})",
    "log": "libdevice.log({})",
    "log1p": "libdevice.log1p({})",
    "tanh": "libdevice.tanh({})",
    "sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, {0}))",
    "floor": "tl.floor({})",
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "pow": "libdevice.pow({}, {})",
    "maximum": "tl.where(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "minimum": "tl.where(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "~{}",
    "where": "tl.where({}, {}, {})",
    "detach": "{}",
}

# In single precision, division and square root round correctly only under these names.
_FORMS_BY_DTYPE = {
    "float32": {
        "div": "tl.div_rn({}, {})",
        "sqrt": "tl.sqrt_rn({})",
        "sigmoid": "tl.div_rn(1.0, 1.0 + libdevice.exp(-{}))",
    },
    "float64": {
        "div": "{} / {}",
        "sqrt": "tl.sqrt({})",
        "sigmoid": "1.0 / (1.0 + libdevice.exp(-{}))",
    },
}

HELPERS = {
    "taps_below": '''
@triton.jit
def taps_below(limit, start, dilation: tl.constexpr, kernel: tl.constexpr):
    """Count the taps whose input coordinate is less than the limit."""
    room = tl.maximum(limit - start, 0)
    return tl.minimum((room + dilation - 1) // dilation, kernel)
''',
    "uniform": '''
@triton.jit
def uniform(key, offset, index):
    """Draw a number in [0, 1) by Philox2x32-10; 32-bit halves in 64-bit integers."""
    index = index.to(tl.int64)
    key = tl.zeros_like(index) + key
    low = index & 0xFFFFFFFF
    high = ((index >> 32) + offset) & 0xFFFFFFFF
    for _ in tl.static_range(10):
        product = low * 0xD256D193
        low = ((product >> 32) & 0xFFFFFFFF) ^ key ^ high
        high = product & 0xFFFFFFFF
        key = (key + 0x9E3779B9) & 0xFFFFFFFF
    return low >> 8
''',
}


class Scope:
    """Know the names of the values that hold at one place of a kernel.

    Args:
        suffix: ends the names made here, so that a loop inside a loop does not overwrite.
    """

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix
        self.names: dict[Node, str] = {}


class Kernel:
    """Collect the text of one kernel.

    Args:
        graph: what the kernel belongs to.
        dtype: the type of all numbers, "float32" or "float64".
        shared: the values that are the same wherever in the kernel's loops they are asked for.
    """

    def __init__(self, graph: Graph, dtype: str, shared: Callable[[Node], bool]) -> None:
        self.dtype = f"tl.{dtype}"
        self.forms = _FORMS | _FORMS_BY_DTYPE[dtype]
        self.shared = shared
        self.top = Scope()
        self.parameters: dict[str, None] = {}
        self.helpers: set[str] = set()
        self._number = {node: number for number, node in enumerate(graph.nodes())}
        self._lines: list[str] = []
        self._depth = 1

    def line(self, *lines: str) -> None:
        """Add lines at the present depth."""
        self._lines += ["    " * self._depth + line for line in lines]

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent what is added inside."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def parameter(self, name: str) -> str:
        """Make the kernel take an argument."""
        self.parameters.setdefault(name)
        return name

    def body(self) -> str:
        """Give the text so far."""
        return "\n".join(self._lines)

    def label(self, node: Node) -> str:
        """Name a node within its graph; ``tap_0`` is the name of a loop's variable already."""
        word = "number" if node.op == "tap" else node.op
        return f"{word}_{self._number[node]}"

    def prepare(self, nodes: Iterable[Node]) -> None:
        """Compute those that are shared, so that a loop finds them."""
        for node in nodes:
            if self.shared(node) and not node.grid & Grid.RANK:
                self.value(node, self.top)

    def value(self, node: Node, scope: Scope) -> str:
        """Give the name of a value; compute it here if it has none yet."""
        if self.shared(node):
            scope = self.top
        if node not in scope.names:
            scope.names[node] = self.define(node, scope)
        return scope.names[node]

    def define(self, node: Node, scope: Scope) -> str:
        """Write the line that computes a value; return its name."""
        if node.op == "leaf":
            name = f"{node.value}_value{scope.suffix}"
            self.line(f"{name} = {self.loaded(node, scope)}")
            return name
        name = self.label(node) + scope.suffix
        self.line(f"{name} = {self.expression(node, scope)}")
        return name

    def expression(self, node: Node, scope: Scope) -> str:
        """Write how a value follows from its arguments."""
        if node.op == "constant":
            return self.block_of(_number_text(float(node.value or 0)))
        if node.op == "pick":
            weights, rank = node.args
            pointer, step = (self.parameter(f"{weights.value}_{part}") for part in ("ptr", "step"))
            place = f"channel * {step} + {self.value(rank, scope)}.to(tl.int32)"
            return self.load(f"{pointer} + {place}", node, scope)
        args = [self.value(arg, scope) for arg in node.args]
        return self.forms[node.op].format(*args)

    def block_of(self, number: str) -> str:
        """Write one number for all lanes."""
        return f"tl.full((BLOCK,), {number}, {self.dtype})"

    def loaded(self, node: Node, scope: Scope) -> str:
        """Write how a leaf is read."""
        pointer, suffix = self.parameter(f"{node.value}_ptr"), scope.suffix
        if node.grid == Grid.ELEMENT:
            place = f"element{suffix}"
        elif node.grid == Grid.WINDOW:
            place = "window"
        else:
            place = f"channel * {self.parameter(f'{node.value}_step')}"
            if node.grid & Grid.POSITION:
                place += f" + tap{suffix}"
        return self.load(f"{pointer} + {place}", node, scope)

    def load(self, pointer: str, node: Node, scope: Scope) -> str:
        """Write a load that touches nothing where there is nothing; half floats are converted."""
        mask = "exists" if self.shared(node) else f"valid{scope.suffix}"
        return f"tl.load({pointer}, mask={mask}, other=0.0).to({self.dtype})"

    def comment(self, node: Node) -> str:
        """Say what a value is, shortened."""
        words = text(node)
        return f"# {words if len(words) < 88 else words[:84] + ' ...'}"


def _number_text(number: float) -> str:
    literal = repr(number)
    return literal if literal[-1].isdigit() else f'float("{literal}")'
