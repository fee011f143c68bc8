"""The elementwise functions of a formula.

They act on each value of a window, and on values that belong to the whole window, alike. ``abs`` is
Python's own; reductions such as ``x.sum()`` are methods of :class:`flexpool.ir.Value`.
"""

from __future__ import annotations

from flexpool.ir.trace import Value, alike, as_value, elementwise

__all__ = [
    "alike",
    "clip",
    "exp",
    "expm1",
    "floor",
    "isnan",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "sigmoid",
    "sign",
    "sqrt",
    "tanh",
    "where",
]


def exp(a: object) -> Value:
    """Raise e to the power a."""
    return elementwise("exp", a)


def expm1(a: object) -> Value:
    """Compute exp(a) - 1, exact also where a is near 0."""
    return elementwise("expm1", a)


def log(a: object) -> Value:
    """Take the natural logarithm; -inf at 0, NaN below."""
    return elementwise("log", a)


def log1p(a: object) -> Value:
    """Compute log(1 + a), exact also where a is near 0; -inf at -1, NaN below."""
    return elementwise("log1p", a)


def sqrt(a: object) -> Value:
    """Take the square root; NaN below 0."""
    return elementwise("sqrt", a)


def sigmoid(a: object) -> Value:
    """Compute 1 / (1 + exp(-a))."""
    return elementwise("sigmoid", a)


def tanh(a: object) -> Value:
    """Compute the hyperbolic tangent."""
    return elementwise("tanh", a)


def sign(a: object) -> Value:
    """Give 1, 0 or -1; without gradient."""
    return elementwise("sign", a)


def floor(a: object) -> Value:
    """Round down; without gradient."""
    return elementwise("floor", a)


def isnan(a: object) -> Value:
    """Mark what is not a number."""
    value = as_value(a)
    return elementwise("ne", value, value)


def maximum(a: object, b: object) -> Value:
    """Take the larger of two; NaN if either is. At ties each gets half of the gradient."""
    return elementwise("maximum", a, b)


def minimum(a: object, b: object) -> Value:
    """Take the smaller of two; NaN if either is. At ties each gets half of the gradient."""
    return elementwise("minimum", a, b)


def clip(a: object, low: object, high: object) -> Value:
    """Limit a to [low, high]; the gradient passes where a lies inside or on the limits."""
    value = as_value(a)
    return where(value < low, low, where(value > high, high, value))


def where(condition: object, a: object, b: object) -> Value:
    """Take a where the condition holds and b elsewhere."""
    return elementwise("where", condition, a, b)
