"""Put numbers in the place of leaves: a norm with p = 2 needs products and a root, no powers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flexpool.ir.nodes import Graph, Node, constant, make
from flexpool.ir.simplify import simplify

__all__ = ["substitute"]


def substitute(graph: Graph, numbers: Mapping[str, float]) -> Graph:
    """Return the simplified graph in which some leaves are numbers.

    Example:
        >>> from flexpool.ir.nodes import Grid, Output, leaf
        >>> x, p = leaf("x", Grid.ELEMENT), leaf("p", Grid.CHANNEL)
        >>> norm = Graph((Output("y", make("sum", make("pow", x, p)), Grid.WINDOW),))
        >>> substitute(norm, {"p": 2.0}).outputs[0].node
        sum((x * x))
    """
    done: dict[int, Node] = {}
    for node in graph.nodes():
        if node.op == "leaf" and node.value in numbers:
            done[id(node)] = constant(numbers[str(node.value)])
        elif node.args:
            done[id(node)] = make(node.op, *(done[id(arg)] for arg in node.args))
        else:
            done[id(node)] = node
    outputs = tuple(replace(output, node=done[id(output.node)]) for output in graph.outputs)
    return simplify(Graph(outputs))
