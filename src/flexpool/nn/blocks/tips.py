"""Learning how to mix the phases, channel by channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers
from flexpool.nn.map_block import MapBlock
from flexpool.nn.polyphase import phases, whole_blocks
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["TIPSPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return TIPSPool2d(2, 2), (torch.arange(168.0).view(2, 2, 6, 7).sin(),)


@block(
    paper="Saha, Gokhale (2025), Improving shift invariance in convolutional neural networks with "
    "translation invariant polyphase sampling, WACV, arXiv:2404.07410",
    family="adaptive sampling",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: TIPSPool2d(channels, stride),
)
class TIPSPool2d(MapBlock):
    r"""Mix the grids of pixels that a stride can choose from, with weights learned per channel.

    $$ y_c = \sum_p \tau_{c,p}\, x_c^{(p)}, \qquad
    \tau_c = \operatorname{softmax} \bigl( a_c \operatorname{pool}_{s \times s} \psi_c(x) \bigr),
    \qquad \psi(x) = \max(0,\, w * x) $$

    with $x_c^{(p)}$ the grid with the phase $p$, all $x_{c,\, su+i,\, sv+j}$ for $p = (i, j)$ and
    the stride $s$; $w * x$ a convolution of each channel with 3 x 3 weights of its own;
    $\operatorname{pool}$ the averages of s x s parts of the map; $a$ one number per channel.

    Args:
        channels: of the input, an int > 0.
        stride: an int > 0 or one per dimension. Default 2.
        ceil_mode: whether rows and columns that lack to a multiple of the stride are taken from the
            other side, instead of dropping those that are too many. Default False.
        return_losses: whether to return also the two losses that are added to a net's: the mean of
            $1 - \lVert \tau_c \rVert_2$, which is 0 where one grid is kept, and the mean square of
            $\psi(x) - x'$, where $x'$ is the input shifted at random. Default False.
        largest_shift: by how many pixels the input is shifted at most for the second loss, an int
            >= 0; rows and columns come in on the other side. Default 2.

    Shape:
        (N, channels, H, W) -> (N, channels, H // stride, W // stride), in ceil mode rounded up;
        with return_losses also two numbers.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has fewer pixels than the stride.
        DtypeError: if x holds no floating-point numbers.

    Note:
        It is trained towards shift invariance, not invariant by construction: use
        :class:`APSPool2d` or :class:`LPSPool2d` for that. The second loss takes the shifted input
        as given: no gradient goes through it, which the authors' code means but does not do.
        Shifts are drawn from torch's generator in every call with return_losses.

    Use:
        Where shift invariance should be learned together with the net, smoothly, with two losses
        for it.

    Example:
        >>> import torch
        >>> layer = TIPSPool2d(1)
        >>> with torch.no_grad():
        ...     layer.mix.zero_()  # all grids alike: average pooling
        Parameter containing:
        tensor([0.], requires_grad=True)
        >>> layer(torch.arange(16.0).view(1, 1, 4, 4)).detach()
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])

    Reference:
        Saha, Gokhale (2025), Improving shift invariance in convolutional neural networks with
        translation invariant polyphase sampling, WACV, arXiv:2404.07410.
    """

    def __init__(
        self,
        channels: int,
        stride: int | tuple[int, int] = 2,
        *,
        ceil_mode: bool = False,
        return_losses: bool = False,
        largest_shift: int = 2,
    ) -> None:
        super().__init__()
        with called("TIPSPool2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            vertical, horizontal = checked_ints("stride", stride, 2)
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
            self.return_losses = checked_flag("return_losses", return_losses)
            if largest_shift != 0:
                (largest_shift,) = checked_ints("largest_shift", largest_shift, 1)
        self.largest_shift = largest_shift
        self.stride = (vertical, horizontal)
        self.filter = nn.Conv2d(
            self.channels, self.channels, 3, padding=1, groups=self.channels, bias=False
        )
        self.mix = nn.Parameter(torch.empty(self.channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the numbers of the mix; the filter draws its own."""
        nn.init.uniform_(self.mix, -1, 1)

    def _downsampled(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Compute the weights and mix; with return_losses give also the losses."""
        check_numbers(self, x)
        x = whole_blocks(x, self.stride, self.ceil_mode, self)
        filtered = self.filter(x).relu()
        parts = nn.functional.adaptive_avg_pool2d(filtered, self.stride).flatten(2)
        weights = (self.mix[:, None] * parts).softmax(2)
        y = (weights.mT[..., None, None] * phases(x, self.stride)).sum(1)
        if not self.return_losses:
            return y
        one_grid = (1 - torch.linalg.vector_norm(weights, dim=2)).mean()
        undone = (filtered - self._shifted(x.detach())).square().mean()
        return y, one_grid, undone

    def _shifted(self, x: Tensor) -> Tensor:
        most = self.largest_shift
        vertical, horizontal = torch.randint(-most, most + 1, (2,)).tolist()
        return x.roll((vertical, horizontal), (2, 3))

    def extra_repr(self) -> str:
        """Show the channels and the stride."""
        shown = f"{self.channels}, stride={self.stride}"
        shown += ", ceil_mode=True" if self.ceil_mode else ""
        return shown + (", return_losses=True" if self.return_losses else "")
