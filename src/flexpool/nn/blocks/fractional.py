"""Maxima of regions of mixed sizes, so that a map may shrink by any factor."""

from __future__ import annotations

from math import floor
from typing import Any

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.map_block import MapBlock, checked_choice
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["FractionalMaxPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return FractionalMaxPool2d(output_ratio=0.7), (
        torch.linspace(-9, 9, 98).view(1, 2, 7, 7).sin(),
    )


@block(
    paper="Graham (2014), Fractional max-pooling, arXiv:1412.6071",
    family="random",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: FractionalMaxPool2d(output_ratio=1 / stride),
    random=True,
)
class FractionalMaxPool2d(MapBlock):
    r"""Take the maxima of regions whose bounds are drawn, so that any factor of shrinking will do.

    $$ y_{u,v} = \max_{a_u \le i \le e_u,\; b_v \le j \le f_v} x_{i,j}, \qquad
       a_u = \lceil \alpha (u + t) \rceil - \lceil \alpha t \rceil, \qquad
       \alpha = \frac{H}{\mathrm{rows}}, \qquad t \sim U(0, 1) $$

    and likewise for columns. Regions end at $e_u = a_{u+1} - 1$ if they are disjoint; else at
    $a_{u+1}$, which belongs to the next one too.

    Args:
        output_size: rows and columns of the result, an int > 0 or a tuple of two.
        output_ratio: instead of it, $1 / \alpha$, a number > 0 and <= 1 or a tuple of two.
        regions: "pseudorandom" for the bounds above; "random" for the same heights and widths in a
            random order, which distorts more. Default "pseudorandom".
        overlapping: whether regions overlap by a row and a column, True or False. Default True.

    Shape:
        (N, C, H, W) -> (N, C, rows, columns), without N alike; with output_ratio, H output_ratio
        rounded down.

    Raises:
        ArgumentError: if an argument is outside its domain, or not one of output_size and
            output_ratio is given.
        ShapeError: if an input has fewer rows or columns than the result, or the result none.

    Note:
        All regions together cover the input. In training a call draws one set of bounds for all
        images and channels, by torch, so ``torch.manual_seed`` decides it; evaluation takes
        $a_u = \lfloor \alpha u \rfloor$ and draws nothing, unlike torch.nn's. The paper averages
        several drawn results instead: call it in training mode for that. NaN propagates.

    Use:
        For factors between 1 and 2, so that a net can shrink its maps more gently and more often.

    Disagreement:
        Evaluation: torch.nn's module draws there too, the paper averages several drawn results,
        here nothing is drawn. torch has pseudorandom, overlapping regions of one size only.

    Example:
        >>> import torch
        >>> x = torch.arange(5.0).expand(1, 1, 5, 5)
        >>> FractionalMaxPool2d(output_size=3).eval()(x)[0, 0, 0]
        tensor([1., 3., 4.])
        >>> FractionalMaxPool2d(output_size=3, overlapping=False).eval()(x)[0, 0, 0]
        tensor([0., 2., 4.])

    Reference:
        Graham (2014), Fractional max-pooling, arXiv:1412.6071.
    """

    shown = ("output_size", "output_ratio", "regions", "overlapping")

    def __init__(
        self,
        *,
        output_size: Any = None,
        output_ratio: Any = None,
        regions: str = "pseudorandom",
        overlapping: bool = True,
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            if (output_size is None) == (output_ratio is None):
                raise ArgumentError(
                    f"expected one of output_size and output_ratio, got {output_size!r} and "
                    f"{output_ratio!r}. Write output_ratio=0.7, say."
                )
            self._wanted: tuple[float, ...] = (
                checked_ints("output_size", output_size, 2)
                if output_ratio is None
                else _checked_ratios(output_ratio)
            )
            self.regions = checked_choice("regions", regions, ("pseudorandom", "random"))
            self.overlapping = checked_flag("overlapping", overlapping)
        self.output_size = output_size
        self.output_ratio = output_ratio

    def _downsampled(self, x: Tensor) -> Tensor:
        # Columns first: of equal values the first of the first row is then found first.
        for axis in (3, 2):
            size = int(x.shape[axis])
            x = self._shrunk(x, axis, size, self._outputs(size, axis - 2))
        return x

    def _outputs(self, size: int, d: int) -> int:
        name, count = "output_size", int(self._wanted[d])
        if self.output_ratio is not None:  # 0.29 of 100 must not become 28 by rounding
            name, count = "output_ratio", floor(size * self._wanted[d] + 1e-9)
        if not 1 <= count <= size:
            rule = f"to leave 1 to {size} {('rows', 'columns')[d]} of {size}"
            raise ShapeError(expected(name, rule, getattr(self, name)))
        return count

    def _shrunk(self, x: Tensor, axis: int, size: int, outputs: int) -> Tensor:
        bounds = self._bounds(size, outputs, x.device)
        last = bounds[1:].clamp(max=size - 1) if self.overlapping else bounds[1:] - 1
        longest = -(-size // outputs) + self.overlapping
        steps = torch.arange(longest, device=x.device)
        places = torch.minimum(bounds[:-1, None] + steps, last[:, None])
        regions = x.index_select(axis, places.flatten()).unflatten(axis, (outputs, longest))
        largest: Tensor = regions.max(axis + 1).values
        return largest

    def _bounds(self, size: int, outputs: int, device: torch.device) -> Tensor:
        """Give where regions begin, and the input's end."""
        steps = torch.arange(outputs + 1, device=device)
        if not self.training:
            return steps * size // outputs
        if self.regions == "pseudorandom":  # in whole numbers: t is shift / size
            shift = torch.randint(1, size + 1, (), device=device)
            bounds = (steps * size + shift + outputs - 1) // outputs
            return bounds - bounds[0]
        small, larger = divmod(size, outputs)
        heights = small + (torch.randperm(outputs, device=device) < larger).long()
        return torch.cat([steps[:1], heights.cumsum(0)])


def _checked_ratios(value: object) -> tuple[float, float]:
    items = value if isinstance(value, tuple | list) else (value, value)
    numbers = [
        float(item)
        for item in items
        if isinstance(item, int | float) and not isinstance(item, bool) and 0 < item <= 1
    ]
    if not len(numbers) == len(items) == 2:
        rule = "to be a number > 0 and <= 1 or a tuple of 2 such"
        raise ArgumentError(expected("output_ratio", rule, value, "Write 0.5 for half."))
    return numbers[0], numbers[1]
