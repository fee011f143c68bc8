"""The shortest way for calls on the CPU that bring a tensor and nothing else, as most do.

To look at what a usual call does not need takes longer than the kernel for a small input. So here a
call is either that usual, or whoever asked is told to take the general way of
:mod:`flexpool.torch_autograd`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flexpool import torch_autograd, torch_batching, torch_ops  # noqa: F401 - registers
from flexpool.calls import Call, Plan, call_of
from flexpool.torch_ops import is_unwatched

__all__ = ["pooling"]

_Run = Callable[..., Tensor]
_STRIDED = torch.strided


@functools.lru_cache(maxsize=4096)
def pooling(spec: str) -> Callable[[Tensor], Tensor | None]:
    """Make what runs a call on a tensor; it gives None where the call is not that usual.

    While it runs, nothing is being compiled.
    """

    def pool(x: Tensor) -> Tensor | None:
        if not is_unwatched() or not _is_usual(x):
            return None
        way = _way(spec, x.shape, x.dtype)
        if way is None:
            return None
        if x.requires_grad and torch.is_grad_enabled():
            y: Tensor = _Pool.apply(x, way)  # type: ignore[no-untyped-call]
            return y
        return way.forward(x)

    return pool


def _is_usual(x: Tensor) -> bool:
    """Tell whether a tensor is nothing but C-contiguous numbers on the CPU."""
    return (
        type(x) is Tensor
        and x.is_cpu
        and x.layout is _STRIDED
        and x.is_contiguous()
        and not x.is_neg()
    )


class _Way:
    """How calls of one kind are computed whose input is of one shape and type.

    Attributes:
        spec: the call.
        shape, dtype: of the input.
        forward: computes y of x.
    """

    def __init__(self, spec: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.spec, self.shape, self.dtype = spec, shape, dtype
        call = call_of(spec)
        self.forward = _runner(call, call.forward, ("x",), "y", shape, dtype)

    @functools.cached_property
    def reads_input(self) -> bool:
        """Tell whether the gradient depends on x."""
        return bool(self._gradient.read)

    @functools.cached_property
    def backward(self) -> _Run:
        """Compute the gradient of grad_y, and of x where that is read."""
        plan = self._gradient
        return _runner(
            call_of(self.spec), plan, ("grad_y", *plan.read), "x", self.shape, self.dtype
        )

    @functools.cached_property
    def about(self) -> tuple[Any, ...]:
        """What the general gradient is to be asked."""
        return self.shape, False, self.spec, ",".join(self._gradient.read), "x"

    @property
    def _gradient(self) -> Plan:
        return call_of(self.spec).gradient(("x",))


@functools.lru_cache(maxsize=4096)
def _way(spec: str, shape: torch.Size, dtype: torch.dtype) -> _Way | None:
    call, sizes = call_of(spec), tuple(shape)
    if not dtype.is_floating_point or call.given or call.forward.random:
        return None
    if len(sizes) != call.window.dimensions + 2 or 0 in torch_ops.result_shape(call, sizes):
        return None
    compute = torch_ops.compute_type(dtype)
    ready = torch_ops.ready_for(call, call.forward, sizes, compute, "cpu")
    return _Way(spec, sizes, dtype) if ready.takes_arrays else None


def _runner(
    call: Call,
    plan: Plan,
    read: tuple[str, ...],
    result: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> _Run:
    """Make a function of contiguous tensors, in the order of their names."""
    compute = torch_ops.compute_type(dtype)
    ready = torch_ops.ready_for(call, plan, shape, compute, "cpu")
    prepare = getattr(ready.module, "prepared", None)
    quick = prepare(ready.task, read, ready.missing) if prepare and dtype == compute else None
    if quick is None:
        device = torch.device("cpu")

        def run(*tensors: Tensor) -> Tensor:
            given = dict(zip(read, tensors, strict=True))
            return torch_ops.run(call, plan, shape, dtype, device, given)[result]

        return run

    def run_on_one(x: Tensor) -> Tensor:
        return torch.from_numpy(quick(x.detach().numpy() if x.requires_grad else x.numpy()))

    def run_on_more(*tensors: Tensor) -> Tensor:
        arrays = [(t.detach() if t.requires_grad else t).numpy() for t in tensors]
        return torch.from_numpy(quick(*arrays))

    return run_on_one if len(read) == 1 else run_on_more


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, way: _Way) -> Tensor:
        ctx.way = way
        if way.reads_input:
            ctx.save_for_backward(x)
        return way.forward(x)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> Any:
        way, leaves = ctx.way, ctx.saved_tensors
        usual = not torch.is_grad_enabled() and is_unwatched()
        usual = usual and not torch._C._functorch.is_legacy_batchedtensor(grad_y)
        if usual and grad_y.dtype == way.dtype:
            grad_y = grad_y.contiguous()
            if _is_usual(grad_y):
                return way.backward(grad_y, *leaves), None
        return torch_autograd.pool_backward(grad_y, leaves, None, *way.about)[0], None
