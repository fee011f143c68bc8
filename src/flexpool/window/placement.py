"""Where the windows along one dimension lie in an input of known size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["IntArray", "Placement"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Placement:
    r"""Say which input elements each window along one dimension covers.

    Window i reads the input at

    $$ \mathrm{start}_i + d\,u, \qquad \mathrm{first}_i \le u < \mathrm{stop}_i $$

    where d is the dilation and u counts the window's positions ("taps") from 0. The taps before
    ``first`` and from ``stop`` on fall outside the input: padding, or what overhangs in ceil mode.

    Args:
        start: input coordinate of tap 0, negative in the padding; one per output.
        first: first tap inside the input.
        stop: one past the last tap inside the input.
        dilation: distance of neighbouring taps in the input.
        interior: the outputs [from, to) all of whose taps lie inside the input.

    Shape:
        ``start``, ``first``, ``stop`` and the arrays computed from them: (output size,).

    Example:
        >>> from flexpool.window import window
        >>> (placement,) = window(1, kernel_size=3, stride=2, padding=1).place((5,))
        >>> placement.start.tolist(), placement.count.tolist(), placement.interior
        ([-1, 1, 3], [2, 3, 2], (1, 2))
        >>> [placement.elements(i).tolist() for i in range(3)]
        [[0, 1], [1, 2, 3], [3, 4]]
    """

    start: IntArray
    first: IntArray
    stop: IntArray
    dilation: int
    interior: tuple[int, int]

    @property
    def count(self) -> IntArray:
        """Count the input elements of each window."""
        return self.stop - self.first

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Mark the windows without any input element, which dilation makes possible.

        torch's max pooling gives -inf there.
        """
        mask: NDArray[np.bool_] = self.count == 0
        return mask

    @property
    def end(self) -> IntArray:
        """Give one past the last input element of each window; 0 for a window without any."""
        return np.where(self.empty, 0, self.start + self.dilation * (self.stop - 1) + 1)

    def elements(self, output: int) -> IntArray:
        """List the input elements of one window in order."""
        taps = np.arange(self.first[output], self.stop[output], dtype=np.int64)
        return taps * self.dilation + int(self.start[output])


def taps_below(limit: int, start: IntArray, dilation: int, kernel_size: int) -> IntArray:
    """Count the taps of each window whose input coordinate is less than ``limit``."""
    ceiling = -((start - limit) // dilation)
    return np.clip(ceiling, 0, kernel_size)
