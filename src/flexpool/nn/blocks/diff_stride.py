"""Downsampling whose stride is learned."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_number, checked_numbers
from flexpool.nn.fourier import low_frequencies, tables
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_flag

__all__ = ["DiffStride2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return DiffStride2d((2.3, 1.9), ramp=1.5), (torch.arange(180.0).view(1, 2, 9, 10).sin(),)


@block(
    paper="Riad, Teboul, Grangier, Zeghidour (2022), Learning strides in convolutional neural "
    "networks, ICLR, arXiv:2202.01653",
    family="frequency",
    sample=_sample,
    apart="The size of its result follows from a stride that is learned: it fits nets that end in "
    "global pooling.",
    unexported="The size of its result depends on a learned value; after freeze() it does not.",
)
class DiffStride2d(MapBlock):
    r"""Keep the low frequencies of each map, how many of them is learned.

    $$ y_{u,v} = \Re \frac{1}{HW} \sum_{k,l} m_{S_1,H}(k)\, m_{S_2,W}(l)\, X_{k,l}\,
    e^{2 \pi i (ku/H' + lv/W')}, \qquad
    m_{S,n}(k) = \operatorname{clip}\Bigl( \frac{R + n/(2S) - |k|}{R},\, 0,\, 1 \Bigr) $$

    with $X$ the discrete Fourier transform of a map of $H \times W$ pixels, $S$ the learned strides
    and $R$ the width of the ramp. Frequencies where the mask $m$ is 0 are cut off, so that the
    result has $H' = 2 \lceil H/(2S_1) + R \rceil$ rows, at most $H$. Where to cut has no gradient;
    the strides learn through the ramp.

    Args:
        stride: the strides to begin with, a number >= 1 or one per dimension. Default 2.
        ramp: R, over how many frequencies the mask falls from 1 to 0, a number > 0. Default 4.
        shared: whether one stride is learned for both dimensions. Default False.

    Shape:
        (N, C, H, W) -> (N, C, H', W'), larger than H / stride by twice the ramp: 64 becomes 40
        with the defaults.

    Raises:
        ArgumentError: if an argument is outside its domain.
        ShapeError: if x is not (N, C, H, W).
        DtypeError: if x holds no floating-point numbers.

    Note:
        The strides in use are the parameter ``stride``, kept between H / (H - R), so that something
        is cut off, and H / 2, so that something is left; the gradient reaches the parameter outside
        these limits too. A constant keeps its value. Since shapes follow the strides, a compiled
        net is compiled anew when they change: call :meth:`freeze` after training.

    Use:
        Where strides should be learned, not chosen, in a net that ends in a global pooling.

    Disagreement:
        The ramp is part of the result, here as in the authors' program: 64 rows and a stride of 2
        give 40, not 32. Their fixed variant multiplies all values by HW / (H'W'); here a constant
        keeps its value.

    Example:
        >>> import torch
        >>> layer = DiffStride2d()
        >>> layer(torch.ones(1, 3, 64, 64)).shape
        torch.Size([1, 3, 40, 40])
        >>> layer.freeze().frozen
        (2.0, 2.0)

    Reference:
        Riad, Teboul, Grangier, Zeghidour (2022), Learning strides in convolutional neural networks,
        ICLR, arXiv:2202.01653.
    """

    def __init__(
        self, stride: float | tuple[float, float] = 2, ramp: float = 4, *, shared: bool = False
    ) -> None:
        super().__init__()
        with called("DiffStride2d"):
            first = checked_numbers("stride", stride, least=1)
            self.ramp = checked_number("ramp", ramp, above=0)
            self.shared = checked_flag("shared", shared)
            if shared and first[0] != first[1]:
                rule = "to be one number where it is shared"
                raise ArgumentError(expected("stride", rule, stride))
        self.stride = nn.Parameter(torch.tensor(first[:1] if shared else first))
        self.frozen: tuple[float, float] | None = None

    def freeze(self) -> DiffStride2d:
        """Fix the strides at what they are now, so that the shapes depend on no tensor's values.

        Returns the module. ``module.stride.requires_grad_()`` and ``module.frozen = None`` undo it.
        """
        self.stride.requires_grad_(False)
        vertical, horizontal = self.stride.expand(2).tolist()
        self.frozen = (vertical, horizontal)
        return self

    def _downsampled(self, x: Tensor) -> Tensor:
        """Multiply both dimensions by the matrices that belong to the strides."""
        check_numbers(self, x)
        strides: Any = self.stride.expand(2)
        values = self.frozen or tuple(strides.detach().tolist())
        left, right = (
            self._matrix(x.shape[2 + dimension], strides[dimension], values[dimension], x)
            for dimension in (0, 1)
        )
        return left @ (x @ right.mT)

    def _matrix(self, size: int, stride: Tensor, value: float, like: Tensor) -> Tensor:
        if size < 2:
            with called("DiffStride2d"):
                raise ShapeError(
                    expected("the input", "to have at least 2 x 2 pixels", tuple(like.shape))
                )
        least = size / (size - self.ramp) if size > self.ramp else 1.0
        most = size / 2
        used = max(min(value, most), min(least, most))
        count = min(size, 2 * math.ceil(size / (2 * used) + self.ramp))
        cos, sin = tables(size, count, like.device)
        cos_out, sin_out = tables(count, count, like.device)
        if self.frozen is None:
            # Its value is the one in use, its gradient the parameter's: also outside the limits.
            stride = stride.to(cos.dtype)
            half = size / (2 * (stride - stride.detach() + used))
        else:
            half = torch.full((), size / (2 * used), dtype=cos.dtype, device=like.device)
        distance = low_frequencies(count, like.device).abs()
        mask = ((self.ramp + half - distance) / self.ramp).clamp(0, 1) / size
        # The frequency -count/2, which has no partner, has the weight 0 or, uncut, a sine of 0.
        return ((mask * cos_out) @ cos.mT + (mask * sin_out) @ sin.mT).to(like.dtype)

    def _load_from_state_dict(self, *arguments: Any, **keywords: Any) -> None:
        super()._load_from_state_dict(*arguments, **keywords)
        if self.frozen is not None:
            self.freeze()

    def extra_repr(self) -> str:
        """Show the strides."""
        strides = ", ".join(f"{value:.4g}" for value in self.stride.tolist())
        return f"stride=({strides}), ramp={self.ramp:g}" + (", frozen" if self.frozen else "")
