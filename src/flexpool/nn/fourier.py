r"""Low frequencies of an image by two real matrix products: no FFT, no complex numbers.

Of n values the o lowest frequencies k are kept, -o/2 <= k < o/2, each with a weight w, and o values
are made of them. In one dimension that is the complex matrix

$$ A_{j,m} = \frac{1}{n} \sum_k w_k\, e^{2 \pi i k (j/o - m/n)} $$

and of an image the real part of $A_H x A_W^T$, that is $\Re A_H x \Re A_W^T - \Im A_H x \Im A_W^T$.
All frequencies but -o/2 come in pairs k and -k, so that the imaginary part is the outer product of

$$ u_j = (-1)^j, \qquad v_m = \tfrac{1}{n} w_{-o/2} \sin(\pi o m / n) $$

for even o, and 0 for odd o. So $v$ becomes one more row of the matrix, and what is left to do is a
correction by numbers that the two products have computed already.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.checks import check_numbers, checked_numbers
from flexpool.nn.constants import is_traced
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["FrequencyPool", "all_alike", "low_frequencies", "matrix", "tables"]

Weights = Callable[[Tensor, int], Tensor]


def all_alike(frequencies: Tensor, size: int) -> Tensor:
    """Weigh all frequencies of a signal of this size by one."""
    return torch.ones_like(frequencies)


def low_frequencies(count: int, device: torch.device) -> Tensor:
    """List the frequencies that are kept: -count/2 <= k < count/2, for odd count symmetric."""
    return torch.arange(count, device=device) - count // 2


def tables(size: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tabulate e^(2 pi i k m / size): cosines and sines, positions by the ``count`` frequencies.

    The products k m are reduced as integers, so that large ones lose no digits.
    """
    positions = torch.arange(size, device=device)
    turns = torch.outer(positions, low_frequencies(count, device)) % size
    angles = turns.to(_exact(device)) * (2 * math.pi / size)
    return angles.cos(), angles.sin()


def matrix(size: int, count: int, weights: Weights, device: torch.device) -> Tensor:
    """Build Re A and, for even ``count``, the row v below it, in double precision."""
    cos, sin = tables(size, count, device)
    cos_out, sin_out = tables(count, count, device)
    w = weights(low_frequencies(count, device).to(cos.dtype), size) / size
    real = (w * cos_out) @ cos.mT + (w * sin_out) @ sin.mT
    if count % 2:
        return real
    return torch.cat([real, -w[0] * sin[:, :1].mT])


class FrequencyPool(MapBlock):
    """The base of the blocks that keep low frequencies: sizes, matrices and the products.

    Attributes:
        stride: by how much height and width shrink.
        ceil_mode: whether sizes that are no multiple are rounded up.
        output_size: the size of the result instead, or None.
    """

    def __init__(
        self,
        stride: float | tuple[float, float] = 2,
        *,
        ceil_mode: bool = False,
        output_size: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.stride = checked_numbers("stride", stride, least=1)
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
            if output_size is None:
                self.output_size = None
            elif self.stride != (2, 2) or ceil_mode:
                rule = "to be None where stride or ceil_mode is given"
                raise ArgumentError(expected("output_size", rule, output_size))
            else:
                self.output_size = checked_ints("output_size", output_size, 2)

    def weights(self) -> Weights:
        """Give the function from frequencies and the signal's size to their weights."""
        return all_alike

    def _downsampled(self, x: Tensor) -> Tensor:
        """Keep the low frequencies of every plane."""
        products, counts = self.products(x)
        rows, columns = counts
        y = products[..., :rows, :columns]
        if rows % 2 == 0 and columns % 2 == 0:
            y = y - self.signs(rows, x)[:, None] * self.signs(columns, x) * products[..., -1:, -1:]
        return y

    def products(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Multiply by both matrices; give also how many frequencies are kept."""
        check_numbers(self, x)
        rows, columns = (self.count(dimension, x.shape[2 + dimension]) for dimension in (0, 1))
        left, right = self.matrix(x.shape[2], rows, x), self.matrix(x.shape[3], columns, x)
        return left @ (x @ right.mT), (rows, columns)

    def count(self, dimension: int, size: int) -> int:
        """Say how many frequencies of so many are kept, which is also the size of the result."""
        if self.output_size is None:
            exact = size / self.stride[dimension]
            return max(1, math.ceil(exact) if self.ceil_mode else math.floor(exact))
        if self.output_size[dimension] > size:
            with called(type(self).__name__):
                rule = f"to have at least the sizes {tuple(self.output_size)}"
                instead = "Frequencies are left out, never added: ask for a smaller output_size."
                raise ShapeError(expected("the input", rule, size, instead))
        return self.output_size[dimension]

    def matrix(self, size: int, count: int, like: Tensor) -> Tensor:
        """Give the matrix in the input's type, where the input is."""
        if is_traced():
            return matrix(size, count, self.weights(), like.device).to(like.dtype)
        return _kept(size, count, self.weights(), like.dtype, like.device)

    @staticmethod
    def signs(count: int, like: Tensor) -> Tensor:
        """Give the vector u: +1, -1, +1, ..."""
        return (1 - 2 * (torch.arange(count, device=like.device) % 2)).to(like.dtype)

    def extra_repr(self) -> str:
        """Show the size."""
        if self.output_size is not None:
            return f"output_size={self.output_size}"
        stride = tuple(int(s) if s == int(s) else s for s in self.stride)
        return f"stride={stride}" + (", ceil_mode=True" if self.ceil_mode else "")


@functools.lru_cache(maxsize=256)
def _kept(
    size: int, count: int, weights: Weights, dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():  # it outlives both
        return matrix(size, count, weights, device).to(dtype)


def _exact(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
