"""Derivatives of the operators of :mod:`flexpool.torch_ops`.

The first derivative is the fused gradient. The gradient's own derivative is autograd's, of the
gradient graph computed by the eager backend, so there is one of every order.

The same formulas are given twice: as ``torch.autograd.Function``, which is quick and which
``torch.func.grad`` accepts, and for the operators themselves, which torch.compile prefers.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flexpool import calls, torch_ops
from flexpool.backends import eager
from flexpool.calls import call_of
from flexpool.ir import Grid
from flexpool.torch_ops import LIBRARY, channels_last, compute_type, constants

__all__ = ["pool", "pool_backward", "pool_with_indices"]

_PoolBackward = Callable[..., Sequence[Tensor]]


class _Wanted(NamedTuple):
    """What is to be differentiated with respect to, and what that takes.

    Attributes:
        names: of what needs a gradient.
        read: the arrays that the gradient reads.
        draws: whether it draws random numbers.
        about: the names as the operator takes them: those read and those wanted.
    """

    names: tuple[str, ...]
    read: tuple[str, ...]
    draws: bool
    about: tuple[str, str]


@functools.lru_cache(maxsize=4096)
def _wanted(spec: str, needed: tuple[bool, ...]) -> _Wanted:
    call = call_of(spec)
    wanted = tuple(itertools.compress(("x", *call.given), needed))
    if not wanted:
        return _Wanted((), (), False, ("", ""))
    plan = call.gradient(wanted)
    return _Wanted(wanted, plan.read, bool(plan.random), (",".join(plan.read), ",".join(wanted)))


def _keep(
    ctx: Any,
    x: Tensor,
    values: Sequence[Tensor],
    seed: Tensor | None,
    spec: str,
    needed: tuple[bool, ...],
) -> None:
    """Keep for the gradient what it reads, and of all else the shapes only."""
    wanted, given = _wanted(spec, needed), call_of(spec).given
    ctx.spec, ctx.shape, ctx.last, ctx.needed = spec, x.shape, channels_last(x), needed
    ctx.shared = [value.shape[0] == 1 for value in values]
    kept = [x if name == "x" else values[given.index(name)] for name in wanted.read]
    ctx.save_for_backward(seed if wanted.draws else None, *kept)


def _gradients(
    ctx: Any, grad_y: Tensor, needed: tuple[bool, ...], pool_backward: _PoolBackward
) -> list[Tensor | None]:
    """Compute the gradients of x and the values, None where not needed."""
    wanted = _wanted(ctx.spec, needed)
    if not wanted.names:
        return [None] * len(needed)
    seed, *leaves = ctx.saved_tensors
    if needed != ctx.needed:  # fewer than could have been
        kept = dict(zip(_wanted(ctx.spec, ctx.needed).read, leaves, strict=True))
        leaves = [kept[name] for name in wanted.read]
    results = iter(
        pool_backward(grad_y, leaves, seed, ctx.shape, ctx.last, ctx.spec, *wanted.about)
    )
    gradients = [next(results) if need else None for need in needed]
    for i, (grid, shared) in enumerate(zip(call_of(ctx.spec).grids, ctx.shared, strict=True), 1):
        gradient = gradients[i]
        if gradient is not None and shared and not grid & (Grid.ELEMENT | Grid.WINDOW):
            gradients[i] = gradient.sum(0, keepdim=True)
    return gradients


def _second(ctx: Any, gradients: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Differentiate the gradient graph with respect to what it reads, grad_y first."""
    grad_y, seed, *leaves = ctx.saved_tensors
    spec, read, wanted = ctx.about
    call, names = call_of(spec), wanted.split(",")
    plan, dtype = call.gradient(tuple(names)), compute_type(grad_y.dtype)
    shape = tuple(ctx.shape)
    task = calls.task(call, plan, shape, "float64" if dtype == torch.float64 else "float32")
    fixed: dict[str, Any] = constants(call, plan, shape[2:], dtype, grad_y.device)
    fixed |= {} if seed is None else plan.seeds(seed)
    present = [n for n, gradient in zip(names, gradients, strict=True) if gradient is not None]
    leaf_names = read.split(",") if read else []

    def gradient_of(grad_y: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        given = {n: leaf.to(dtype) for n, leaf in zip(leaf_names, leaves, strict=True)}
        results = eager.run(task, {**fixed, **given, "grad_y": grad_y.to(dtype)})
        return tuple(results[name] for name in present)

    pull_back = torch.func.vjp(gradient_of, grad_y, *leaves)[1]
    found: tuple[Tensor, ...] = pull_back(tuple(g.to(dtype) for g in gradients if g is not None))
    return found


class _Pool(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, seed: Tensor | None, spec: str, *values: Tensor) -> Tensor:
        y: Tensor = torch_ops.pool(x, values, seed, spec)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, seed, spec, *values = inputs
        needed = ctx.needs_input_grad
        _keep(ctx, x, values, seed, spec, (needed[0], *needed[3:]))

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> Any:
        needed = ctx.needs_input_grad
        grad_x, *rest = _gradients(ctx, grad_y, (needed[0], *needed[3:]), pool_backward)
        return grad_x, None, None, *rest


class _PoolWithIndices(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
        y, index = torch_ops.pool_with_indices(x, spec)
        return y, index

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, spec = inputs
        _keep(ctx, x, [], None, spec, ctx.needs_input_grad[:1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, _: object) -> Any:
        return *_gradients(ctx, grad_y, ctx.needs_input_grad[:1], pool_backward), None


class _PoolGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad_y: Tensor, seed: Tensor | None, about: Any, *leaves: Tensor
    ) -> tuple[Tensor, ...]:
        return tuple(torch_ops.pool_backward(grad_y, leaves, seed, *about))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        grad_y, seed, about, *leaves = inputs
        ctx.save_for_backward(grad_y, seed, *leaves)
        ctx.shape, ctx.about = about[0], about[2:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        grad_y, *rest = _second(ctx, gradients)
        return grad_y, None, None, *rest


def _without_transforms(function: type[Any]) -> type[Any]:
    """Make the same in the older form, which ``torch.func`` refuses and which starts quickly."""

    def forward(ctx: Any, *inputs: Any) -> Any:
        output = function.forward(*inputs)
        function.setup_context(ctx, inputs, output)
        return output

    members = {"forward": staticmethod(forward), "backward": staticmethod(function.backward)}
    return type(f"{function.__name__}Quick", (torch.autograd.Function,), members)


_QUICK = {f: _without_transforms(f) for f in (_Pool, _PoolWithIndices, _PoolGradient)}


def _needs_no_gradient(*tensors: Tensor) -> bool:
    """Tell whether an operator may be called as it is; when compiling it always may."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return True
    return not any(tensor.requires_grad for tensor in tensors)


def _applied(function: type[Any], *inputs: Any) -> Any:
    transforms = torch._C._are_functorch_transforms_active()
    return (function if transforms else _QUICK[function]).apply(*inputs)


def pool(x: Tensor, values: Sequence[Tensor], seed: Tensor | None, spec: str) -> Tensor:
    """Run a call."""
    if _needs_no_gradient(x, *values):
        y: Tensor = torch_ops.pool(x, values, seed, spec)
    else:
        y = _applied(_Pool, x, seed, spec, *values)
    return y


def pool_with_indices(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    """Run max or min; the indices have no gradient."""
    found: tuple[Tensor, Tensor]
    if _needs_no_gradient(x):
        found = torch_ops.pool_with_indices(x, spec)
    else:
        found = _applied(_PoolWithIndices, x, spec)
    return found


def pool_backward(
    grad_y: Tensor,
    leaves: Sequence[Tensor],
    seed: Tensor | None,
    shape: Sequence[int],
    last: bool,
    spec: str,
    read: str,
    wanted: str,
) -> Sequence[Tensor]:
    """Run a call's gradient, which can be differentiated again."""
    about = (tuple(shape), last, spec, read, wanted)
    if torch._C._functorch.is_legacy_batchedtensor(grad_y):
        return _pool_backward_of_batch(grad_y, leaves, seed, *about)
    found: Sequence[Tensor]
    if _needs_no_gradient(grad_y, *leaves):
        found = torch_ops.pool_backward(grad_y, leaves, seed, *about)
    else:
        found = _applied(_PoolGradient, grad_y, seed, about, *leaves)
    return found


def _pool_backward_of_batch(
    grad_y: Tensor, leaves: Sequence[Tensor], seed: Tensor | None, *about: Any
) -> Sequence[Tensor]:
    """Do the same for many gradients at once, as ``jacobian(vectorize=True)`` asks.

    PyTorch has them in a batch of an older kind than ``torch.func.vmap``'s, which can batch here.
    """
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()

    def one(gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(pool_backward(gradient, leaves, seed, *about))

    found = torch.func.vmap(one)(torch._remove_batch_dim(grad_y, level, 1, 0))
    return [torch._add_batch_dim(gradient, 0, level) for gradient in found]


# The same for the operators.


def _keep_pool(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, seed, spec = inputs
    _keep(ctx, x, values, seed, spec, ctx.needs_input_grad[: 1 + len(values)])


def _differentiate_pool(ctx: Any, grad_y: Tensor) -> tuple[Any, ...]:
    x_needed, values_needed, *_ = ctx.needs_input_grad
    needed = (x_needed, *values_needed)
    grad_x, *grad_values = _gradients(ctx, grad_y, needed, torch_ops.pool_backward)
    return grad_x, grad_values, None, None


def _keep_with_indices(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, spec = inputs
    _keep(ctx, x, [], None, spec, ctx.needs_input_grad[:1])
    ctx.mark_non_differentiable(output[1])


def _differentiate_with_indices(ctx: Any, grad_y: Tensor, _: object) -> tuple[Any, ...]:
    needed = ctx.needs_input_grad[:1]
    return *_gradients(ctx, grad_y, needed, torch_ops.pool_backward), None


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    grad_y, leaves, seed, shape, _, *about = inputs
    ctx.save_for_backward(grad_y, seed, *leaves)
    ctx.shape, ctx.about = shape, about


def _differentiate_backward(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    grad_y, *rest = _second(ctx, gradients)
    return grad_y, rest, *(None,) * 6


for _name, _backward, _setup in (
    ("pool", _differentiate_pool, _keep_pool),
    ("pool_with_indices", _differentiate_with_indices, _keep_with_indices),
    ("pool_backward", _differentiate_backward, _keep_backward),
):
    torch.library.register_autograd(
        f"flexpool::{_name}", _backward, setup_context=_setup, lib=LIBRARY
    )
