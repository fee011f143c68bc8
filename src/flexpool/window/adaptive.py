"""Windows that divide the input into a given number of parts: adaptive and global pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flexpool.window.arguments import checked_dimensions, checked_output_size, checked_sizes
from flexpool.window.placement import Placement

__all__ = ["AdaptiveWindow", "adaptive_window", "global_window"]


@dataclass(frozen=True)
class AdaptiveWindow:
    """Hold the number of parts per dimension; make it with :func:`adaptive_window`.

    Args:
        output_size: windows per dimension; None for as many as the input has elements.
    """

    output_size: tuple[int | None, ...]

    @property
    def dimensions(self) -> int:
        """Count the spatial dimensions."""
        return len(self.output_size)

    def output_shape(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Count the windows per dimension: output_size, or the input's size where that is None.

        Args:
            sizes: the input's spatial sizes, each >= 1.

        Raises:
            ShapeError: if sizes has the wrong length or a 0.

        Example:
            >>> adaptive_window(2, (3, None)).output_shape((7, 5))
            (3, 5)
        """
        sizes = checked_sizes(sizes, self.dimensions)
        asked = zip(self.output_size, sizes, strict=True)
        return tuple(size if output is None else output for output, size in asked)

    def place(self, sizes: Sequence[int]) -> tuple[Placement, ...]:
        r"""Say where each window lies in an input of these sizes, one dimension at a time.

        $$ \Bigl[\Bigl\lfloor \frac{i\,n}{o} \Bigr\rfloor,\
           \Bigl\lceil \frac{(i+1)\,n}{o} \Bigr\rceil \Bigr), \qquad i = 0, \dots, o - 1 $$

        with input size n and output size o. Where o does not divide n, neighbours overlap.

        Args:
            sizes: the input's spatial sizes, each >= 1.

        Raises:
            ShapeError: if sizes has the wrong length or a 0.

        Example:
            >>> (placement,) = adaptive_window(1, 3).place((5,))
            >>> placement.start.tolist(), placement.end.tolist()
            ([0, 1, 3], [2, 4, 5])

        Reference:
            torch.nn.AdaptiveAvgPool2d, start_index and end_index in
            aten/src/ATen/native/AdaptivePooling.h of pytorch.
        """
        return tuple(map(_divide, sizes, self.output_shape(sizes)))


def adaptive_window(
    dimensions: int, output_size: int | Sequence[int | None] | None
) -> AdaptiveWindow:
    """Check the output size of adaptive pooling and bring it into one form.

    Args:
        dimensions: number of spatial dimensions, an int > 0.
        output_size: int >= 0 or None, or a tuple with one of these per dimension. None keeps the
            input's size; 0 gives an empty result, as in torch.

    Raises:
        ArgumentError: if an argument is outside its domain.

    Note:
        torch knows None only inside the tuples of adaptive_*_pool2d and 3d.

    Example:
        >>> adaptive_window(2, 7)
        AdaptiveWindow(output_size=(7, 7))
    """
    return AdaptiveWindow(checked_output_size(output_size, checked_dimensions(dimensions)))


def global_window(dimensions: int) -> AdaptiveWindow:
    """Make the window that covers the whole input, of whatever size.

    Args:
        dimensions: number of spatial dimensions, an int > 0.

    Raises:
        ArgumentError: if dimensions is not an int > 0.

    Example:
        >>> [placement.elements(0).tolist() for placement in global_window(2).place((2, 3))]
        [[0, 1], [0, 1, 2]]
    """
    return adaptive_window(dimensions, 1)


def _divide(size: int, count: int) -> Placement:
    part = np.arange(count, dtype=np.int64)
    start = part * size // max(count, 1)
    end = -(-(part + 1) * size // max(count, 1))
    return Placement(start, np.zeros_like(start), end - start, dilation=1, interior=(0, count))
