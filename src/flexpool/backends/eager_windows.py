"""Cut an array into its windows, and add windows up into an array, one dimension at a time."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from flexpool.backends.task import Geometry
from flexpool.window import Window

__all__ = ["Windows"]


class Windows:
    """Hold where windows lie, as arrays of one library.

    Attributes:
        positions: how many elements a window has at most, K.
        present: mask of the elements that a window has, (*output_shape, K); None for all.
    """

    def __init__(self, geometry: Geometry, arrays: Any) -> None:
        """Place the windows; ``arrays`` is the library."""
        self._geometry = geometry
        self._xp = arrays
        self.positions = geometry.positions
        self.present = None if geometry.inside else self._present()
        self._some_are_empty = any(placement.empty.any() for placement in geometry.placements)

    def of(self, array: Any) -> Any:
        """Turn (N, C, *sizes) into (N, C, *output_shape, K).

        In the place of an absent element stands another one of the same window, so that no
        operation meets a number that is not there. A window without elements gets any, without its
        gradient.
        """
        geometry, window, batch = self._geometry, self._geometry.window, tuple(array.shape[:2])
        if geometry.inside and isinstance(window, Window):
            cut = self._xp.slide(array, window.effective_kernel, window.stride, window.dilation)
        else:
            for axis, index in enumerate(self._indices(), start=2):
                array = self._xp.take(array, index, axis)
            pairs = zip(geometry.output_shape, geometry.extent, strict=True)
            cut = array.reshape((*batch, *(length for pair in pairs for length in pair)))
            places, taps = (range(2 + i, cut.ndim, 2) for i in (0, 1))
            cut = self._xp.permute(cut, (0, 1, *places, *taps))
        cut = cut.reshape((*batch, *geometry.output_shape, self.positions))
        if self._some_are_empty:
            where, detach = self._xp.FUNCTIONS["where"], self._xp.FUNCTIONS["detach"]
            cut = where(self.present, cut, detach(cut))
        return cut

    def back(self, array: Any) -> Any:
        """Add (N, C, *output_shape, K) up into (N, C, *sizes); what is absent must be 0."""
        geometry, batch = self._geometry, tuple(array.shape[:2])
        cut = array.reshape((*batch, *geometry.output_shape, *geometry.extent))
        dimensions = range(geometry.dimensions)
        pairs = (2 + d + i * geometry.dimensions for d in dimensions for i in (0, 1))
        lengths = map(operator.mul, geometry.output_shape, geometry.extent)
        array = self._xp.permute(cut, (0, 1, *pairs)).reshape((*batch, *lengths))
        each = zip(self._indices(), geometry.sizes, strict=True)
        for axis, (index, size) in enumerate(each, start=2):
            array = self._xp.add_up(array, index, axis, size)
        return array

    def counts(self, padding: bool) -> Any:
        """Count the elements of each window, (*output_shape), those in the padding too if asked."""
        geometry = self._geometry
        each = geometry.padded_counts if padding else [p.count for p in geometry.placements]
        return self._xp.floats(self._outer(each, operator.mul))

    def _present(self) -> Any:
        """Mark the elements of a window that lie inside the input in every dimension."""
        each = []
        for placement, extent in zip(self._geometry.placements, self._geometry.extent, strict=True):
            taps = np.arange(extent)
            first, stop = placement.first[:, None], placement.stop[:, None]
            each.append((first <= taps) & (taps < stop))
        mask = self._outer(each, operator.and_)
        return mask.reshape((*self._geometry.output_shape, self.positions))

    def _indices(self) -> list[Any]:
        """List which elements the windows take, per dimension: (output size * extent,)."""
        indices = []
        geometry = self._geometry
        for p, extent, size in zip(
            geometry.placements, geometry.extent, geometry.sizes, strict=True
        ):
            nearest = np.clip(np.arange(extent), p.first[:, None], p.stop[:, None] - 1)
            index = np.clip(p.start[:, None] + p.dilation * nearest, 0, size - 1)
            indices.append(self._xp.constant(index.reshape(-1)))
        return indices

    def _outer(self, each: Sequence[np.ndarray], combine: Any) -> Any:
        """Combine arrays with one row per window along each dimension into one for all windows."""
        dimensions = self._geometry.dimensions
        spread = []
        for dimension, array in enumerate(each):
            shape = [1] * (array.ndim * dimensions)
            shape[dimension::dimensions] = array.shape
            spread.append(self._xp.constant(array).reshape(shape))
        return functools.reduce(combine, spread)
