"""The command ``warm-up``: kernels that are there before they are needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flexpool.cli.pooling import (
    DTYPES,
    LAYOUTS,
    Dilation,
    Dimensions,
    KernelSize,
    Padding,
    Stride,
    check_known,
    settings_of,
    window_of,
)
from flexpool.cli.progress import steps
from flexpool.cli.terminal import page, reported
from flexpool.errors import ArgumentError, called, expected, unknown

if TYPE_CHECKING:
    from flexpool.warm_up import Compiled, Job

__all__ = ["warm_up"]

BOTH = "both"


@reported
def warm_up(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NET|OPERATOR...",
            help="Nets of the laboratory, as net or net/downsampling; operators; all.",
        ),
    ],
    kernel_size: KernelSize = "2",
    stride: Stride = None,
    padding: Padding = "0",
    dilation: Dilation = "1",
    dimensions: Dimensions = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", metavar="NAME=VALUE", help="An argument of the operator, as beta=1.7."
        ),
    ] = None,
    backward: Annotated[
        bool, typer.Option("--backward", help="The gradients too; a net has them always.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="float32, in which half types are computed too, or float64.")
    ] = "float32",
    layout: Annotated[
        str, typer.Option(help="contiguous, channels_last or both; of a net always both.")
    ] = "contiguous",
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
) -> None:
    """Compile the kernels of nets or operators ahead, and keep them in the cache.

    The first call of a pooling compiles its kernel, which takes a second or so; after this it does
    not.
    """
    from loky import cpu_count

    from flexpool.backends.cached_files import cache_folder
    from flexpool.warm_up import compile_ahead

    with called("warm-up"):
        check_known("dtype", dtype, DTYPES)
        check_known("layout", layout, (*LAYOUTS, BOTH))
        if workers is not None and workers < 1:
            raise ArgumentError(expected("--workers", "to be an int > 0", workers))
        where = (kernel_size, stride, padding, dilation, False, dimensions)
        layouts = LAYOUTS if layout == BOTH else (layout,)
        jobs = [
            job
            for name in names
            for job in _jobs(name, where, option or [], layouts, dtype, backward)
        ]
        begin, found = time.perf_counter(), []
        with steps("pooling", len(jobs)) as progress:
            for job, kernels in compile_ahead(jobs, workers or cpu_count()):
                found.append((job, kernels))
                progress.done(f"{job.label}, {job.layout}")
        seconds = time.perf_counter() - begin
    order = {id(job): number for number, job in enumerate(jobs)}
    found.sort(key=lambda pair: order[id(pair[0])])
    _show([kernel for _, kernels in found for kernel in kernels], seconds, str(cache_folder()))


def _jobs(
    name: str,
    where: tuple[str, str | None, str, str, bool, int | None],
    option: list[str],
    layouts: tuple[str, ...],
    dtype: str,
    backward: bool,
) -> list[Job]:
    from flexpool.declare import operators
    from flexpool.lab.nets import NETS
    from flexpool.warm_up import jobs_of_net, jobs_of_operator

    net, slash, downsampling = name.partition("/")
    if net in NETS:
        return jobs_of_net(net, downsampling if slash else None, dtype)
    chosen = list(operators()) if name == "all" else [name]
    for operator in chosen:
        if operator not in operators():
            raise unknown("net or operator", operator, [*NETS, *operators(), "all"])
    window = window_of(*where)
    found: list[Job] = []
    for known in (operators()[each] for each in chosen):
        settings = settings_of(known, option, numbers=True)
        found += jobs_of_operator(
            known, window, settings, layouts=layouts, dtype=dtype, backward=backward
        )
    return found


def _show(kernels: list[Compiled], seconds: float, folder: str) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("pooling", "direction", "layout", "dtype"):
        table.add_column(heading, no_wrap=heading == "pooling")
    table.add_column("s", justify="right")
    table.add_column("")
    for kernel in kernels:
        state = "was there" if kernel.was_there else "compiled"
        figures = (f"{kernel.seconds:.2f}", state)
        table.add_row(kernel.label, kernel.direction, kernel.layout, kernel.dtype, *figures)
    console = page()
    console.print(table)
    new = sum(not kernel.was_there for kernel in kernels)
    text = f"{new} kernels compiled, {len(kernels) - new} were there; {seconds:.1f} s; in {folder}"
    console.print(text, soft_wrap=True)
