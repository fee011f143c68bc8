"""What blocks check of their arguments and inputs besides windows."""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import Tensor, nn

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected

__all__ = ["check_numbers", "checked_choice", "checked_number", "checked_numbers"]


def check_numbers(module: nn.Module, x: Tensor, integers: bool = False) -> None:
    """Check that there are pixels, and that they are floating-point numbers.

    Args:
        module: whose input it is; its class is named in the message.
        x: the input.
        integers: whether it may hold integers as well.

    Raises:
        ShapeError: if a map has no pixels.
        DtypeError: if it holds no floating-point numbers.
    """
    if x.shape[-1] > 0 and x.shape[-2] > 0 and (integers or x.is_floating_point()):
        return
    with called(type(module).__name__):
        if x.shape[-1] == 0 or x.shape[-2] == 0:
            raise ShapeError(expected("the input", "to have pixels", tuple(x.shape)))
        rule = "to hold floating-point numbers"
        raise DtypeError(expected("the input", rule, x.dtype, "Use x.float()."))


def checked_choice(argument: str, value: object, known: Collection[str]) -> str:
    """Return one of the names that are known."""
    if not isinstance(value, str) or value not in known:
        raise ArgumentError(expected(argument, f"to be one of {', '.join(known)}", value))
    return value


def checked_number(
    argument: str, value: object, above: float = -math.inf, least: float = -math.inf
) -> float:
    """Return a finite number: greater than ``above``, or at least ``least``."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= above or value < least:  # type: ignore[arg-type,operator]
        bound = f" > {above:g}" if above > -math.inf else f" >= {least:g}"
        bound = "" if above == least == -math.inf else bound
        raise ArgumentError(expected(argument, f"to be a finite number{bound}", value))
    return float(value)  # type: ignore[arg-type]


def checked_numbers(
    argument: str, value: object, above: float = -math.inf, least: float = -math.inf
) -> tuple[float, float]:
    """Return one number per dimension of an image; one stands for both."""
    items = value if isinstance(value, tuple | list) else (value, value)
    if len(items) != 2:
        raise ArgumentError(expected(argument, "to be a number or a pair of them", value))
    return (
        checked_number(argument, items[0], above, least),
        checked_number(argument, items[1], above, least),
    )
