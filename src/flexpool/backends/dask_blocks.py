"""Pooling of dask arrays, block by block, so that no array has to fit into memory.

Each block of the result reads the part of the input that its windows reach, neighbouring blocks
included. Padding is known to the blocks at the border alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexpool.errors import ShapeError, expected
from flexpool.window import Window

__all__ = ["Part", "is_dask", "parts", "pool"]


def is_dask(x: object) -> bool:
    """Tell whether something is a dask array, without loading dask for it."""
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(x, dask.Array)


@dataclass(frozen=True)
class Part:
    """Some neighbouring windows along one axis.

    Attributes:
        count: how many.
        begin, end: what they read of the input.
        padding: how far they reach over its edges, before and after.
        overhang: whether the last of them reaches beyond the padding, as in ceil mode.
    """

    count: int
    begin: int
    end: int
    padding: tuple[int, int]
    overhang: bool


def parts(
    size: int, chunks: Sequence[int], window: Window, dimension: int, windows: int
) -> list[Part]:
    """Divide the windows of one axis: each belongs to the chunk that it begins in.

    Args:
        size: of the axis.
        chunks: sizes of the input's chunks.
        window: the window, with its padding as pairs.
        dimension: which of the window's dimensions the axis is.
        windows: how many there are.

    Example:
        >>> from flexpool.window import window
        >>> for part in parts(6, (3, 3), window(1, 2, 1), 0, 5):
        ...     print(part.count, part.begin, part.end)
        3 0 4
        2 3 6
    """
    stride, reach = window.stride[dimension], window.effective_kernel[dimension]
    pair: Any = window.padding[dimension]
    before, after = pair
    found, first = [], 0
    for edge in np.cumsum(chunks).tolist():
        # The windows that begin before the edge; the last chunk has all that are left.
        last = windows if edge >= size else min(windows, math.ceil((edge + before) / stride))
        if last > first:
            start, stop = first * stride - before, (last - 1) * stride - before + reach
            padding = (max(0, -start), min(after, max(0, stop - size)))
            overhang = stop > size + after
            found.append(Part(last - first, max(0, start), min(size, stop), padding, overhang))
            first = last
    return found


def pool(
    x: Any,
    window: Window,
    axes: tuple[int, ...],
    run: Callable[[Any, Window], Any],
    dtype: np.dtype[Any],
) -> Any:
    """Pool a dask array.

    Args:
        x: the array.
        window: the window.
        axes: the axes that it slides over.
        run: pools one NumPy array, given a window.
        dtype: of the result.

    Raises:
        ShapeError: if the array's sizes are unknown, or no window fits.
    """
    if any(math.isnan(size) for size in x.shape):
        instead = "Call x.compute_chunk_sizes() before."
        raise ShapeError(expected("x", "to have a known shape", x.shape, instead))
    sizes = tuple(int(x.shape[axis]) for axis in axes)
    outputs = window.output_shape(sizes)
    fixed = Window(
        window.kernel_size,
        window.stride,
        window.padding_at(sizes),
        window.dilation,
        window.ceil_mode,
    )
    divided = [
        parts(size, x.chunks[axis], fixed, d, windows)
        for d, (size, axis, windows) in enumerate(zip(sizes, axes, outputs, strict=True))
    ]
    return _joined(x, fixed, axes, run, dtype, divided, ())


def _joined(
    x: Any,
    window: Window,
    axes: tuple[int, ...],
    run: Callable[[Any, Window], Any],
    dtype: np.dtype[Any],
    divided: list[list[Part]],
    chosen: tuple[Part, ...],
) -> Any:
    """Put the blocks together along the axes that are not chosen yet."""
    import dask.array

    if len(chosen) == len(axes):
        return _block(x, window, axes, run, dtype, chosen)
    blocks = [
        _joined(x, window, axes, run, dtype, divided, (*chosen, part))
        for part in divided[len(chosen)]
    ]
    return blocks[0] if len(blocks) == 1 else dask.array.concatenate(blocks, axes[len(chosen)])


def _block(
    x: Any,
    window: Window,
    axes: tuple[int, ...],
    run: Callable[[Any, Window], Any],
    dtype: np.dtype[Any],
    chosen: tuple[Part, ...],
) -> Any:
    read = dict(zip(axes, chosen, strict=True))
    every = slice(None)
    slices = (slice(read[a].begin, read[a].end) if a in read else every for a in range(x.ndim))
    part = x[tuple(slices)].rechunk(dict.fromkeys(axes, -1))
    chunks = tuple((read[a].count,) if a in read else sizes for a, sizes in enumerate(part.chunks))
    here = Window(
        window.kernel_size,
        window.stride,
        tuple(p.padding for p in chosen),
        window.dilation,
        any(p.overhang for p in chosen),
    )
    meta = np.empty((0,) * x.ndim, dtype)
    return part.map_blocks(run, here, dtype=dtype, chunks=chunks, meta=meta)
