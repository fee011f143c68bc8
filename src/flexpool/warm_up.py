"""Compile kernels before they are needed, in several processes at once.

A :class:`Job` is one pooling as a program would call it. To compile its kernels it is run once, on
random numbers; so whatever such a call needs is there afterwards. The kernels of a net are found by
running it on tensors that have shapes and no numbers.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from loky import ProcessPoolExecutor
from loky.backend import get_context
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import flexpool
from flexpool import torch_small
from flexpool.backends import kernel_files
from flexpool.backends.cached_files import cache_folder
from flexpool.backends.numba_cpu.short_rows import MOST, MOST_OVERLAPPING
from flexpool.backends.task import geometry
from flexpool.declare import OnInput, OnOutput, Operator, Param, Weight
from flexpool.lab import nets
from flexpool.lab.files import storing
from flexpool.nn.module import Pooling
from flexpool.window import Window

__all__ = ["Compiled", "Job", "compile_ahead", "jobs_of_net", "jobs_of_operator"]

BATCH = 2
LONG = 256  # elements of a row that is not short, whatever their type
LAYOUTS = ("contiguous", "channels_last")


@dataclass(frozen=True)
class Job:
    """One pooling, to be run once.

    Attributes:
        label: what it is, for the reader.
        function: what is called with the input and the arguments; another process must know it.
        shape: of the input.
        layout: of the input in memory.
        dtype: of the input.
        backward: whether the gradient is computed, too.
        needs_gradient: whether the input has one; a net's own input has none.
        arguments: shapes of further tensors, by name; all have gradients.
    """

    label: str
    function: Callable[..., Tensor]
    shape: tuple[int, ...]
    layout: str = "contiguous"
    dtype: str = "float32"
    backward: bool = False
    needs_gradient: bool = True
    arguments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def run(self) -> list[Compiled]:
        """Run it and say which kernels were made ready; not those this process had before."""
        x = _tensor(self.shape, self.layout, self.dtype, self.needs_gradient and self.backward)
        tensors = {
            name: _tensor(shape, self.layout, self.dtype, self.backward)
            for name, shape in self.arguments.items()
        }
        with _watched(self, "forward") as found:
            y = self.function(x, **tensors)
        if self.backward and y.requires_grad:
            with _watched(self, "backward") as more:
                y.sum().backward()
            found += more
        return found


@dataclass(frozen=True)
class Compiled:
    """One kernel that is ready now.

    Attributes:
        label: the job's.
        direction: "forward" or "backward".
        layout: how its arrays lie in memory.
        dtype: their type.
        seconds: how long it took to compile, or to load from the cache.
        was_there: whether it was in the cache.
    """

    label: str
    direction: str
    layout: str
    dtype: str
    seconds: float
    was_there: bool


def jobs_of_operator(
    operator: Operator,
    window: Window,
    settings: Mapping[str, Any] | None = None,
    *,
    layouts: Sequence[str] = ("contiguous",),
    dtype: str = "float32",
    backward: bool = False,
) -> list[Job]:
    """List the jobs of one operator: with numbers for its parameters, and as a module learns them.

    Args:
        operator: the operator.
        window: where its windows lie.
        settings: options, and numbers for its parameters in place of their defaults. A few
            numbers, such as 1 and 2, become part of the kernel; all others share one.
        layouts: "contiguous" and "channels_last", one or both.
        dtype: "float32", which half types are computed in too, or "float64".
        backward: whether the gradient's kernels are wanted.

    Example:
        >>> from flexpool.declare import find
        >>> from flexpool.window import window
        >>> [job.label for job in jobs_of_operator(find("boltzmann"), window(2, 3, 2))]
        ['boltzmann k3×3 s2×2', 'boltzmann k3×3 s2×2, long rows', \
'boltzmann k3×3 s2×2, beta learned', 'boltzmann k3×3 s2×2, beta learned, long rows']
    """
    learned = {
        name: () if isinstance(argument, Param) else argument.shape(window.kernel_size)
        for name, argument in operator.arguments.items()
        if isinstance(argument, Param | Weight) and argument.learnable and not argument.required
    }
    where = (window.kernel_size, window.stride, window.padding, window.dilation, window.ceil_mode)
    call = functools.partial(_pool, operator.name, where, dict(settings or {}))
    label = f"{operator.name} {_in_brief(window)}"
    kinds: list[tuple[str, Mapping[str, tuple[int, ...]]]] = [(label, {})]
    if learned:
        kinds.append((f"{label}, {', '.join(learned)} learned", learned))
    return [
        Job(text + length, call, shape, layout, dtype, backward, True, {**given, **more})
        for layout in layouts
        for text, more in kinds
        for length, shape in _inputs(window, layout).items()
        for given in [_shapes(operator, window, shape)]
    ]


def _inputs(window: Window, layout: str) -> dict[str, tuple[int, ...]]:
    """Give the shapes of inputs that have kernels of their own, each with what to add to a label.

    With channels last, fewer channels would have one too.
    """
    sizes = tuple(
        max(32, 2 * d * (k - 1) + 2)
        for k, d in zip(window.kernel_size, window.dilation, strict=True)
    )
    found = {"": (1, 16, *sizes)}
    if layout == LAYOUTS[0] and (len(sizes) == 2 or geometry(window, sizes).inside):
        found[", long rows"] = (1, 16, *sizes[:-1], max(sizes[-1], LONG))
    return found


def jobs_of_net(name: str, downsampling: str | None = None, dtype: str = "float32") -> list[Job]:
    """List the poolings of one of the laboratory's nets, in both layouts, with their gradients.

    Of several that are alike there is the first.

    Args:
        name: a net of :mod:`flexpool.lab.nets`.
        downsampling: in place of its own.
        dtype: "float32" or "float64".

    Raises:
        ArgumentError: if the net or the downsampling is unknown.

    Example:
        >>> [(job.label, job.layout) for job in jobs_of_net("lenet5")]
        [('lenet5/max down1', 'contiguous'), ('lenet5/max down1', 'channels_last'), \
('lenet5/max down2', 'channels_last')]
    """
    jobs: list[Job] = []
    known = nets.find(name)
    chosen, image = downsampling or known.downsampling, known.image
    for layout in LAYOUTS:
        net = nets.build(name, chosen).to(getattr(torch, dtype))
        if layout == "channels_last":
            net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        hooks = []
        for part, module in net.named_modules():
            if isinstance(module, Pooling):
                note = functools.partial(_note, jobs, f"{name}/{chosen} {part}", dtype)
                hooks.append(module.register_forward_pre_hook(note))
        with FakeTensorMode(allow_non_fake_inputs=True):
            net(_tensor((BATCH, *image), layout, dtype, gradient=False))
        for hook in hooks:  # they would go along to the other processes
            hook.remove()
    # Modules that say the same of themselves have the same kernels, whatever the sizes; but there
    # is another for short rows, and with channels last for few channels.
    distinct = {
        (repr(j.function), j.layout, j.needs_gradient, _kind_of_input(j)): j for j in reversed(jobs)
    }
    return list(reversed(distinct.values()))


def _kind_of_input(job: Job) -> int:
    """Number the inputs of a layout that have kernels of their own."""
    if job.layout == LAYOUTS[1]:
        return job.shape[1]
    length = job.shape[-1] * getattr(torch, job.dtype).itemsize
    return sum(length >= most for most in (MOST, MOST_OVERLAPPING, 2 * MOST_OVERLAPPING))


def compile_ahead(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, list[Compiled]]]:
    """Compile the kernels of jobs, and yield each job with its kernels as it is done.

    Args:
        jobs: what to run.
        workers: number of processes, an int > 0; 1 compiles in this one.

    Raises:
        StorageError: if the cache's folder cannot be written: nothing would be kept.
    """
    folder = cache_folder()
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink(missing_ok=True)
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.label.partition(",")[0], job.layout), []).append(job)
    if min(workers, len(groups)) <= 1:
        yield from ((job, job.run()) for job in jobs)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(groups)),
        context=get_context("loky"),
        env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    finished = False
    try:
        # Jobs that may share kernels go to one process, so that none is compiled twice.
        futures = {pool.submit(_run_all, group): group for group in groups.values()}
        for future in as_completed(futures):
            yield from zip(futures[future], future.result(), strict=True)
        finished = True
    finally:
        pool.shutdown(kill_workers=not finished)


def _run_all(jobs: Sequence[Job]) -> list[list[Compiled]]:
    return [job.run() for job in jobs]


def _pool(
    operator: str,
    where: tuple[Any, ...],
    settings: Mapping[str, Any],
    x: Tensor,
    **arguments: Tensor,
) -> Tensor:
    given = {**settings, **arguments}
    pooled: Tensor = flexpool.pool(x, operator, *where, dimensions=x.ndim - 2, **given)
    return pooled


def _note(
    jobs: list[Job], label: str, dtype: str, module: Pooling, inputs: tuple[Tensor, ...]
) -> None:
    """Write down how a module was called."""
    x = inputs[0]
    layout = "contiguous" if x.is_contiguous() else "channels_last"
    jobs.append(Job(label, module, tuple(x.shape), layout, dtype, True, x.requires_grad))


def _shapes(
    operator: Operator, window: Window, shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Give the shapes of the arguments that callers must give."""
    found: dict[str, tuple[int, ...]] = {}
    for name, argument in operator.arguments.items():
        if isinstance(argument, OnInput):
            found[name] = shape
        elif isinstance(argument, OnOutput):
            found[name] = (*shape[:2], *window.output_shape(shape[2:]))
        elif isinstance(argument, Param | Weight) and argument.required:
            sizes = window.kernel_size
            found[name] = argument.shape(sizes) if isinstance(argument, Weight) else ()
    return found


