"""Rewrite a graph into an equal one with less work.

Equal expressions become one node, numbers are computed, and factors that are the same for a whole
window leave the sum. No rule drops a NaN or an infinity that a value of the input could bring.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from flexpool.ir.nodes import Graph, Node, constant, is_constant, make
from flexpool.ir.verify import verify

__all__ = ["simplify"]

Maker = Callable[..., Node]


def simplify(graph: Graph) -> Graph:
    """Return an equal graph in which every expression occurs once.

    Example:
        >>> from flexpool.ir.nodes import Grid, Output, leaf
        >>> x = leaf("x", Grid.ELEMENT)
        >>> twice = make("mul", make("sub", constant(3), constant(1)), x)
        >>> simplify(Graph((Output("y", make("sum", twice), Grid.WINDOW),))).outputs[0].node
        (sum(x) * 2)
    """
    known: dict[tuple[object, ...], Node] = {}
    done: dict[int, Node] = {}

    def build(op: str, *args: Node) -> Node:
        return share(_rewritten(make(op, *args), build))

    def share(node: Node) -> Node:
        args = tuple(map(id, node.args))
        return known.setdefault((node.op, args, repr(node.value), node.grid), node)

    for node in graph.nodes():
        if node.args:
            done[id(node)] = build(node.op, *(done[id(arg)] for arg in node.args))
        else:
            done[id(node)] = share(node)
    outputs = tuple(replace(output, node=done[id(output.node)]) for output in graph.outputs)
    simplified = Graph(outputs)
    verify(simplified)
    return simplified


def _rewritten(node: Node, build: Maker) -> Node:
    if node.args and all(map(is_constant, node.args)):
        return _computed(node)
    rule = _RULES.get(node.op)
    return rule(node, build) if rule else node


def _add(node: Node, build: Maker) -> Node:
    a, b = node.args
    if is_constant(a, 0):
        return b
    if is_constant(b, 0):
        return a
    return build("sub", a, b.args[0]) if b.op == "neg" else node


def _sub(node: Node, build: Maker) -> Node:
    a, b = node.args
    if is_constant(b, 0):
        return a
    if is_constant(a, 0):
        return build("neg", b)
    return build("add", a, b.args[0]) if b.op == "neg" else node


def _mul(node: Node, build: Maker) -> Node:
    a, b = node.args
    if is_constant(a):
        a, b = b, a
    if is_constant(b, 1):
        return a
    if is_constant(b, -1):
        return build("neg", a)
    if a.op == "neg":
        return build("neg", build("mul", a.args[0], b))
    if b.op == "neg":
        return build("neg", build("mul", a, b.args[0]))
    return make("mul", a, b)


def _div(node: Node, build: Maker) -> Node:
    a, b = node.args
    if is_constant(b, 1):
        return a
    return build("neg", build("div", a.args[0], b)) if a.op == "neg" else node


def _pow(node: Node, build: Maker) -> Node:
    a, b = node.args
    if is_constant(b, 1):
        return a
    if is_constant(b, 2):
        return build("mul", a, a)
    return build("sqrt", a) if is_constant(b, 0.5) else node


def _neg(node: Node, build: Maker) -> Node:
    (a,) = node.args
    if a.op == "sub":
        return build("sub", a.args[1], a.args[0])
    return a.args[0] if a.op == "neg" else node


def _abs(node: Node, build: Maker) -> Node:
    (a,) = node.args
    return build("abs", a.args[0]) if a.op == "neg" else a if a.op in ("abs", "exp") else node


def _not(node: Node, build: Maker) -> Node:
    (a,) = node.args
    return a.args[0] if a.op == "not" else node


def _where(node: Node, build: Maker) -> Node:
    condition, a, b = node.args
    if a is b:
        return a
    return build("where", condition.args[0], b, a) if condition.op == "not" else node


def _detach(node: Node, build: Maker) -> Node:
    (a,) = node.args
    return a if a.op in ("detach", "constant", "random", "count", "tap") else node


def _sum(node: Node, build: Maker) -> Node:
    """Take out of the sum what is the same for the whole window."""
    (a,) = node.args
    if a.op == "neg":
        return build("neg", build("sum", a.args[0]))
    if a.op == "mul":
        for factor, rest in (a.args, a.args[::-1]):
            if not factor.grid.inside:
                return build("mul", build("sum", rest), factor)
    if a.op == "div" and not a.args[1].grid.inside:
        return build("div", build("sum", a.args[0]), a.args[1])
    return node


_RULES: dict[str, Callable[[Node, Maker], Node]] = {
    "abs": _abs,
    "add": _add,
    "detach": _detach,
    "div": _div,
    "mul": _mul,
    "neg": _neg,
    "not": _not,
    "pow": _pow,
    "sub": _sub,
    "sum": _sum,
    "where": _where,
}

_COMPUTE: dict[str, Callable[..., float]] = {
    "abs": abs,
    "add": lambda a, b: a + b,
    "div": lambda a, b: a / b,
    "exp": math.exp,
    "expm1": math.expm1,
    "floor": math.floor,
    "log": math.log,
    "log1p": math.log1p,
    "maximum": max,
    "minimum": min,
    "mul": lambda a, b: a * b,
    "neg": lambda a: -a,
    "pow": math.pow,
    "sqrt": math.sqrt,
    "sub": lambda a, b: a - b,
    "tanh": math.tanh,
}


def _computed(node: Node) -> Node:
    """Compute an operation on numbers; leave to run time what has no finite value."""
    compute = _COMPUTE.get(node.op)
    if compute is None or not all(math.isfinite(float(arg.value or 0)) for arg in node.args):
        return node
    try:
        result = float(compute(*(arg.value for arg in node.args)))
    except (ArithmeticError, ValueError):
        return node
    return constant(result) if math.isfinite(result) else node
