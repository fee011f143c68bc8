"""The command ``show-kernel``: the source that flexpool generates for one pooling."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexpool.cli.terminal import print_python, reported
from flexpool.errors import ArgumentError, called, expected, unknown

if TYPE_CHECKING:
    from flexpool.backends.task import Task
    from flexpool.declare import Operator
    from flexpool.ir import Graph

__all__ = ["show_kernel"]

PRINTERS = ("numba", "triton")
LAYOUTS = ("contiguous", "channels_last")
DTYPES = ("float32", "float64")


@reported
def show_kernel(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An operator of `flexpool list`.")],
    kernel_size: Annotated[
        str, typer.Option("--kernel-size", "-k", help="A number, or one per dimension: 3,2.")
    ] = "2",
    stride: Annotated[
        str | None, typer.Option("--stride", "-s", help="Likewise; default: the kernel's size.")
    ] = None,
    padding: Annotated[str, typer.Option("--padding", "-p", help="Likewise, or same.")] = "0",
    dilation: Annotated[str, typer.Option("--dilation", "-d", help="Likewise.")] = "1",
    ceil_mode: Annotated[
        bool, typer.Option("--ceil-mode", help="Let a last window overhang.")
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="An option of the operator."),
    ] = None,
    backward: Annotated[
        bool, typer.Option("--backward", help="The gradient instead of the result.")
    ] = False,
    backend: Annotated[str, typer.Option(help="numba (CPU) or triton (GPU).")] = "numba",
    dimensions: Annotated[
        int | None, typer.Option(help="Spatial dimensions; default: as many as -k has, or 2.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="The input's size: decides whether windows overhang.")
    ] = "32",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    layout: Annotated[
        str, typer.Option(help="How the input lies in memory: contiguous or channels_last.")
    ] = "contiguous",
) -> None:
    """Print the source that flexpool generates and runs for one pooling.

    The values of parameters are given to it when it runs. Into a file it is printed as plain text.
    """
    from flexpool.backends.choice import BACKENDS
    from flexpool.backends.task import Task, geometry
    from flexpool.declare import find
    from flexpool.window import window

    with called("show-kernel"):
        for kind, value, known in (
            ("backend", backend, PRINTERS),
            ("dtype", dtype, DTYPES),
            ("layout", layout, LAYOUTS),
        ):
            if value not in known:
                raise unknown(kind, value, known)
        kernel = _ints("kernel_size", kernel_size)
        number = dimensions
        if number is None:
            number = len(kernel) if isinstance(kernel, tuple) else 2
        where = window(
            number,
            kernel,
            None if stride is None else _ints("stride", stride),
            padding if padding == "same" else _ints("padding", padding),
            _ints("dilation", dilation),
            ceil_mode,
        )
        sizes = _ints("size", size)
        operator = find(name)
        graph = _graph(operator, _options(operator, option or []), backward)
        placed = geometry(where, sizes if isinstance(sizes, tuple) else (sizes,) * number)
        task = Task(graph, placed, (1, 1), dtype)
        source = _source(importlib.import_module(BACKENDS[backend]), task, backend, layout)
    print_python(source)


def _ints(name: str, text: str) -> int | tuple[int, ...]:
    """Read a number, or several with commas between."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        rule = "to be an int, or several with commas between"
        raise ArgumentError(expected(name, rule, text)) from None
    return numbers if "," in text else numbers[0]


def _options(operator: Operator, given: list[str]) -> dict[str, Any]:
    """Read the operator's options: Python values, or else words."""
    chosen: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals:
            raise ArgumentError(expected("--option", "to be NAME=VALUE", item))
        if name in operator.values:
            instead = f"Leave it out: {name} is given to the source when it runs."
            rule = f"to name an option of {operator.name}"
            raise ArgumentError(expected("--option", rule, item, instead))
        try:
            chosen[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            chosen[name] = text
    operator.check(chosen)
    return chosen


def _graph(operator: Operator, options: dict[str, Any], backward: bool) -> Graph:
    """Give the graph of the result, or of the gradient with respect to all that can be trained."""
    from flexpool.declare import OnInput, OnOutput

    if not backward:
        return operator.graph(**options)
    wanted = [
        name
        for name, argument in operator.arguments.items()
        if isinstance(argument, OnInput | OnOutput) or getattr(argument, "learnable", False)
    ]
    return operator.gradient(("x", *wanted), **options)


def _source(module: Any, task: Task, backend: str, layout: str) -> str:
    if backend == "numba":
        printed: str = module.source(task, layout == "channels_last")
    elif layout == "channels_last":
        instead = "Leave it out: Triton's kernels read contiguous arrays."
        raise ArgumentError(expected("layout", "to be contiguous for triton", layout, instead))
    else:
        printed = module.source(task)
    return printed
