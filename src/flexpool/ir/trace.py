"""Run a formula once on stand-ins for its values and keep what it did as a graph."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import NoReturn

from flexpool.errors import FlexpoolError, TraceError
from flexpool.ir.nodes import (
    Graph,
    Grid,
    Node,
    Output,
    constant,
    count,
    element,
    make,
    pick,
)
from flexpool.ir.simplify import simplify
from flexpool.ir.verify import verify

__all__ = ["FUNCTIONS", "METHODS", "Value", "alike", "as_value", "elementwise", "trace"]

FUNCTIONS = (
    "abs alike clip exp expm1 floor isnan log log1p maximum minimum sigmoid sign sqrt tanh where",
    "+ - * / **  < <= > >= == !=  & | ~",
)
METHODS = (
    "sum mean max min count rank by_rank_of cumsum first_max first_min argmax argmin tap detach"
)


@dataclass
class _Tracing:
    """What is known of the formula that is run."""

    along_input: bool
    chosen: Value | None = None


_tracing: ContextVar[_Tracing | None] = ContextVar("_tracing", default=None)


class Value:
    """Stand in for a value of a formula: arithmetic on it is written down instead of done.

    In a formula ``x`` is the values of one window. Arithmetic goes element by element; methods such
    as :meth:`sum` go over the window and give one value for it. Elementwise functions are in
    :mod:`flexpool.math`.
    """

    __slots__ = ("node",)
    __array_ufunc__ = None  # so that NumPy's functions and operators refuse a Value
    __hash__ = None  # type: ignore[assignment]  # == makes a mask, so a Value cannot be a key

    def __init__(self, node: Node) -> None:
        self.node = node

    def __add__(self, other: object) -> Value:
        return elementwise("add", self, other)

    def __radd__(self, other: object) -> Value:
        return elementwise("add", other, self)

    def __sub__(self, other: object) -> Value:
        return elementwise("sub", self, other)

    def __rsub__(self, other: object) -> Value:
        return elementwise("sub", other, self)

    def __mul__(self, other: object) -> Value:
        return elementwise("mul", self, other)

    def __rmul__(self, other: object) -> Value:
        return elementwise("mul", other, self)

    def __truediv__(self, other: object) -> Value:
        return elementwise("div", self, other)

    def __rtruediv__(self, other: object) -> Value:
        return elementwise("div", other, self)

    def __floordiv__(self, other: object) -> Value:
        return elementwise("floor", elementwise("div", self, other))

    def __pow__(self, other: object) -> Value:
        return elementwise("pow", self, other)

    def __rpow__(self, other: object) -> Value:
        return elementwise("pow", other, self)

    def __neg__(self) -> Value:
        return elementwise("neg", self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return elementwise("abs", self)

    def __lt__(self, other: object) -> Value:
        return elementwise("lt", self, other)

    def __le__(self, other: object) -> Value:
        return elementwise("le", self, other)

    def __gt__(self, other: object) -> Value:
        return elementwise("lt", other, self)

    def __ge__(self, other: object) -> Value:
        return elementwise("le", other, self)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        return elementwise("eq", self, other)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        return elementwise("ne", self, other)

    def __and__(self, other: object) -> Value:
        return elementwise("and", self, other)

    def __or__(self, other: object) -> Value:
        return elementwise("or", self, other)

    def __invert__(self) -> Value:
        return elementwise("not", self)

    def sum(self) -> Value:
        """Add up over the window."""
        return elementwise("sum", self)

    def mean(self) -> Value:
        """Average over the elements of the window."""
        return self.sum() / self.count()

    def max(self) -> Value:
        """Take the largest value of the window; NaN if there is one. Ties go to the first."""
        return elementwise("max", self)

    def min(self) -> Value:
        """Take the smallest value of the window; NaN if there is one. Ties go to the first."""
        return elementwise("min", self)

    def count(self, padding: bool = False) -> Value:
        """Count the elements of the window; with ``padding``, those in the padding count too."""
        return Value(count(padding))

    def argmax(self) -> Value:
        """Number the first maximum in the window (torch's rule: of several NaN, the last)."""
        return self._number_of("argmax")

    def argmin(self) -> Value:
        """Number the first minimum in the window (of several NaN, the last)."""
        return self._number_of("argmin")

    def _number_of(self, op: str) -> Value:
        if not self.node.grid.inside:
            raise TraceError(
                f"{op} looks for an element of the window, got one value for all of them: "
                f"{self.node!r}. Apply it to what differs, such as x.{op}()."
            )
        return elementwise(op, self)

    def tap(self) -> Value:
        """Number the elements of the window from 0, in row-major order of the kernel."""
        return Value(element())

    def first_max(self) -> Value:
        """Mark one element of the window, the first maximum: a mask."""
        return self.tap() == self.argmax()

    def first_min(self) -> Value:
        """Mark one element of the window, the first minimum: a mask."""
        return self.tap() == self.argmin()

    def rank(self) -> Value:
        """Number the elements by falling value from 0; ties by position; NaN come first."""
        return elementwise("rank", self)

    def by_rank_of(self, values: Value) -> Value:
        """Give each element the weight of its rank among values; for a weight per rank only."""
        if not self.node.grid & Grid.RANK:
            raise TraceError(f"by_rank_of belongs to a RankWeight, got {self.node!r}.")
        return Value(pick(self.node, as_value(values).rank().node))

    def cumsum(self) -> Value:
        """Add up the elements so far, in row-major order."""
        return elementwise("cumsum", self)

    def detach(self) -> Value:
        """Let no gradient through."""
        return elementwise("detach", self)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise TraceError(f"a formula's value has no method {name!r}.")

    def __bool__(self) -> NoReturn:
        raise TraceError(
            "a formula cannot branch on its values (if, while, and, or, not, min(), max()): "
            "they are not known yet. Use where(condition, a, b), & | ~, or x.max()."
        )

    def _refuse(self, *_: object) -> NoReturn:
        raise TraceError(
            "a formula's value is neither a number nor an array, so it cannot be indexed, looped "
            "over or given to a function of another library."
        )

    __float__ = __int__ = __index__ = __complex__ = _refuse
    __iter__ = __len__ = __getitem__ = __array__ = __contains__ = _refuse

    def __repr__(self) -> str:
        return f"Value({self.node!r})"


def as_value(item: object) -> Value:
    """Take a value or a number; refuse anything else."""
    if isinstance(item, Value):
        return item
    if isinstance(item, bool | int | float):
        return Value(constant(item))
    kind = type(item).__name__
    raise TraceError(f"a formula computes with its values and with numbers, got {kind} {item!r}.")


def elementwise(op: str, *args: object) -> Value:
    """Write down one operation on values or numbers."""
    nodes = tuple(as_value(arg).node for arg in args)
    for node in nodes:
        if node.grid & Grid.RANK:
            raise TraceError(
                f"{node!r} holds one weight per rank. Read it as {node!r}.by_rank_of(x)."
            )
    for position, node in enumerate(nodes):
        wanted = op in ("and", "or", "not") or (op == "where" and position == 0)
        if node.mask and not wanted and op != "detach":
            node_as_number = make("where", node, constant(1), constant(0))
            nodes = (*nodes[:position], node_as_number, *nodes[position + 1 :])
        elif wanted and not node.mask:
            what = "where(condition, a, b)" if op == "where" else "& | ~"
            raise TraceError(f"{what} needs a condition such as x > 0, got the number {node!r}.")
    return Value(make(op, *nodes))


def alike(a: object, b: object) -> Value:
    """Choose between two ways to write a formula: b where only its slope along x is wanted.

    It is what the formula returns: b need not have the value of a.
    """
    tracing = _tracing.get() or _Tracing(along_input=False)
    tracing.chosen = Value(as_value(b if tracing.along_input else a).node)
    return tracing.chosen


def trace(
    formula: Callable[..., object],
    name: str,
    arguments: Mapping[str, object],
    onto: Grid,
    along_input: bool = False,
) -> Graph:
    """Run a formula on stand-ins and return the simplified, verified graph of its result.

    Args:
        formula: the function; gets ``arguments`` by name.
        name: what the result is called.
        arguments: a :class:`Value` for each value, anything for arguments known beforehand.
        onto: the grid of the result.
        along_input: whether nothing but the slope along x is wanted.

    Raises:
        TraceError: if the formula does what cannot be traced; it names the line.
    """
    tracing = _Tracing(along_input)
    before = _tracing.set(tracing)
    try:
        result = as_value(formula(**arguments))
        if tracing.chosen is not None and tracing.chosen is not result:
            raise TraceError("alike(a, b) is what a formula returns, and nothing else.")
        if result.node.grid & Grid.RANK:
            elementwise("add", result, 0)
        if result.node.mask:
            result = elementwise("add", result, 0)
        if result.node.grid.inside:
            raise TraceError(
                "a formula must return one value for the window, got one for each of its elements: "
                f"{result.node!r}. Reduce it: .sum(), .mean(), .max(), ..."
            )
    except RecursionError as error:
        raise TraceError("the formula calls itself without end.") from error
    except Exception as error:
        raise _located(error, formula) from error
    finally:
        _tracing.reset(before)
    graph = simplify(Graph((Output(name, result.node, onto),)))
    verify(graph)
    _check_ranks(graph, formula)
    return graph


def _check_ranks(graph: Graph, formula: Callable[..., object]) -> None:
    """Refuse one weight read by the ranks of several values: its gradient has one order only."""
    order: dict[Node, Node] = {}
    for node in graph.nodes():
        if node.op == "pick" and order.setdefault(node.args[0], node.args[1]) is not node.args[1]:
            first, second = order[node.args[0]], node.args[1]
            raise _located(
                TraceError(
                    f"{node.args[0]!r} is read by {first!r} and by {second!r}. Take two weights."
                ),
                formula,
            )


def _located(error: Exception, formula: Callable[..., object]) -> TraceError:
    """Say in which line of the formula an error happened and what a formula may do."""
    reason = str(error) if isinstance(error, FlexpoolError) else f"{type(error).__name__}: {error}"
    code = getattr(formula, "__code__", None)
    frames = [(f, line) for f, line in _frames(error.__traceback__) if f.f_code is code]
    if frames:
        frame, line = frames[-1]
        where = f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}: "
    elif code is not None:
        where = f"{code.co_filename}:{code.co_firstlineno}, in {code.co_name}: "
    else:
        where = ""
    return TraceError(
        f"{where}{reason.rstrip('.')}. A formula may use, from flexpool.math: {FUNCTIONS[0]}; "
        f"operators: {FUNCTIONS[1]}; methods of a value: {METHODS}."
    )


def _frames(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    return list(traceback.walk_tb(trace))
