"""A formula as a small graph: traced, simplified, differentiated, and verified after each rewrite.

A graph says what is done for one window and nothing about how windows are visited: that is what a
backend adds. :mod:`flexpool.backends.interpret` is its definition.
"""

from __future__ import annotations

from flexpool.ir.differentiate import differentiate, gradient_name
from flexpool.ir.nodes import Graph, Grid, Node, Output, in_order, leaf, random, separable, text
from flexpool.ir.simplify import simplify
from flexpool.ir.substitute import substitute
from flexpool.ir.trace import Value, trace
from flexpool.ir.verify import verify

__all__ = [
    "Graph",
    "Grid",
    "Node",
    "Output",
    "Value",
    "differentiate",
    "gradient_name",
    "in_order",
    "leaf",
    "random",
    "separable",
    "simplify",
    "substitute",
    "text",
    "trace",
    "verify",
]