def _tensor(shape: tuple[int, ...], layout: str, dtype: str, gradient: bool) -> Tensor:
    made = torch.rand(shape, dtype=getattr(torch, dtype))
    if layout == "channels_last" and len(shape) > 2:
        made = made.movedim(1, -1).contiguous().movedim(-1, 1)
    return made.requires_grad_(gradient)


def _in_brief(window: Window) -> str:
    kernel, stride = ("×".join(map(str, sizes)) for sizes in (window.kernel_size, window.stride))
    dilation = "×".join(map(str, window.dilation))
    return f"k{kernel} s{stride}" + (f" d{dilation}" if max(window.dilation) > 1 else "")


@contextmanager
def _watched(job: Job, direction: str) -> Iterator[list[Compiled]]:
    """Note each kernel that is asked for inside the block."""
    found: list[Compiled] = []
    load = kernel_files.load

    def watched_load(source: str, name: str, signature: str) -> Any:
        begin = time.perf_counter()
        kernel: Any = load(source, name, signature)
        seconds = time.perf_counter() - begin
        was_there = sum(kernel.stats.cache_hits.values()) > 0
        found.append(Compiled(job.label, direction, job.layout, job.dtype, seconds, was_there))
        return kernel

    kernel_files.load = watched_load
    try:
        with torch_small.nothing_handed_over():
            yield found
    finally:
        kernel_files.load = load
