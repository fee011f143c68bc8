"""What a backend is asked to do: a graph, where its windows lie, how many images and channels.

Every backend is a module with two functions:

* ``available()``: None, or the reason why it cannot run here and what to install;
* ``run(task, leaves, types=None)``: compute the graph and return its results by name.

It may have a third, ``prepared(task, read, fixed)``: make of a task a function of the arrays alone,
for calls that are made often.

``leaves`` holds the arrays that the graph reads, by name, all of ``task.dtype`` unless ``types`` is
given. Then they may be of any type (see :mod:`flexpool.backends.formats`; tensors on a GPU: those
of elements and windows may be half floats), and ``types`` says of which type the results are that
are not of ``task.dtype``. The arrays' shapes, by grid:

=================== =========================================================
``ELEMENT``         (N, C, *sizes)
``WINDOW``          (N, C, *output_shape)
``CHANNEL``         (1,) or (C,)
``POSITION``        (1, K) or (C, K); K counts the kernel's positions, row-major
``RANK``            (1, K) or (C, K); the ranks of a window without absent elements
random              the seed, an int in [0, 2**63)
=================== =========================================================

Results are shaped by where they go (``Output.onto``): (N, C, *output_shape) for ``WINDOW``,
(N, C, *sizes) for ``ELEMENT``, summed over all windows to (C,) for ``CHANNEL`` and to (C, K) for
``POSITION`` and ``RANK``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from flexpool.ir import Graph, Grid, Output
from flexpool.window import AdaptiveWindow, Placement, Window, padded_counts

__all__ = ["Geometry", "Task", "geometry"]

AnyWindow = Window | AdaptiveWindow


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the windows lie in an input of known sizes; make it with :func:`geometry`.

    Attributes:
        window: the window.
        sizes: the input's spatial sizes.
        output_shape: the windows per dimension.
        placements: one per dimension.
        padded_counts: per dimension, the number of elements of each window, padding included.
        extent: per dimension, the positions of the kernel; for adaptive windows of the largest.
        inside: whether every window lies inside the input with all its positions.
    """

    window: AnyWindow
    sizes: tuple[int, ...]
    output_shape: tuple[int, ...]
    placements: tuple[Placement, ...]
    padded_counts: tuple[np.ndarray, ...]
    extent: tuple[int, ...]
    inside: bool

    @property
    def dimensions(self) -> int:
        """Count the spatial dimensions."""
        return len(self.sizes)

    @property
    def positions(self) -> int:
        """Count the kernel's positions, K."""
        return math.prod(self.extent)


@functools.lru_cache(maxsize=4096)
def geometry(window: AnyWindow, sizes: tuple[int, ...]) -> Geometry:
    """Place a window in an input, or return the placement made before.

    Raises:
        ShapeError: if sizes does not fit the window.
    """
    placements = window.place(sizes)
    if isinstance(window, Window):
        extent = window.kernel_size
        inside = all(p.interior == (0, len(p.start)) for p in placements)
    else:
        extent = tuple(int(p.count.max(initial=0)) for p in placements)
        inside = all(
            int(p.count.min(initial=e)) == e for p, e in zip(placements, extent, strict=True)
        )
    return Geometry(
        window=window,
        sizes=sizes,
        output_shape=window.output_shape(sizes),
        placements=placements,
        padded_counts=padded_counts(window, sizes),
        extent=extent,
        inside=inside,
    )


@dataclass(frozen=True, eq=False)
class Task:
    """One graph to be run on one shape.

    Attributes:
        graph: forward or gradient graph.
        geometry: where the windows lie.
        batch: number of images and of channels.
        dtype: "float32" or "float64", in which all is computed.
    """

    graph: Graph
    geometry: Geometry
    batch: tuple[int, int]
    dtype: str

    def shape_of(self, output: Output) -> tuple[int, ...]:
        """Give the shape of one result, by where it goes."""
        if output.onto == Grid.WINDOW:
            return (*self.batch, *self.geometry.output_shape)
        if output.onto == Grid.ELEMENT:
            return (*self.batch, *self.geometry.sizes)
        channels = self.batch[1]
        return (channels, self.geometry.positions) if output.onto.in_kernel else (channels,)
