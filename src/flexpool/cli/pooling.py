"""The options that describe a pooling, and what becomes of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexpool.errors import ArgumentError, expected, unknown

if TYPE_CHECKING:
    from flexpool.declare import Operator
    from flexpool.window import Window

__all__ = [
    "DTYPES",
    "LAYOUTS",
    "CeilMode",
    "Dilation",
    "Dimensions",
    "KernelSize",
    "Padding",
    "Stride",
    "check_known",
    "ints",
    "settings_of",
    "window_of",
]

LAYOUTS = ("contiguous", "channels_last")
DTYPES = ("float32", "float64")

KernelSize = Annotated[
    str, typer.Option("--kernel-size", "-k", help="A number, or one per dimension: 3,2.")
]
Stride = Annotated[
    str | None, typer.Option("--stride", "-s", help="Likewise; default: the kernel's size.")
]
Padding = Annotated[str, typer.Option("--padding", "-p", help="Likewise, or same.")]
Dilation = Annotated[str, typer.Option("--dilation", "-d", help="Likewise.")]
CeilMode = Annotated[bool, typer.Option("--ceil-mode", help="Let a last window overhang.")]
Dimensions = Annotated[
    int | None, typer.Option(help="Spatial dimensions; default: as many as -k has, or 2.")
]


def window_of(
    kernel_size: str,
    stride: str | None,
    padding: str,
    dilation: str,
    ceil_mode: bool,
    dimensions: int | None,
) -> Window:
    """Make the window that options describe.

    Raises:
        ArgumentError: if one of them is not a number or outside its domain.

    Example:
        >>> window_of("3,2", None, "0", "1", False, None).stride
        (3, 2)
    """
    from flexpool.window import window

    kernel = ints("kernel_size", kernel_size)
    number = dimensions
    if number is None:
        number = len(kernel) if isinstance(kernel, tuple) else 2
    return window(
        number,
        kernel,
        None if stride is None else ints("stride", stride),
        padding if padding == "same" else ints("padding", padding),
        ints("dilation", dilation),
        ceil_mode,
    )


def check_known(kind: str, value: str, known: Sequence[str]) -> None:
    """Refuse what is not among the known, and name these."""
    if value not in known:
        raise unknown(kind, value, known)


def ints(name: str, text: str) -> int | tuple[int, ...]:
    """Read a number, or several with commas between."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        rule = "to be an int, or several with commas between"
        raise ArgumentError(expected(name, rule, text)) from None
    return numbers if "," in text else numbers[0]


def settings_of(operator: Operator, given: Sequence[str], numbers: bool) -> dict[str, Any]:
    """Read settings written as NAME=VALUE: Python values, or else words.

    Args:
        operator: whose settings.
        given: what was typed.
        numbers: whether numbers may be given, too, or only options.

    Raises:
        ArgumentError: if one is unknown, or its value outside its domain.

    Example:
        >>> from flexpool.declare import find
        >>> settings_of(find("avg"), ["count_include_pad=False"], numbers=False)
        {'count_include_pad': False}
    """
    chosen: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise ArgumentError(expected("--option", "to be NAME=VALUE", item))
        if name in operator.values and not numbers:
            instead = f"Leave it out: {name} is given to the source when it runs."
            rule = f"to name an option of {operator.name}"
            raise ArgumentError(expected("--option", rule, item, instead))
        try:
            chosen[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            chosen[name] = text
    operator.check(chosen)
    return chosen
