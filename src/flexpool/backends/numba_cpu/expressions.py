"""Each operation of a graph as an expression of Python that Numba compiles to vector code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from flexpool.ir import Node

__all__ = ["better", "comes_before", "expression", "number"]

_FUNCTIONS = frozenset(
    {"abs", "exp", "expm1", "log", "log1p", "sqrt", "sigmoid", "tanh", "sign", "floor"}
)
_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}
_OTHERS: dict[str, Callable[..., str]] = {
    "neg": lambda a: f"-{a}",
    "not": lambda a: f"not {a}",
    "detach": lambda a: a,
    "where": lambda m, a, b: f"choose({m}, {a}, {b})",
    # A comparison with NaN is false, so each of these gives NaN if either side is.
    "maximum": lambda a, b: f"choose(({a} > {b}) | ({a} != {a}), {a}, {b})",
    "minimum": lambda a, b: f"choose(({a} < {b}) | ({a} != {a}), {a}, {b})",
}


def number(value: float) -> str:
    """Write a constant in the kernel's own type.

    Example:
        >>> number(0.5), number(math.inf)
        ('F(0.5)', 'F(np.inf)')
    """
    if math.isnan(value):
        return "F(np.nan)"
    if math.isinf(value):
        return f"F({'-' if value < 0 else ''}np.inf)"
    return f"F({value:g})" if float(f"{value:g}") == value else f"F({value!r})"


def expression(node: Node, args: Sequence[str]) -> str:
    """Write an elementwise operation on arguments that are names or constants."""
    if node.op in _INFIX:
        return f"{args[0]} {_INFIX[node.op]} {args[1]}"
    if node.op in _FUNCTIONS:
        return f"{node.op}({args[0]})"
    if node.op == "pow":
        return _power(node, args)
    return _OTHERS[node.op](*args)


def _power(node: Node, args: Sequence[str]) -> str:
    """Small whole exponents are products: exact, fast, and right for a negative base."""
    base, exponent = args
    known = node.args[1]
    if known.op == "constant" and known.value in (-2, -1, 2, 3, 4, 5, 6):
        times = int(float(known.value or 0))
        product = " * ".join([base] * abs(times))
        return product if times > 0 else f"F(1) / ({product})"
    return f"power({base}, {exponent})"


def better(op: str, new: str, old: str) -> str:
    """Say when a new value takes the place of an extremum: also whenever it is NaN, as in torch."""
    sign = ">" if op in ("max", "argmax") else "<"
    return f"({new} {sign} {old}) | ({new} != {new})"


def comes_before(later: str, earlier: str) -> str:
    """Say when, of two elements, the later one has the smaller rank: larger, or the only NaN."""
    return f"({later} > {earlier}) | (({later} != {later}) & ({earlier} == {earlier}))"
