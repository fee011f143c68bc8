"""Check that a graph is well formed: after every rewrite, so that a bad one fails where it is."""

from __future__ import annotations

from flexpool.ir.nodes import BINARY, COMPARISONS, REDUCTIONS, SCANS, UNARY, Graph, Grid, Node, make

__all__ = ["verify"]

_LEAVES = {
    "constant": (float, {Grid.NOTHING}),
    "leaf": (
        str,
        {
            *(Grid.CHANNEL, Grid.ELEMENT, Grid.WINDOW),
            *(Grid.POSITION | Grid.CHANNEL, Grid.RANK | Grid.CHANNEL),
        },
    ),
    "random": (str, {Grid.WINDOW}),
    "count": (bool, {Grid.WINDOW}),
    "tap": (type(None), {Grid.POSITION}),
}
_ARITY = {
    **dict.fromkeys(UNARY | REDUCTIONS | SCANS | {"not", "detach"}, 1),
    **dict.fromkeys(BINARY | COMPARISONS | {"and", "or", "pick", "place"}, 2),
    "where": 3,
}


def verify(graph: Graph) -> None:
    """Check every node's arity, kinds and grid, and where the results go.

    Raises:
        AssertionError: if a rewrite produced something malformed: a defect of flexpool, never of a
            formula, whose errors are found while it is traced.
    """
    names = [output.name for output in graph.outputs]
    _require(len(set(names)) == len(names), "results named twice: {}", names)
    for node in graph.nodes():
        _verify_node(node)
    for output in graph.outputs:
        _require(not output.node.mask, "{} is a mask: {!r}", output.name, output.node)
        inside_allowed = bool(output.onto & (Grid.ELEMENT | Grid.POSITION))
        _require(
            inside_allowed or not output.node.grid.inside,
            "{} goes onto {} but differs inside a window: {!r}",
            output.name,
            output.onto,
            output.node,
        )
        placed = output.node.op == "place" or output.node.op == "constant"
        by_rank = bool(output.onto & Grid.RANK)
        _require(
            placed if by_rank else not output.node.grid & Grid.RANK,
            "{} goes onto {}: {!r}",
            output.name,
            output.onto,
            output.node,
        )


def _verify_node(node: Node) -> None:
    if node.op in _LEAVES:
        kind, grids = _LEAVES[node.op]
        well_formed = isinstance(node.value, kind) and node.grid in grids and not node.args
        _require(well_formed, "malformed {}: {!r} on {}", node.op, node, node.grid)
        return
    _require(node.op in _ARITY, "unknown operation {!r}", node.op)
    _require(len(node.args) == _ARITY[node.op], "wrong number of arguments: {!r}", node)
    for position, arg in enumerate(node.args):
        wants_mask = node.op in ("and", "or", "not") or (node.op == "where" and position == 0)
        right = arg.mask == wants_mask or node.op == "detach"
        _require(right, "argument {} of {!r} is of the wrong kind", position, node)
        weights = node.op == "pick" and position == 0
        by_rank = bool(arg.grid & Grid.RANK)
        _require(by_rank == weights, "argument {} of {!r} is on {}", position, node, arg.grid)
    if node.op in ("pick", "place"):
        _require(node.args[1].op == "rank", "no rank to go by: {!r}", node)
    if node.op in REDUCTIONS:
        _require(node.args[0].grid.inside, "nothing to go over: {!r}", node)
    again = make(node.op, *node.args)
    _require((again.grid, again.mask) == (node.grid, node.mask), "wrong grid: {!r}", node)


def _require(condition: bool, message: str, *about: object) -> None:
    """Raise unless a condition holds; the message is made only then, as nodes are long to write."""
    if not condition:
        raise AssertionError(f"malformed graph: {message.format(*about)}")
