"""Pooling a whole map by its regions: maxima of squares, and the best and the worst pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_number
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_ints, is_int

__all__ = ["RMACPool2d", "WildcatPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return RMACPool2d(), (torch.arange(210.0).square().view(2, 3, 5, 7).sin(),)


@block(
    paper="Tolias, Sicre, Jégou (2016), Particular object retrieval with integral max-pooling of "
    "CNN activations, ICLR, arXiv:1511.05879",
    family="encoding",
    name="rmac",
    sample=_sample,
    apart="It gives one vector for a whole map.",
)
class RMACPool2d(MapBlock):
    r"""Add up what the maxima of square regions of several sizes point to.

    $$ y = \sum_R \frac{m_R}{\lVert m_R \rVert_2}, \qquad m_{R,c} = \max_{(u,v) \in R} x_{c,u,v} $$

    Of the level $l$ the regions are squares of $\lfloor 2 \min(H, W) / (l + 1) \rfloor$ pixels, $l$
    along the shorter side and $l + m - 1$ along the longer, evenly spaced; $m$ is chosen so that
    those of the first level, which are as wide as the map, overlap by about 40 %.

    Args:
        levels: number of levels, an int > 0. Default 3.
        overlap: what share of neighbouring squares the same pixels should be, a number >= 0 and
            < 1. Default 0.4.

    Shape:
        (N, C, H, W) -> (N, C, 1, 1).

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W), or too small for so many levels.
        DtypeError: if x holds no floating-point numbers.

    Note:
        The result is not normalised. At most 7 squares of the first level are laid side by side.
        Of equal values the gradient goes to the first.

    Example:
        >>> import torch
        >>> x = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0]]).view(1, 2, 2, 2)
        >>> RMACPool2d(levels=2)(x).flatten()  # (3, 4) / 5 of the map, (1, 0), (0, 1) of pixels
        tensor([1.6000, 1.8000])

    Reference:
        Tolias, Sicre, Jégou (2016), Particular object retrieval with integral max-pooling of CNN
        activations, ICLR, arXiv:1511.05879.
    """

    def __init__(self, levels: int = 3, *, overlap: float = 0.4) -> None:
        super().__init__()
        with called("RMACPool2d"):
            (self.levels,) = checked_ints("levels", levels, 1)
            self.overlap = checked_number("overlap", overlap, least=0)
            if self.overlap >= 1:
                raise ArgumentError(expected("overlap", "to be less than 1", overlap))

    def _downsampled(self, x: Tensor) -> Tensor:
        """Pool each region."""
        check_numbers(self, x)
        height, width = x.shape[2:]
        if 2 * min(height, width) < self.levels + 1:
            with called("RMACPool2d"):
                least = (self.levels + 2) // 2
                rule = f"to have at least {least} x {least} pixels for {self.levels} levels"
                raise ShapeError(expected("the input", rule, tuple(x.shape), "Use fewer levels."))
        total = torch.zeros_like(x[..., :1, :1])
        for top, left, side in self.regions(height, width):
            region = x[..., top : top + side, left : left + side]
            largest = F.adaptive_max_pool2d(region, 1)
            total = total + F.normalize(largest, dim=1)
        return total

    def regions(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """List the squares of a map as (first row, first column, side).

        Example:
            >>> RMACPool2d(levels=2).regions(6, 6)
            [(0, 0, 6), (0, 0, 4), (0, 2, 4), (2, 0, 4), (2, 2, 4)]
        """
        short, long = min(height, width), max(height, width)
        along = 1
        if long > short:
            shares = [1 - (long - short) / (n - 1) / short for n in range(2, 8)]
            distances = [abs(share - self.overlap) for share in shares]
            along = 2 + distances.index(min(distances))
        found = []
        for level in range(1, self.levels + 1):
            side = 2 * short // (level + 1)
            many = level + along - 1
            rows = _spread(height, side, many if height > width else level)
            columns = _spread(width, side, many if width > height else level)
            found += [(row, column, side) for row in rows for column in columns]
        return found

    def extra_repr(self) -> str:
        """Show the levels."""
        return f"levels={self.levels}, overlap={self.overlap:g}"


def _spread(size: int, side: int, count: int) -> list[int]:
    """Place so many intervals evenly from the first element to the last."""
    return [(size - side) * i // (count - 1) for i in range(count)] if count > 1 else [0]


def _sample_wildcat() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return WildcatPool2d(3, 2, alpha=0.6), (torch.arange(72.0).square().view(2, 3, 3, 4).sin(),)


@block(
    paper="Durand, Mordan, Thome, Cord (2017), WILDCAT: Weakly supervised learning of deep "
    "ConvNets for image classification, pointwise localization and segmentation, CVPR",
    family="encoding",
    sample=_sample_wildcat,
    apart="It gives one vector for a whole map.",
)
class WildcatPool2d(MapBlock):
    r"""Average the largest pixels of each map and, weighted, the smallest.

    $$ y = \frac{1}{k^+} \sum_{r < k^+} x_{(r)} + \frac{\alpha}{k^-} \sum_{r < k^-} x_{(n-1-r)} $$

    with $x_{(0)} \ge x_{(1)} \ge \dots$ the $n$ pixels of a map in order.

    Args:
        largest: k+, how many of the largest: an int > 0, or a number between 0 and 1 for a share of
            all pixels. Default 1.
        smallest: k-, likewise; None for as many as ``largest``. Default None.
        alpha: the weight of the smallest, a finite number. Default 1, which is the pooling of
            WELDON by the same authors.

    Shape:
        (N, C, H, W) -> (N, C, 1, 1).

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W), or has fewer pixels than are asked for.
        DtypeError: if x holds no floating-point numbers.

    Note:
        A share is rounded down, but to 1 at least. With alpha=0 it is the mean of the largest.

    Example:
        >>> import torch
        >>> x = torch.tensor([5.0, 1.0, 3.0, -4.0]).view(1, 1, 2, 2)
        >>> WildcatPool2d(2, 1, alpha=0.5)(x).item()  # (5 + 3) / 2 - 0.5 * 4
        2.0

    Reference:
        Durand, Mordan, Thome, Cord (2017), WILDCAT: Weakly supervised learning of deep ConvNets for
        image classification, pointwise localization and segmentation, CVPR.
    """

    def __init__(
        self, largest: float = 1, smallest: float | None = None, *, alpha: float = 1.0
    ) -> None:
        super().__init__()
        with called("WildcatPool2d"):
            self.largest = _checked_part("largest", largest)
            self.smallest = self.largest
            if smallest is not None:
                self.smallest = _checked_part("smallest", smallest)
            self.alpha = checked_number("alpha", alpha)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Select and average."""
        check_numbers(self, x)
        pixels = x.flatten(2)
        y = self._mean(pixels, self.largest, True)
        if self.alpha != 0:
            y = y + self.alpha * self._mean(pixels, self.smallest, False)
        return y[..., None]

    def _mean(self, pixels: Tensor, part: float, largest: bool) -> Tensor:
        available = pixels.shape[2]
        count = part if isinstance(part, int) else max(1, int(part * available))
        if count > available:
            with called("WildcatPool2d"):
                rule = f"to have at least {count} pixels"
                raise ShapeError(
                    expected("the input", rule, available, "Ask for a share, such as 0.2.")
                )
        return pixels.topk(count, 2, largest).values.mean(2, keepdim=True)

    def extra_repr(self) -> str:
        """Show how many."""
        return f"largest={self.largest}, smallest={self.smallest}, alpha={self.alpha:g}"


def _checked_part(name: str, value: float) -> float:
    if is_int(value) and value > 0:
        return int(value)
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise ArgumentError(expected(name, "to be an int > 0 or a number between 0 and 1", value))
