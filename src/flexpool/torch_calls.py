"""Calls on tensors: prepare the arrays, then hand them to the operators of :mod:`torch_ops`.

torch.compile traces through this file, so it is plain; what it asks of :mod:`flexpool.calls` is
computed once while tracing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from flexpool import calls, torch_alone, torch_autograd, torch_batching, torch_ops  # noqa: F401 - registers
from flexpool.errors import ArgumentError, DtypeError, expected
from flexpool.leaves import as_leaves, as_seed, summed_to

__all__ = ["pool", "pool_backward", "pool_with_indices", "settled"]

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_WHOLE = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16),
    *(torch.int32, torch.uint16, torch.uint32),
)


def pool(x: Tensor, spec: str, arrays: Mapping[str, Any], seed: Any) -> Tensor:
    """Run a call."""
    if not arrays and seed is None and not torch.compiler.is_compiling():
        alone = torch_alone.pooling(spec)(x)
        if alone is not None:
            return alone
    known = calls.facts(spec)
    seed = as_seed(seed, known)
    _check_type(x, known.selects)
    batched = _is_batched(x, spec)
    whole = x if batched else x[None]
    leaves = _leaves(arrays, known.grids, spec, whole, batched)
    drawn = _drawn(seed) if known.draws else None
    if _leaves_the_process() or _goes_forward():
        from flexpool import torch_export

        y = torch_export.pool(_as_floats(whole), leaves, drawn, spec).to(x.dtype)
    else:
        y = torch_autograd.pool(whole, leaves, drawn, spec)
    return y if batched else y[0]


def pool_with_indices(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    """Run max or min and find where in the input plane each result comes from, as int64."""
    _check_type(x, selects=True)
    batched = _is_batched(x, spec)
    whole = x if batched else x[None]
    if _leaves_the_process() or _goes_forward():
        from flexpool import torch_export

        y, index = torch_export.pool_with_indices(_as_floats(whole), spec)
        y = y.to(x.dtype)
    else:
        y, index = torch_autograd.pool_with_indices(whole, spec)
    return (y, index) if batched else (y[0], index[0])


def pool_backward(
    grad_y: Tensor,
    x: Tensor,
    spec: str,
    arrays: Mapping[str, Any],
    seed: Any,
    wanted: tuple[str, ...],
) -> dict[str, Tensor]:
    """Run a call's gradient; each has the shape of what it belongs to."""
    call, known = calls.call_of(spec), calls.facts(spec)
    seed = as_seed(seed, known)
    _check_type(x, selects=False)
    batched = _is_batched(x, spec)
    whole = x if batched else x[None]
    leaves = _leaves(arrays, known.grids, spec, whole, batched)
    named = {"x": whole, **dict(zip(arrays, leaves, strict=True))}
    plan = call.gradient(wanted)
    found = torch_autograd.pool_backward(
        grad_y if batched else grad_y[None],
        [named[name] for name in plan.read],
        _drawn(seed) if plan.random else None,
        list(whole.shape),
        torch_ops.channels_last(whole),
        spec,
        ",".join(plan.read),
        ",".join(wanted),
    )
    own = {"x": x, **arrays}
    shapes = calls.argument_shapes(call, {n: a.shape for n, a in own.items()}, whole.shape[2:])
    return {
        name: summed_to(result, shapes[name], call.grid(name), batched).to(own.get(name, x).dtype)
        for name, result in zip(wanted, found, strict=True)
    }


def _leaves_the_process() -> bool:
    """Tell whether the program is being exported.

    Export with ``strict=True`` traces as torch.compile does and keeps flexpool's operators.
    """
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
    # PyTorch's older exporter traces.
    return torch._C._get_tracing_state() is not None and torch.onnx.is_in_onnx_export()


def _goes_forward() -> bool:
    """Tell whether derivatives are carried forward (jvp): PyTorch's own operators know how."""
    if torch.compiler.is_compiling():
        return False
    level: int = forward_ad._current_level
    return level >= 0


def settled(item: Any) -> Any:
    """Return settings as they are; torch.compile, which may treat numbers as symbols, settles them.

    It knows a number for good once the program's course depended on it, as by a length or a text.
    """
    if not torch.compiler.is_compiling():
        return item
    if isinstance(item, tuple | list):
        return tuple([settled(each) for each in item])
    if isinstance(item, bool):
        return item
    if isinstance(item, int):
        return len(range(item)) if item >= 0 else -len(range(-item))
    return float.fromhex(item.hex()) if isinstance(item, float) else item


def _is_batched(x: Tensor, spec: str) -> bool:
    return x.ndim == calls.facts(spec).dimensions + 2


def _check_type(x: Tensor, selects: bool) -> None:
    """Refuse a tensor for which there is no floating type in which the call is exact enough."""
    if x.layout != torch.strided:
        layout = str(x.layout).removeprefix("torch.")
        raise DtypeError(f"expected x to be a dense tensor, got {layout}. Use x.to_dense().")
    if x.dtype in _FLOATS or (selects and x.dtype in _WHOLE):
        return
    rule = f"to be floating point, got {str(x.dtype).removeprefix('torch.')}"
    raise DtypeError(f"expected x {rule}. Convert it: x.float().")


def _as_floats(x: Tensor) -> Tensor:
    return x if x.dtype in _FLOATS else x.to(torch_ops.compute_type(x.dtype))


def _leaves(
    arrays: Mapping[str, Any], grids: tuple[int, ...], spec: str, x: Tensor, batched: bool
) -> list[Tensor]:
    for name, array in arrays.items():
        if not isinstance(array, Tensor):
            raise DtypeError(expected(name, "to be a number or a tensor, as x is", array))
    dtype = torch_ops.compute_type(x.dtype)
    plain = {name: array.to(dtype) for name, array in arrays.items()}
    return as_leaves(plain, grids, spec, x, batched, torch.broadcast_to)


def _drawn(seed: Any) -> Tensor:
    """Make the seed a tensor. One that is drawn is not looked at here, so nothing waits for it."""
    if seed is None:
        return torch.randint(2**63 - 1, (), dtype=torch.int64)
    if isinstance(seed, Tensor):
        if seed.ndim != 0 or seed.is_floating_point():
            raise ArgumentError(expected("seed", "to be an int or a 0-d tensor of int64", seed))
        return seed.to(torch.int64)
    return torch.tensor(seed, dtype=torch.int64)
