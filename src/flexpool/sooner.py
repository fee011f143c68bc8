"""From how many elements on flexpool pools sooner than PyTorch, as it was measured.

A call of a kernel from Python takes longer than PyTorch takes for a few thousand elements, and some
poolings PyTorch does well whatever the size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from flexpool.backends.task import geometry
from flexpool.window import AdaptiveWindow, Window

__all__ = ["LEAST_WORK", "Kind", "Least", "is_ever_worth", "is_worth", "is_worth_in", "layout"]


class Kind(NamedTuple):
    """A pooling and a layout.

    Attributes:
        pooling: "max", "max with indices", "avg", "adaptive max" or "adaptive avg".
        dimensions: 1, 2 or 3.
        layout: "planes" or "channels last".
    """

    pooling: str
    dimensions: int
    layout: str


class Least(NamedTuple):
    """From how many elements read on flexpool is faster: windows times elements of a window.

    They are per thread: PyTorch's time is shared between threads, the cost of a call is not.

    Attributes:
        forward, forward_overlapping: without a backward pass, for windows that share no element and
            for those that do.
        trained, trained_overlapping: the same with a backward pass.
    """

    forward: float
    forward_overlapping: float
    trained: float
    trained_overlapping: float


NEVER = math.inf

# As benchmarks/pooling_calls.py found with one thread and with two, on processors with vectors of
# 64 bytes and of 32: the larger of all, a little on the safe side. Kinds that are not here have
# never been faster.
LEAST_WORK: dict[Kind, Least] = {
    Kind("max", 1, "planes"): Least(250_000, NEVER, 10_000, 400_000),
    Kind("max", 2, "planes"): Least(10_000, 20_000, 25_000, 55_000),
    Kind("max", 2, "channels last"): Least(NEVER, 30_000_000, NEVER, NEVER),
    Kind("max", 3, "planes"): Least(20_000, 60_000, 200_000, 1_000_000),
    Kind("max with indices", 1, "planes"): Least(250_000, 400_000, 300_000, NEVER),
    Kind("max with indices", 2, "planes"): Least(60_000, 150_000, 130_000, 450_000),
    Kind("max with indices", 3, "planes"): Least(200_000, 5_500_000, 1_600_000, 5_500_000),
    Kind("avg", 1, "planes"): Least(6_000, 8_000, 10_000, 13_000),
    Kind("avg", 2, "planes"): Least(13_000, 60_000, 22_000, 50_000),
    Kind("avg", 3, "planes"): Least(50_000, 100_000, 100_000, 700_000),
}


def is_worth(kind: Kind, trained: bool, disjoint: bool, work: float) -> bool:
    """Tell whether flexpool was faster, when it was measured, on calls such as this one.

    Args:
        kind: the pooling and the layout.
        trained: whether there will be a backward pass.
        disjoint: whether no element is in two windows.
        work: the number of elements read, per thread.
    """
    least = LEAST_WORK.get(kind)
    return least is not None and work >= least[2 * trained + (not disjoint)]


def is_worth_in(
    kind: Kind, window: Window | AdaptiveWindow, shape: tuple[int, ...], trained: bool, threads: int
) -> bool:
    """Tell the same of a call on an input of a shape, by so many threads.

    Example:
        >>> from flexpool.window import window
        >>> kind = Kind("max", 2, "planes")
        >>> is_worth_in(kind, window(2, 2), (64, 64, 112, 112), trained=True, threads=2)
        True
    """
    where = geometry(window, shape[-kind.dimensions :])
    work = math.prod((*shape[: -kind.dimensions], *where.output_shape)) * where.positions
    disjoint = isinstance(window, Window) and window.is_disjoint
    return is_worth(kind, trained, disjoint, work / threads)


def is_ever_worth(pooling: str, dimensions: int) -> bool:
    """Tell whether there are any calls of a pooling on which flexpool was faster."""
    return any(kind[:2] == (pooling, dimensions) for kind in LEAST_WORK)


def layout(shape: tuple[int, ...], strides: tuple[int, ...], dimensions: int) -> str | None:
    """Name the layout of an input whose result PyTorch and flexpool lay out alike, else None.

    Example:
        >>> layout((8, 3, 4, 4), (48, 16, 4, 1), 2), layout((8, 3, 4, 4), (48, 1, 12, 3), 2)
        ('planes', 'channels last')
        >>> layout((8, 3, 4, 4), (96, 32, 8, 2), 2) is None
        True
    """
    if strides == _dense(shape):
        return "planes"
    if dimensions < 2 or len(shape) != dimensions + 2:
        return None
    n, channels, *sizes = shape
    outer, *middle, inner = _dense((n, *sizes, channels))
    both = channels == 1 or math.prod(sizes) == 1
    return "channels last" if strides == (outer, inner, *middle) and not both else None


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides))
