"""The same calls as plain PyTorch, for programs that leave this process: export and ONNX.

They need no flexpool to be loaded again. max and avg become PyTorch's own operators where these can
say the same, so that ONNX gets MaxPool and AveragePool.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flexpool import calls, torch_ops
from flexpool.backends import eager
from flexpool.calls import Call, Plan, call_of, place_table
from flexpool.declare import operators
from flexpool.window import Window

__all__ = ["pool", "pool_with_indices"]

_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVG: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ADAPTIVE_MAX: dict[int, Any] = {
    1: F.adaptive_max_pool1d,
    2: F.adaptive_max_pool2d,
    3: F.adaptive_max_pool3d,
}
_ADAPTIVE_AVG: dict[int, Any] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


def pool(x: Tensor, values: Sequence[Tensor], seed: Tensor | None, spec: str) -> Tensor:
    """Run a call."""
    call = call_of(spec)
    own = _torchs_own(x, call)
    return _composed(x, values, seed, call, call.forward)["y"] if own is None else own


def pool_with_indices(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    """Run max or min and find where in the input plane each result comes from, as int64."""
    call = call_of(spec)
    where = _torchs_window(call, x.shape[2:])
    if _is(call, "max") and where is not None:
        size, stride, padding, dilation, ceil_mode = where
        found: tuple[Tensor, Tensor] = _MAX[call.window.dimensions](
            x, size, stride, padding, dilation, ceil_mode, return_indices=True
        )
        return found
    results = _composed(x, [], None, call, call.with_places)
    sizes = tuple(int(size) for size in x.shape[2:])
    geometry = calls.task(call, call.forward, (1, 1, *sizes), "float32").geometry
    base, added, first = (torch.from_numpy(t).to(x.device) for t in place_table(geometry))
    tap = results["tap"].to(torch.int64)
    index = torch.where(tap < 0, first, base + added[tap.clamp(min=0)])
    return results["y"], index


def _composed(
    x: Tensor, values: Sequence[Tensor], seed: Tensor | None, call: Call, plan: Plan
) -> dict[str, Tensor]:
    """Compute a graph with one operation per node."""
    dtype = torch_ops.compute_type(x.dtype)
    sizes = tuple(int(size) for size in x.shape[2:])
    fixed = torch_ops.constants(call, plan, sizes, dtype, x.device)
    given = dict(zip(call.given, values, strict=True))
    seeds = {} if seed is None else plan.seeds(seed)
    task = calls.task_of_any_batch(call, plan, (*x.shape[:2], *sizes), str(dtype)[6:])
    results = eager.run(task, {**fixed, **given, **seeds, "x": x.to(dtype)})
    return {n: result.to(x.dtype) if n == "y" else result for n, result in results.items()}


def _torchs_own(x: Tensor, call: Call) -> Tensor | None:
    """Call PyTorch's own pooling where it is the same, else None."""
    d = call.window.dimensions
    if d > 3:
        return None
    is_max, is_avg = _is(call, "max"), _is(call, "avg")
    override = call.options.get("divisor_override")
    if not isinstance(call.window, Window):
        size = call.window.output_shape(tuple(int(size) for size in x.shape[2:]))
        if is_max:
            return _ADAPTIVE_MAX[d](x, size)  # type: ignore[no-any-return]
        return _ADAPTIVE_AVG[d](x, size) if is_avg and override is None else None
    where = _torchs_window(call, x.shape[2:])
    if where is None:
        return None
    size, stride, padding, dilation, ceil_mode = where
    if is_max:
        return _MAX[d](x, size, stride, padding, dilation, ceil_mode)
    if not is_avg or any(n != 1 for n in dilation) or (override is not None and d == 1):
        return None
    others = () if d == 1 else (override,)
    count_include_pad = call.options["count_include_pad"]
    return _AVG[d](x, size, stride, padding, ceil_mode, count_include_pad, *others)  # type: ignore[no-any-return]


def _is(call: Call, name: str) -> bool:
    return operators()[name].formula is call.operator.formula


def _torchs_window(call: Call, sizes: Sequence[int]) -> tuple[Any, ...] | None:
    """Give a window in PyTorch's words, if it has them."""
    window = call.window
    if not isinstance(window, Window) or window.dimensions > 3:
        return None
    padding = window.padding_at([int(size) for size in sizes])
    halves = [k // 2 for k in window.kernel_size]
    same = all(
        before == after <= half for (before, after), half in zip(padding, halves, strict=True)
    )
    if not same:
        return None
    amounts = tuple(before for before, _ in padding)
    return window.kernel_size, window.stride, amounts, window.dilation, window.ceil_mode
