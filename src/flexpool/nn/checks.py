"""What blocks check of their arguments and inputs besides windows."""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import Tensor, nn

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected

__all__ = ["check_image", "checked_choice", "checked_number", "checked_numbers"]


def check_image(
    module: nn.Module, x: Tensor, channels: int | None = None, integers: bool = False
) -> None:
    """Check that an input is a batch of feature maps of floating-point numbers.

    Args:
        module: whose input it is; its class is named in the message.
        x: the input.
        channels: how many it must have; None for any number.
        integers: whether it may hold integers as well.

    Raises:
        ShapeError: if it is not (N, C, H, W) with H, W > 0, or has another number of channels.
        DtypeError: if it holds no floating-point numbers.
    """
    numbers = integers or x.is_floating_point()
    if x.ndim == 4 and x.shape[-1] > 0 and x.shape[-2] > 0 and numbers:
        if channels is None or x.shape[1] == channels:
            return
        rule = f"to have {channels} channels"
        instead = f"Build {type(module).__name__} for as many channels as the input has."
    else:
        rule = "to have the shape (N, C, H, W)"
        instead = "Use x[None] for one image." if x.ndim == 3 else ""
    with called(type(module).__name__):
        if x.ndim == 4 and not numbers:
            rule = "to hold floating-point numbers"
            raise DtypeError(expected("x", rule, x.dtype, "Use x.float()."))
        raise ShapeError(expected("x", rule, tuple(x.shape), instead))


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
