"""How the operators of :mod:`flexpool.torch_ops` are batched by ``torch.func.vmap``.

The batch becomes part of the axis of images, which costs nothing; or of the channels, where each
example has its own parameters or wants its own gradient of them. Random operators run in a loop, so
that each example draws what it would draw alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flexpool import torch_ops
from flexpool.calls import call_of
from flexpool.ir import Grid

__all__: list[str] = []

_IMAGES, _CHANNELS = 0, 1


def _merged(tensor: Tensor, dim: int | None, count: int, axis: int) -> Tensor:
    """Make the batch part of an axis of (N, C, ...)."""
    if dim is None:
        shape = (*tensor.shape[:axis], count, *tensor.shape[axis:])
        whole = tensor.unsqueeze(axis).expand(shape)
    else:
        whole = tensor.movedim(dim, axis)
    return whole.flatten(axis, axis + 1)


def _apart(tensor: Tensor, count: int, axis: int) -> Tensor:
    """Undo :func:`_merged`."""
    return tensor.reshape(
        *tensor.shape[:axis], count, tensor.shape[axis] // count, *tensor.shape[axis + 1 :]
    )


def _merged_leaf(
    leaf: Tensor, dim: int | None, grid: Grid, count: int, axis: int, channels: int
) -> Tensor:
    """Do the same with an argument of any grid."""
    if grid & (Grid.ELEMENT | Grid.WINDOW):
        return _merged(leaf, dim, count, axis)
    if axis == _IMAGES or (dim is None and leaf.shape[0] == 1):
        return leaf
    whole = leaf.unsqueeze(0) if dim is None else leaf.movedim(dim, 0)
    return whole.expand((count, channels, *whole.shape[2:])).flatten(0, 1)


def _per_channel(grid: Grid) -> bool:
    return not grid & (Grid.ELEMENT | Grid.WINDOW)


def _one_by_one(function: Any, count: int, dims: Sequence[Any], arguments: Sequence[Any]) -> Any:
    """Call for each example alone."""
    results = [
        function(*(_picked(a, d, i) for a, d in zip(arguments, dims, strict=True)))
        for i in range(count)
    ]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    stacked = [torch.stack(each) for each in zip(*results, strict=True)]
    return stacked, [0] * len(stacked)


def _picked(argument: Any, dim: Any, i: int) -> Any:
    if isinstance(argument, list | tuple) and argument and isinstance(argument[0], Tensor):
        return [_picked(a, d, i) for a, d in zip(argument, dim, strict=True)]
    return argument.select(dim, i) if isinstance(argument, Tensor) and dim is not None else argument


def _pool(info: Any, dims: Any, x: Any, values: Any, seed: Any, spec: str) -> Any:
    count, value_dims, grids = info.batch_size, dims[1] or [], call_of(spec).grids
    if seed is not None:
        return _one_by_one(
            torch_ops.pool, count, (dims[0], value_dims, *dims[2:]), (x, values, seed, spec)
        )
    own = any(d is not None and _per_channel(g) for d, g in zip(value_dims, grids, strict=True))
    axis = _CHANNELS if own else _IMAGES
    channels = x.shape[1] if dims[0] is None else x.movedim(dims[0], 0).shape[2]
    leaves = [
        _merged_leaf(value, dim, grid, count, axis, channels)
        for value, dim, grid in zip(values, value_dims, grids, strict=True)
    ]
    y = torch_ops.pool(_merged(x, dims[0], count, axis), leaves, None, spec)
    return _apart(y, count, axis), axis


def _pool_with_indices(info: Any, dims: Any, x: Any, spec: str) -> Any:
    merged = _merged(x, dims[0], info.batch_size, _IMAGES)
    results = torch_ops.pool_with_indices(merged, spec)
    return tuple(_apart(result, info.batch_size, _IMAGES) for result in results), (0, 0)


def _pool_backward(
    info: Any,
    dims: Any,
    grad_y: Any,
    leaves: Any,
    seed: Any,
    shape: Any,
    channels_last: bool,
    spec: str,
    read: str,
    wanted: str,
) -> Any:
    call, count, leaf_dims = call_of(spec), info.batch_size, dims[1] or []
    if seed is not None:
        arguments = (grad_y, leaves, seed, shape, channels_last, spec, read, wanted)
        return _one_by_one(
            torch_ops.pool_backward, count, (dims[0], leaf_dims, dims[2], *(None,) * 5), arguments
        )
    grids = [call.grid(name) for name in read.split(",")] if read else []
    goals = [call.grid(name) for name in wanted.split(",")]
    own = any(d is not None and _per_channel(g) for d, g in zip(leaf_dims, grids, strict=True))
    axis = _CHANNELS if own or any(map(_per_channel, goals)) else _IMAGES
    merged = [
        _merged_leaf(leaf, dim, grid, count, axis, shape[1])
        for leaf, dim, grid in zip(leaves, leaf_dims, grids, strict=True)
    ]
    whole = [size * count if d == axis else size for d, size in enumerate(shape)]
    gradient = _merged(grad_y, dims[0], count, axis)
    results = torch_ops.pool_backward(
        gradient, merged, None, whole, channels_last, spec, read, wanted
    )
    places = [0 if _per_channel(goal) else axis for goal in goals]
    apart = [_apart(result, count, place) for result, place in zip(results, places, strict=True)]
    return apart, places


torch.library.register_vmap("flexpool::pool", _pool, lib=torch_ops.LIBRARY)
torch.library.register_vmap(
    "flexpool::pool_with_indices", _pool_with_indices, lib=torch_ops.LIBRARY
)
torch.library.register_vmap("flexpool::pool_backward", _pool_backward, lib=torch_ops.LIBRARY)
