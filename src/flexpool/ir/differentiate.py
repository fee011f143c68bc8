"""Reverse-mode differentiation of a graph: the gradient is a graph again, so it runs everywhere.

The gradient of a reduction's argument is the reduction's own gradient, seen from each element, and
a value that was spread over a window collects by a sum over the window. What was spread over many
windows (an element of the input, a parameter) is collected by the backend: see ``Output.onto``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flexpool.ir.nodes import (
    Graph,
    Grid,
    Node,
    Output,
    constant,
    count,
    element,
    is_constant,
    leaf,
    make,
    place,
)
from flexpool.ir.simplify import simplify

__all__ = ["differentiate", "gradient_name"]

Rule = Callable[[Node, Node], tuple[Node | None, ...]]


def gradient_name(output: str) -> str:
    """Name the leaf that holds the gradient of the loss with respect to one result."""
    return f"grad_{output}"


def differentiate(graph: Graph, wanted: Mapping[str, Grid]) -> Graph:
    """Return the graph of the loss's gradient with respect to leaves.

    Args:
        graph: the forward graph.
        wanted: names of leaves and their grids. A leaf the graph does not read has the gradient 0.

    Returns:
        A graph with one result per wanted leaf, named as the leaf, that reads the forward graph's
        leaves and, for each of its results, a leaf :func:`gradient_name` on the output's grid.

    Example:
        >>> x = leaf("x", Grid.ELEMENT)
        >>> square = Graph((Output("y", make("sum", make("mul", x, x)), Grid.WINDOW),))
        >>> differentiate(square, {"x": Grid.ELEMENT}).outputs[0].node
        ((grad_y * x) + (grad_y * x))
    """
    adjoints: dict[int, Node] = {}
    for output in graph.outputs:
        _add_to(adjoints, output.node, leaf(gradient_name(output.name), Grid.WINDOW))
    for node in reversed(graph.nodes()):
        adjoint = adjoints.get(id(node))
        rule = _RULES.get(node.op)
        if adjoint is None or rule is None:
            continue
        for arg, share in zip(node.args, rule(node, adjoint), strict=True):
            if share is not None and not arg.mask:
                spread = node.grid.inside and not arg.grid.inside and share.op != "place"
                _add_to(adjoints, arg, make("sum", share) if spread else share)
    leaves = graph.leaves()
    outputs = []
    for name, grid in wanted.items():
        found = adjoints.get(id(leaves.get(name)), constant(0))
        if grid == Grid.CHANNEL and found.grid & Grid.WINDOW:
            # A window without elements may have NaN, and would spoil the sum over all windows.
            found = make("where", make("lt", constant(0), count()), found, constant(0))
        outputs.append(Output(name, found, grid))
    return simplify(Graph(tuple(outputs)))


def _add_to(adjoints: dict[int, Node], node: Node, share: Node) -> None:
    known = adjoints.get(id(node))
    if known is not None and share.op == "place":  # all by the same rank, as traced
        share = place(make("add", known.args[0], share.args[0]), share.args[1])
        known = None
    adjoints[id(node)] = share if known is None else make("add", known, share)


def _sign_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    return (make("mul", adjoint, make("sign", node.args[0])),)


def _sigmoid_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    slope = make("mul", node, make("sub", constant(1), node))
    return (make("mul", adjoint, slope),)


def _tanh_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    return (make("mul", adjoint, make("sub", constant(1), make("mul", node, node))),)


def _sqrt_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    """As for a power: the slope at 0 is taken as 0."""
    at_zero = make("eq", node, constant(0))
    safe = make("where", at_zero, constant(1), node)
    share = make("div", adjoint, make("mul", constant(2), safe))
    return (make("where", at_zero, constant(0), share),)


def _mul_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    a, b = node.args
    return make("mul", adjoint, b), make("mul", adjoint, a)


def _div_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    share = make("div", adjoint, node.args[1])
    return share, make("neg", make("mul", share, node))


def _pow_rule(node: Node, adjoint: Node) -> tuple[Node | None, ...]:
    """Where the base is 0 the slope is 0 (1 for the exponent 1), also where it has no finite one.

    So a window of zeros gets a zero gradient from a norm instead of NaN. ``safe`` keeps infinities
    out of the branch that is not taken: the next derivative would multiply them by zero.
    """
    base, exponent = node.args
    if is_constant(exponent):
        power = float(exponent.value or 0)
        if power >= 1:
            lower = make("pow", base, constant(power - 1))
            return make("mul", adjoint, make("mul", constant(power), lower)), None
    at_zero = make("eq", base, constant(0))
    safe = make("where", at_zero, constant(1), base)
    to_one = make("where", make("eq", exponent, constant(1)), constant(1), constant(0))
    lower = make("pow", safe, make("sub", exponent, constant(1)))
    slope = make("where", at_zero, to_one, make("mul", exponent, lower))
    growth = make("where", at_zero, constant(0), make("mul", node, make("log", safe)))
    to_exponent = None if is_constant(exponent) else make("mul", adjoint, growth)
    return make("mul", adjoint, slope), to_exponent


def _extremum_rule(first: str, node: Node, adjoint: Node) -> tuple[Node, ...]:
    a, b = node.args
    wins = make("lt", b, a) if first == "maximum" else make("lt", a, b)
    half = make("where", make("eq", a, b), constant(0.5), constant(0))
    share = make("where", wins, constant(1), half)
    rest = make("sub", constant(1), share)
    return make("mul", adjoint, share), make("mul", adjoint, rest)


def _where_rule(node: Node, adjoint: Node) -> tuple[Node | None, ...]:
    condition, _, _ = node.args
    zero = constant(0)
    return (
        None,
        make("where", condition, adjoint, zero),
        make("where", condition, zero, adjoint),
    )


def _chosen_rule(chooser: str, node: Node, adjoint: Node) -> tuple[Node, ...]:
    chosen = make("eq", element(), make(chooser, node.args[0]))
    return (make("where", chosen, adjoint, constant(0)),)


def _pick_rule(node: Node, adjoint: Node) -> tuple[Node | None, ...]:
    return place(adjoint, node.args[1]), None


def _cumsum_rule(node: Node, adjoint: Node) -> tuple[Node, ...]:
    """Each element is part of the sums from its own on: all of them, less those before."""
    before = make("sub", make("cumsum", adjoint), adjoint)
    return (make("sub", make("sum", adjoint), before),)


_RULES: dict[str, Rule] = {
    "neg": lambda node, adjoint: (make("neg", adjoint),),
    "abs": _sign_rule,
    "exp": lambda node, adjoint: (make("mul", adjoint, node),),
    "expm1": lambda node, adjoint: (make("mul", adjoint, make("exp", node.args[0])),),
    "log": lambda node, adjoint: (make("div", adjoint, node.args[0]),),
    "log1p": lambda node, adjoint: (make("div", adjoint, make("add", constant(1), node.args[0])),),
    "sqrt": _sqrt_rule,
    "sigmoid": _sigmoid_rule,
    "tanh": _tanh_rule,
    "add": lambda node, adjoint: (adjoint, adjoint),
    "sub": lambda node, adjoint: (adjoint, make("neg", adjoint)),
    "mul": _mul_rule,
    "div": _div_rule,
    "pow": _pow_rule,
    "maximum": lambda node, adjoint: _extremum_rule("maximum", node, adjoint),
    "minimum": lambda node, adjoint: _extremum_rule("minimum", node, adjoint),
    "where": _where_rule,
    "sum": lambda node, adjoint: (adjoint,),
    "cumsum": _cumsum_rule,
    "pick": _pick_rule,
    "max": lambda node, adjoint: _chosen_rule("argmax", node, adjoint),
    "min": lambda node, adjoint: _chosen_rule("argmin", node, adjoint),
}
