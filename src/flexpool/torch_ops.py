"""The operators that PyTorch sees: one pair for every pooling operator there is.

``flexpool::pool`` and its gradient ``flexpool::pool_backward`` take tensors and the *spec* of a
call (:mod:`flexpool.calls`). Each is registered with what PyTorch needs to trace it here, to
differentiate it in :mod:`flexpool.torch_autograd` and to batch it in
:mod:`flexpool.torch_batching`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from flexpool import calls
from flexpool.backends.choice import backend_for
from flexpool.backends.formats import BFLOAT16
from flexpool.backends.task import Task, geometry
from flexpool.calls import Call, Plan, call_of, place_table
from flexpool.ir import Grid

__all__ = [
    "HALVES",
    "LIBRARY",
    "Ready",
    "channels_last",
    "compute_type",
    "constants",
    "is_unwatched",
    "pool",
    "pool_backward",
    "pool_with_indices",
    "ready_for",
    "result_shape",
    "run",
]

# Looked up once: finding an attribute of an attribute of a module takes as long as the answer.
_tracing = torch._C._is_tracing
_transforming = torch._C._are_functorch_transforms_active
_dispatching = torch._C._len_torch_dispatch_stack
_overriding = torch._C._len_torch_function_stack
_profiling = torch._C._autograd._profiler_enabled

# What torch.compiler.assume_constant_result does. But that loads PyTorch's compiler, which takes as
# long as to load all the rest.
for _function in calls.CONSTANT:
    vars(_function)["_dynamo_marked_constant"] = True

HALVES = (torch.float16, torch.bfloat16)

# Types whose numbers have more digits than float32.
_DOUBLES = (torch.float64, torch.int32, torch.uint32)

# Types that results may be kept in besides those that are computed in.
_STORED = {
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: BFLOAT16,
    **{getattr(torch, name): np.dtype(name) for name in ("bool", "uint8", "int8", "int16")},
    **{getattr(torch, name): np.dtype(name) for name in ("int32", "uint16", "uint32")},
}
_TYPES = {dtype: {"x": stored, "y": stored} for dtype, stored in _STORED.items()}

LIBRARY = torch.library.Library("flexpool", "DEF")
LIBRARY.define("pool(Tensor x, Tensor[] values, Tensor? seed, str spec) -> Tensor")
LIBRARY.define("pool_with_indices(Tensor x, str spec) -> (Tensor, Tensor)")
LIBRARY.define(
    "pool_backward(Tensor grad_y, Tensor[] leaves, Tensor? seed, SymInt[] shape, "
    "bool channels_last, str spec, str read, str wanted) -> Tensor[]"
)


def pool(x: Tensor, values: Sequence[Tensor], seed: Tensor | None, spec: str) -> Tensor:
    """Compute a call's result."""
    if _is_plain(x, *values):
        return _pool(x, values, seed, spec)
    y: Tensor = torch.ops.flexpool.pool.default(x, values, seed, spec)
    return y


