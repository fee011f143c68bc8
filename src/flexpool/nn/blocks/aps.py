"""Keeping the strongest phase, and putting it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_choice
from flexpool.nn.map_block import MapBlock
from flexpool.nn.polyphase import blurred, choose, grid, whole_blocks
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["APSPool2d", "APSUnpool2d"]

_PIXELS = (3, 4, 5)  # channels, rows and columns of a phase
_STRENGTH: Mapping[str, Callable[[Tensor], Tensor]] = {
    "l2": lambda x: x.square().sum(_PIXELS),
    "l1": lambda x: x.abs().sum(_PIXELS),
    "linf": lambda x: x.abs().amax(_PIXELS),
    "max": lambda x: x.amax(_PIXELS),
    "l2_min": lambda x: -x.square().sum(_PIXELS),
    "l1_min": lambda x: -x.abs().sum(_PIXELS),
}


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return APSPool2d(2), (torch.arange(140.0).view(2, 2, 5, 7) / 70,)


@block(
    paper="Chaman, Dokmanić (2021), Truly shift-invariant convolutional neural networks, CVPR, "
    "arXiv:2011.14214",
    family="adaptive sampling",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: APSPool2d(stride),
)
class APSPool2d(MapBlock):
    r"""Keep, of the grids of pixels that a stride can choose from, the strongest.

    $$ y_{c,u,v} = x_{c,\, su+i,\, sv+j}, \qquad
    (i, j) = \operatorname*{argmax}_{0 \le i, j < s} \sum_{c,u,v} x_{c,\, su+i,\, sv+j}^2 $$

    with $s$ the stride. One grid is chosen for all channels of an image. If the image is shifted,
    the same pixels are chosen: with circular convolutions and a global pooling at the end, a net's
    result does not change at all.

    Args:
        stride: an int > 0 or one per dimension. Default 2.
        norm: what makes a grid the strongest: "l2" for the sum of squares, "l1" for that of
            absolute values, "linf" for the largest absolute value, "max" for the largest value,
            "l2_min" and "l1_min" for the smallest of the sums. Default "l2".
        blur: taps of a binomial filter that is applied before, on a torus; an int > 0, and 1 for
            none. Default 1.
        ceil_mode: whether rows and columns that lack to a multiple of the stride are taken from the
            other side, instead of dropping those that are too many. Default False.
        return_phase: whether to return also the phase of each image, i s + j, an int64 tensor (N,).
            Default False.

    Shape:
        (N, C, H, W) -> (N, C, H // stride, W // stride), in ceil mode rounded up.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, C, H, W), or has fewer pixels than the stride.
        DtypeError: if x holds no floating-point numbers.

    Note:
        Only circular shifts leave everything as it is, and only of sizes that the stride divides:
        otherwise pixels at the border come and go. The gradient goes to the pixels that are kept.
        Of grids that are equally strong the first is kept, in the order of the phases. ``forward``
        takes a phase as its second argument to keep that one, as in the other branch of a residual
        block.

    Use:
        Where an answer must not change if the image is shifted: with circular padding, and a global
        pooling at the end.

    Disagreement:
        What makes a grid the strongest: the paper takes the sum of squares, its program has the six
        of ``norm``. Invariance is exact for circular shifts only, which is sometimes left unsaid.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 5.0, 2.0, 6.0], [0.0, 0.0, 0.0, 0.0]]).view(1, 1, 2, 4)
        >>> APSPool2d(2, return_phase=True)(x)
        (tensor([[[[5., 6.]]]]), tensor([1]))
        >>> APSPool2d(2)(x.roll(1, 3))
        tensor([[[[6., 5.]]]])

    Reference:
        Chaman, Dokmanić (2021), Truly shift-invariant convolutional neural networks, CVPR,
        arXiv:2011.14214.
    """

    def __init__(
        self,
        stride: int | tuple[int, int] = 2,
        norm: str = "l2",
        *,
        blur: int = 1,
        ceil_mode: bool = False,
        return_phase: bool = False,
    ) -> None:
        super().__init__()
        with called("APSPool2d"):
            vertical, horizontal = checked_ints("stride", stride, 2)
            self.norm = checked_choice("norm", norm, _STRENGTH)
            (self.blur,) = checked_ints("blur", blur, 1)
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
            self.return_phase = checked_flag("return_phase", return_phase)
        self.stride = (vertical, horizontal)

    def forward(  # names for what it takes besides
        self, input: Tensor, phase: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Choose the phases, unless they are given, and take them."""
        result: Tensor | tuple[Tensor, Tensor] = super().forward(input, phase)
        return result

    def _downsampled(
        self, x: Tensor, phase: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        check_numbers(self, x)
        x = blurred(whole_blocks(x, self.stride, self.ceil_mode, self), self.blur)
        if phase is None:
            phase = self.strongest(x)
        else:
            _check_phase(self, phase, x)
        y = choose(x, self.stride, phase)
        return (y, phase) if self.return_phase else y

    def strongest(self, x: Tensor) -> Tensor:
        """Find the strongest phase of each image."""
        exact = x.detach().to(torch.promote_types(x.dtype, torch.float32))  # squares overflow
        return _STRENGTH[self.norm](grid(exact, self.stride)).flatten(1).argmax(1)

    def extra_repr(self) -> str:
        """Show what is chosen."""
        shown = f"stride={self.stride}, norm={self.norm!r}"
        shown += f", blur={self.blur}" if self.blur > 1 else ""
        shown += ", ceil_mode=True" if self.ceil_mode else ""
        return shown + (", return_phase=True" if self.return_phase else "")


def _sample_unpool() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return APSUnpool2d(2), (torch.arange(24.0).view(2, 2, 2, 3).sin(), torch.tensor([2, 0]))


@block(
    paper="Chaman, Dokmanić (2021), Truly shift-equivariant convolutional neural networks with "
    "adaptive polyphase upsampling, Asilomar, arXiv:2105.04040",
    family="adaptive sampling",
    sample=_sample_unpool,
    apart="It makes maps larger, and takes the phase from an APSPool2d.",
)
class APSUnpool2d(MapBlock):
    r"""Put pixels back to where APSPool2d took them from, with zeros between them.

    $$ y_{c,\, su+i,\, sv+j} = x_{c,u,v} \text{ for the phase } (i, j), \text{ else } 0 $$

    with $s$ the stride.

    Args:
        stride: that of the :class:`APSPool2d`, an int > 0 or one per dimension. Default 2.

    Shape:
        (N, C, H, W) and phases (N,) -> (N, C, stride H, stride W), or the size that ``forward``
        is given as its third argument.

    Raises:
        ArgumentError: if stride is outside its domain.
        ShapeError: if x, the phases and the size do not belong together.
        DtypeError: if x holds no floating-point numbers, or the phases are no integers.

    Use:
        In decoders of nets that were downsampled by :class:`APSPool2d`, so that the result shifts
        with the input.

    Example:
        >>> import torch
        >>> y = torch.tensor([[[[5.0, 6.0]]]])
        >>> APSUnpool2d(2)(y, torch.tensor([1]))
        tensor([[[[0., 5., 0., 6.],
                  [0., 0., 0., 0.]]]])

    Reference:
        Chaman, Dokmanić (2021), Truly shift-equivariant convolutional neural networks with adaptive
        polyphase upsampling, Asilomar, arXiv:2105.04040.
    """

    def __init__(self, stride: int | tuple[int, int] = 2) -> None:
        super().__init__()
        with called("APSUnpool2d"):
            vertical, horizontal = checked_ints("stride", stride, 2)
        self.stride = (vertical, horizontal)

    def forward(  # names for what it takes besides
        self, input: Tensor, phase: Tensor, output_size: tuple[int, int] | None = None
    ) -> Tensor:
        """Write one pixel of each block; ``output_size`` is what the pooling was given."""
        result: Tensor = super().forward(input, phase, output_size)
        return result

    def _downsampled(
        self, x: Tensor, phase: Tensor, output_size: tuple[int, int] | None = None
    ) -> Tensor:
        check_numbers(self, x)
        _check_phase(self, phase, x)
        (n, channels, height, width), (down, across) = x.shape, self.stride
        here = torch.arange(down * across, device=x.device) == phase[:, None]
        here = here.view(n, 1, 1, down, 1, across)
        blocks = torch.where(here, x[:, :, :, None, :, None], 0)
        y = blocks.reshape(n, channels, height * down, width * across)
        return y if output_size is None else self._fitted(y, output_size)

    def _fitted(self, y: Tensor, output_size: tuple[int, int]) -> Tensor:
        """Add what the pooling dropped as zeros, or drop what its ceil mode added."""
        more = [output_size[d] - y.shape[2 + d] for d in (0, 1)]
        if any(abs(m) >= s for m, s in zip(more, self.stride, strict=True)):
            with called("APSUnpool2d"):
                rule = f"to be less than the stride from {tuple(y.shape[2:])}"
                raise ShapeError(expected("output_size", rule, tuple(output_size)))
        return nn.functional.pad(y, (0, more[1], 0, more[0]))

    def extra_repr(self) -> str:
        """Show the stride."""
        return f"stride={self.stride}"


def _check_phase(module: nn.Module, phase: Tensor, x: Tensor) -> None:
    if phase.shape == x.shape[:1] and phase.dtype == torch.int64:
        return
    with called(type(module).__name__):
        rule = f"to be {x.shape[0]} numbers of type int64, one per image"
        instead = "Use what APSPool2d(return_phase=True) returns."
        kind = ShapeError if phase.dtype == torch.int64 else ArgumentError
        raise kind(expected("phase", rule, phase, instead))
