"""Calls on NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from flexpool import calls
from flexpool.backends.choice import backend_for
from flexpool.backends.formats import Named, Types
from flexpool.calls import Call, Plan, call_of, place_table
from flexpool.errors import DtypeError, expected
from flexpool.leaves import as_leaves, as_seed, summed_to

__all__ = ["pool", "pool_backward", "pool_with_indices", "result_type", "settled"]

LARGEST_EXACT = 2**53  # of the whole numbers that float64 tells apart

Array = np.ndarray[Any, Any]


def pool(x: Array, spec: str, arrays: Mapping[str, Any], seed: object) -> Array:
    """Run a call."""
    call = call_of(spec)
    return _forward(x, spec, call, call.forward, arrays, seed)["y"]


def pool_with_indices(x: Array, spec: str) -> tuple[Array, Array]:
    """Run max or min and find where in the input plane each result comes from, as int64."""
    call = call_of(spec)
    results = _forward(x, spec, call, call.with_places, {}, None)
    sizes = x.shape[2:] if x.ndim == call.window.dimensions + 2 else x.shape[1:]
    where = calls.task(call, call.forward, (1, 1, *sizes), "float32").geometry
    base, added, first = place_table(where)
    tap = results["tap"].astype(np.int64)
    return results["y"], np.where(tap < 0, first, base + added[tap])


def settled(item: Any) -> Any:
    """Return settings as they are: only torch.compile treats numbers as symbols."""
    return item


def _forward(
    x: Array, spec: str, call: Call, plan: Plan, arrays: Mapping[str, Any], seed: object
) -> dict[str, Array]:
    batched = x.ndim == call.window.dimensions + 2
    known = calls.facts(spec)
    seed = as_seed(seed, known)
    compute = compute_type(x.dtype, known.selects)
    if known.selects:
        _check_exact(x)
    x4 = x if batched else x[None]
    leaves = {"x": x4, **_leaves(arrays, known.grids, spec, x4, batched, compute)}
    if plan.random:
        leaves |= plan.seeds(_drawn(seed))
    types = {"y": result_type(x.dtype, known.selects)}
    results = run(call, plan, x4.shape, compute, leaves, types)
    return results if batched else {name: result[0] for name, result in results.items()}


def _leaves(
    arrays: Mapping[str, Any],
    grids: tuple[int, ...],
    spec: str,
    x: Array,
    batched: bool,
    compute: str,
) -> dict[str, Array]:
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            rule = "to be a number or a NumPy array, as x is"
            raise DtypeError(expected(name, rule, array))
    plain = {name: _plain(array, compute) for name, array in arrays.items()}
    shaped = as_leaves(plain, grids, spec, x, batched, np.broadcast_to)
    return dict(zip(arrays, shaped, strict=True))


def _plain(array: Array, compute: str) -> Array:
    """Bring an array into a type and byte order that every backend takes."""
    return array.astype(compute, order="K", copy=False)


def _drawn(seed: Any) -> int:
    return int(np.random.default_rng().integers(2**63 - 1)) if seed is None else int(seed)


def compute_type(dtype: np.dtype[Any], selects: bool) -> str:
    """Choose the type a call computes in.

    Whole numbers are computed in float64; where they are only selected and have at most 16 bits, in
    float32, which holds them exactly.

    Raises:
        DtypeError: if there is none in which it is exact enough.
    """
    if dtype.kind == "f":
        if dtype.itemsize > 8:
            instead = "Convert it: x.astype(np.float64)."
            raise DtypeError(expected("x", "to have at most 64 bits", Named(dtype), instead))
        return "float64" if dtype.itemsize == 8 else "float32"
    if dtype.kind in "iub":
        return "float32" if selects and dtype.itemsize <= 2 else "float64"
    instead = "Convert it: x.astype(np.float32)."
    raise DtypeError(expected("x", "to hold real numbers", Named(dtype), instead))


def result_type(dtype: np.dtype[Any], selects: bool) -> np.dtype[Any]:
    """Tell the type of a result: that of x, but for whole numbers that are not only selected.

    Example:
        >>> result_type(np.dtype("uint8"), True), result_type(np.dtype("uint8"), False)
        (dtype('uint8'), dtype('float64'))
    """
    if dtype.kind == "f" or selects:
        return dtype.newbyteorder("=")
    return np.dtype(compute_type(dtype, selects))


def _check_exact(x: Array) -> None:
    if x.dtype.kind not in "iu" or x.dtype.itemsize < 8 or x.size == 0:
        return
    smallest, largest = int(x.min()), int(x.max())
    if largest > LARGEST_EXACT or smallest < -LARGEST_EXACT:
        got = largest if largest > LARGEST_EXACT else smallest
        raise DtypeError(expected("x", "to hold whole numbers of at most 2**53", got))


def run(
    call: Call,
    plan: Plan,
    shape: tuple[int, ...],
    dtype: str,
    leaves: dict[str, Any],
    types: Types,
) -> dict[str, Array]:
    """Run a graph; an empty batch needs no backend.

    Args:
        call, plan: what to run.
        shape: of x, with its images and channels.
        dtype: to compute in.
        leaves: the arrays by name, of any type.
        types: of the results by name, where they are of another type than ``dtype``.
    """
    made = calls.task(call, plan, shape, dtype)
    module = backend_for(call.backend, "cpu")
    if math.prod(shape[:2]) == 0 or math.prod(made.geometry.output_shape) == 0:
        return {
            o.name: np.zeros(calls.result_shape(o, made), types.get(o.name, dtype))
            for o in plan.graph.outputs
        }
    constants = calls.constants(call, plan, shape[2:], dtype)
    plain = all(leaf.dtype == dtype for leaf in leaves.values() if isinstance(leaf, np.ndarray))
    given = {**constants, **leaves}
    results: dict[str, Array] = module.run(made, given, None if plain else types)
    return {n: a.astype(types.get(n, dtype), copy=False) for n, a in results.items()}


def pool_backward(
    grad_y: Array,
    x: Array,
    spec: str,
    arrays: Mapping[str, Any],
    seed: object,
    wanted: tuple[str, ...],
) -> dict[str, Array]:
    """Run a call's gradient; each has the shape of what it belongs to."""
    if x.dtype.kind != "f":
        instead = "Convert it: x.astype(np.float32)."
        raise DtypeError(expected("x", "to be floating point", Named(x.dtype), instead))
    call = call_of(spec)
    batched = x.ndim == call.window.dimensions + 2
    known = calls.facts(spec)
    seed = as_seed(seed, known)
    plan = call.gradient(wanted)
    compute = compute_type(x.dtype, selects=False)
    x4 = x if batched else x[None]
    leaves = {"x": x4, **_leaves(arrays, known.grids, spec, x4, batched, compute)}
    grad_y = grad_y if grad_y.dtype == x.dtype else _plain(grad_y, compute)
    leaves["grad_y"] = grad_y if batched else grad_y[None]
    if plan.random:
        leaves |= plan.seeds(_drawn(seed))
    types = {"x": x.dtype.newbyteorder("=")}
    results = run(call, plan, x4.shape, compute, leaves, types)
    own = {"x": x, **arrays}
    shapes = calls.argument_shapes(call, {n: a.shape for n, a in own.items()}, x4.shape[2:])
    return {
        name: summed_to(result, shapes[name], call.grid(name), batched).astype(
            own.get(name, x).dtype.newbyteorder("="), copy=False
        )
        for name, result in results.items()
    }