def pool_with_indices(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    """Compute the result of max or min, and where in the input plane it comes from."""
    if _is_plain(x):
        return _pool_with_indices(x, spec)
    found: tuple[Tensor, Tensor] = torch.ops.flexpool.pool_with_indices.default(x, spec)
    return found


def pool_backward(
    grad_y: Tensor, leaves: Sequence[Tensor], seed: Tensor | None, *about: Any
) -> list[Tensor]:
    """Compute a call's gradients; ``about`` is the rest of the operator's arguments."""
    if _is_plain(grad_y, *leaves):
        return _pool_backward(grad_y, leaves, seed, *about)
    found: list[Tensor] = torch.ops.flexpool.pool_backward.default(grad_y, leaves, seed, *about)
    return found


def _is_plain(*tensors: Tensor) -> bool:
    """Tell whether nobody but the kernel needs to see a call.

    PyTorch's dispatcher takes longer than a kernel on a small input. What it would do besides is to
    tell autograd, transforms, tracers, modes, tensor subclasses and the profiler.
    """
    if not is_unwatched():
        return False
    records = torch.is_grad_enabled()
    return all(
        type(tensor) in (Tensor, torch.nn.Parameter)
        and not tensor.is_meta
        and not tensor.is_neg()
        and not (records and tensor.requires_grad)
        for tensor in tensors
    )


def is_unwatched() -> bool:
    """Tell whether no tracer, transform, mode or profiler is at work."""
    return not (
        torch.compiler.is_compiling()
        or _tracing()
        or _transforming()
        or _dispatching()
        or _overriding()
        or _profiling()
        or forward_ad._current_level >= 0
    )


def compute_type(dtype: torch.dtype) -> torch.dtype:
    """Choose the type in which a call computes: one that holds all numbers of a type exactly."""
    return torch.float64 if dtype in _DOUBLES else torch.float32


def channels_last(x: Tensor) -> bool:
    """Tell whether an image's channels lie next to each other in memory."""
    if x.is_contiguous():
        return False
    return x.movedim(1, -1).is_contiguous()


def _empty(like: Tensor, shape: Sequence[int], last: bool, dtype: torch.dtype) -> Tensor:
    """Make an array of (N, C, ...) in one of the two layouts."""
    if not last:
        return like.new_empty(tuple(shape), dtype=dtype)
    n, channels, *sizes = shape
    return like.new_empty((n, *sizes, channels), dtype=dtype).movedim(-1, 1)


def _laid_out(result: Tensor, like: Tensor, last: bool, dtype: torch.dtype) -> Tensor:
    """Return a result in the layout and type promised, without a copy where it has them."""
    if result.dtype == dtype and result.stride() == _strides(tuple(result.shape), last):
        return result
    return _empty(like, result.shape, last, dtype).copy_(result)


@functools.lru_cache(maxsize=4096)
def _strides(shape: tuple[int, ...], last: bool) -> tuple[int, ...]:
    return _empty(torch.empty(0, device="meta"), shape, last, torch.float32).stride()


def _name(dtype: torch.dtype) -> str:
    return "float64" if dtype == torch.float64 else "float32"


@dataclass(frozen=True)
class Ready:
    """What is the same for all calls of one kind: small calls should not look for it again.

    Attributes:
        module: the backend.
        takes_arrays: whether that takes NumPy arrays, and of any type.
        takes_halves: whether that takes half floats as tensors.
        task: what it is to run.
        missing: the arrays that the caller left to numbers and defaults.
    """

    module: Any
    takes_arrays: bool
    takes_halves: bool
    task: Task
    missing: dict[str, np.ndarray]


@functools.lru_cache(maxsize=4096)
def ready_for(
    call: Call, plan: Plan, shape: tuple[int, ...], dtype: torch.dtype, device: str
) -> Ready:
    """Get the calls of one kind ready."""
    module = backend_for(call.backend, device)
    name = module.__name__.rpartition(".")[2]
    task = calls.task(call, plan, shape, _name(dtype))
    missing = calls.constants(call, plan, shape[2:], _name(dtype))
    takes_arrays, takes_halves = name in ("numba_cpu", "interpret"), name == "triton_gpu"
    return Ready(module, takes_arrays, takes_halves, task, missing)


def run(
    call: Call,
    plan: Plan,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
    leaves: dict[str, Any],
) -> dict[str, Tensor]:
    """Compute a graph outside of autograd; ``dtype`` is what y, or x's gradient, is kept in."""
    compute = compute_type(dtype)
    ready = ready_for(call, plan, shape, compute, device.type)
    tensors = {n: leaf.detach() for n, leaf in leaves.items() if isinstance(leaf, Tensor)}
    if ready.takes_arrays:
        alike = all(tensor.dtype == compute for tensor in tensors.values())
        arrays = {n: _as_array(tensor.cpu()) for n, tensor in tensors.items()}
        types = None if alike else _TYPES.get(dtype, {})
        results = ready.module.run(ready.task, {**ready.missing, **leaves, **arrays}, types)
        made = {n: _as_tensor(np.asarray(a)) for n, a in results.items()}
        return made if device.type == "cpu" else {n: a.to(device) for n, a in made.items()}
    given = {n: torch.from_numpy(a).to(device) for n, a in ready.missing.items()}
    found: dict[str, Tensor]
    if ready.takes_halves and dtype in HALVES:
        kept = {"x": dtype, "y": dtype}
        found = ready.module.run(ready.task, {**given, **leaves, **tensors}, kept)
        return found
    plain = {n: tensor.to(compute) for n, tensor in tensors.items()}
    found = ready.module.run(ready.task, {**given, **leaves, **plain})
    return found


def _as_array(tensor: Tensor) -> np.ndarray:
    """View a tensor on the CPU as an array."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    array: np.ndarray = tensor.numpy()
    return array


def _as_tensor(array: np.ndarray) -> Tensor:
    """View an array as a tensor."""
    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def constants(
    call: Call, plan: Plan, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    """Make the tensors that a graph reads and the caller left to numbers and defaults."""
    made = calls.constants(call, plan, sizes, _name(dtype))
    return {name: torch.from_numpy(array).to(device) for name, array in made.items()}


def _seeds(plan: Plan, seed: Tensor | None) -> dict[str, Any]:
    return {} if seed is None else plan.seeds(int(seed))


@functools.lru_cache(maxsize=4096)
def result_shape(call: Call, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape of a call's result."""
    return (*shape[:2], *geometry(call.window, shape[2:]).output_shape)


def _forward(
    x: Tensor, values: Sequence[Tensor], seed: Tensor | None, call: Call, plan: Plan
) -> dict[str, Tensor]:
    shape = tuple(x.shape)
    result = result_shape(call, shape)
    if 0 in result:
        backend_for(call.backend, x.device.type)
        dtype = compute_type(x.dtype)
        return {o.name: x.new_zeros(result, dtype=dtype) for o in plan.graph.outputs}
    leaves = {"x": x, **dict(zip(call.given, values, strict=True)), **_seeds(plan, seed)}
    return run(call, plan, shape, x.dtype, x.device, leaves)


def _pool(x: Tensor, values: Sequence[Tensor], seed: Tensor | None, spec: str) -> Tensor:
    call = call_of(spec)
    y = _forward(x, values, seed, call, call.forward)["y"]
    return _laid_out(y, x, channels_last(x), x.dtype)


def _pool_with_indices(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    call, last = call_of(spec), channels_last(x)
    results = _forward(x, [], None, call, call.with_places)
    base, added, first = (
        torch.from_numpy(table).to(x.device)
        for table in place_table(geometry(call.window, tuple(x.shape[2:])))
    )
    tap = results["tap"].to(torch.int64)
    index = tap
    if tap.numel():
        empty = tap < 0 if float(results["tap"].amin()) < 0 else None
        index = added[tap].add_(base)  # few passes: these arrays are the largest there are
        index = index if empty is None else torch.where(empty, first, index)
    y = _laid_out(results["y"], x, last, x.dtype)
    return y, _laid_out(index, x, last, torch.int64)


def _pool_backward(
    grad_y: Tensor,
    leaves: Sequence[Tensor],
    seed: Tensor | None,
    shape: Sequence[int],
    channels_last: bool,
    spec: str,
    read: str,
    wanted: str,
) -> list[Tensor]:
    call, dtype, shape = call_of(spec), compute_type(grad_y.dtype), tuple(shape)
    plan = call.gradient(tuple(wanted.split(",")))
    outputs = plan.graph.outputs
    if grad_y.numel() == 0:
        task = calls.task(call, plan, shape, _name(dtype))
        shapes = [calls.result_shape(output, task) for output in outputs]
        results = {
            o.name: grad_y.new_zeros(s, dtype=dtype) for o, s in zip(outputs, shapes, strict=True)
        }
    else:
        laid_out = _laid_out(grad_y.detach(), grad_y, channels_last, grad_y.dtype)
        given = {**dict(_named(read, leaves)), "grad_y": laid_out, **_seeds(plan, seed)}
        results = run(call, plan, shape, grad_y.dtype, grad_y.device, given)
    return [
        _laid_out(
            results[output.name],
            grad_y,
            channels_last and bool(output.onto & (Grid.ELEMENT | Grid.WINDOW)),
            grad_y.dtype if output.name == "x" else dtype,
        )
        for output in outputs
    ]


def _named(names: str, tensors: Sequence[Tensor]) -> list[tuple[str, Tensor]]:
    return list(zip(names.split(","), tensors, strict=True)) if names else []


LIBRARY.impl("pool", _pool, "CompositeExplicitAutograd")
LIBRARY.impl("pool_with_indices", _pool_with_indices, "CompositeExplicitAutograd")
LIBRARY.impl("pool_backward", _pool_backward, "CompositeExplicitAutograd")


# What a result will look like, without computing it.


def _result(x: Tensor, spec: str, dtype: torch.dtype) -> Tensor:
    outputs = call_of(spec).window.output_shape([int(size) for size in x.shape[2:]])
    return _empty(x, (*x.shape[:2], *outputs), channels_last(x), dtype)


def _fake_pool(x: Tensor, values: Sequence[Tensor], seed: Tensor | None, spec: str) -> Tensor:
    return _result(x, spec, x.dtype)


def _fake_pool_with_indices(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    return _result(x, spec, x.dtype), _result(x, spec, torch.int64)


def _fake_pool_backward(
    grad_y: Tensor,
    leaves: Sequence[Tensor],
    seed: Tensor | None,
    shape: Sequence[int],
    channels_last: bool,
    spec: str,
    read: str,
    wanted: str,
) -> list[Tensor]:
    call, sizes = call_of(spec), tuple(int(size) for size in shape[2:])
    compute = compute_type(grad_y.dtype)
    results = []
    for name in wanted.split(","):
        grid = call.grid(name)
        dtype = grad_y.dtype if name == "x" else compute
        if grid & Grid.ELEMENT:
            results.append(_empty(grad_y, shape, channels_last, dtype))
        elif grid & Grid.WINDOW:
            results.append(_empty(grad_y, grad_y.shape, channels_last, dtype))
        else:
            positions = [math.prod(call.extent(sizes))] if grid.in_kernel else []
            results.append(grad_y.new_empty([shape[1], *positions], dtype=dtype))
    return results


torch.library.register_fake("flexpool::pool", _fake_pool, lib=LIBRARY)
torch.library.register_fake("flexpool::pool_with_indices", _fake_pool_with_indices, lib=LIBRARY)
torch.library.register_fake("flexpool::pool_backward", _fake_pool_backward, lib=LIBRARY)
