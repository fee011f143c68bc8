"""The command ``show-kernel``: the source that flexpool generates for one pooling."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexpool.cli.pooling import (
    DTYPES,
    LAYOUTS,
    CeilMode,
    Dilation,
    Dimensions,
    KernelSize,
    Padding,
    Stride,
    check_known,
    ints,
    settings_of,
    window_of,
)
from flexpool.cli.terminal import print_python, reported
from flexpool.errors import ArgumentError, called, expected

if TYPE_CHECKING:
    from flexpool.backends.task import Task
    from flexpool.declare import Operator
    from flexpool.ir import Graph

__all__ = ["show_kernel"]

PRINTERS = ("numba", "triton")


@reported
def show_kernel(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An operator of `flexpool list`.")],
    kernel_size: KernelSize = "2",
    stride: Stride = None,
    padding: Padding = "0",
    dilation: Dilation = "1",
    ceil_mode: CeilMode = False,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="An option of the operator."),
    ] = None,
    backward: Annotated[
        bool, typer.Option("--backward", help="The gradient instead of the result.")
    ] = False,
    backend: Annotated[str, typer.Option(help="numba (CPU) or triton (GPU).")] = "numba",
    dimensions: Dimensions = None,
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

    with called("show-kernel"):
        check_known("backend", backend, PRINTERS)
        check_known("dtype", dtype, DTYPES)
        check_known("layout", layout, LAYOUTS)
        where = window_of(kernel_size, stride, padding, dilation, ceil_mode, dimensions)
        sizes = ints("size", size)
        operator = find(name)
        graph = _graph(operator, settings_of(operator, option or [], numbers=False), backward)
        whole = sizes if isinstance(sizes, tuple) else (sizes,) * where.dimensions
        placed = geometry(where, whole)
        task = Task(graph, placed, (1, 1), dtype)
        source = _source(importlib.import_module(BACKENDS[backend]), task, backend, layout)
    print_python(source)


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
