"""Learning which phase to keep."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import called
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_choice, checked_number
from flexpool.nn.map_block import MapBlock
from flexpool.nn.polyphase import blurred, choose, phases, whole_blocks
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["LPSPool2d"]

_MODES = ("gumbel", "gumbel_hard", "convex")


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return LPSPool2d(2, 2, hidden=3), (torch.arange(140.0).view(2, 2, 5, 7).sin(),)


@block(
    paper="Rojas-Gomez, Lim, Schwing, Do, Yeh (2022), Learnable polyphase sampling for shift "
    "invariant and equivariant convolutional networks, NeurIPS, arXiv:2210.08001",
    family="adaptive sampling",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: LPSPool2d(channels, stride),
    random=True,
)
class LPSPool2d(MapBlock):
    r"""Keep, of the grids of pixels that a stride can choose from, one that is learned.

    $$ y = x^{(p)}, \qquad p = \operatorname*{argmax}_p f(x^{(p)}), \qquad
    f(z) = \operatorname{mean} \bigl( w_2 * \max(0,\, w_1 * z + b_1) + b_2 \bigr) $$

    with $x^{(p)}$ the grid with the phase $p$, all $x_{c,\, su+i,\, sv+j}$ for $p = (i, j)$ and the
    stride $s$, and $*$ circular convolution with 3 x 3 weights. While training it mixes the grids,
    $y = \sum_p g_p x^{(p)}$, with weights drawn from the Gumbel-softmax distribution of the
    scores $f(x^{(p)})$.

    Args:
        channels: of the input, an int > 0.
        stride: an int > 0 or one per dimension. Default 2.
        hidden: channels of the two convolutions, an int > 0. Default None: as ``channels``.
        temperature: of the softmax, a number > 0; a buffer: ``layer.temperature.fill_(0.5)``
            changes it. Default 1.
        mode: how grids are mixed while training: "gumbel"; "gumbel_hard", which keeps one and has
            the gradient of the mix; "convex", without noise, which mixes also after training.
            Default "gumbel".
        blur: taps of a binomial filter that is applied before, on a torus; an int > 0, and 1 for
            none. Default 1.
        ceil_mode: whether rows and columns that lack to a multiple of the stride are taken from the
            other side, instead of dropping those that are too many. Default False.

    Shape:
        (N, channels, H, W) -> (N, channels, H // stride, W // stride), in ceil mode rounded up.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has fewer pixels than the stride.
        DtypeError: if x holds no floating-point numbers.

    Note:
        In evaluation mode one grid is kept per image, and a circular shift of an image chooses the
        same pixels, as with :class:`APSPool2d`; sizes must be multiples of the stride for that.
        Of equal scores the first is taken.

    Use:
        As :class:`APSPool2d`, where the net should learn which grid to keep.

    Disagreement:
        Sizes that the stride does not divide: the authors' padding completes them for stride 2
        only; here ``ceil_mode`` does for any.

    Example:
        >>> import torch
        >>> layer = LPSPool2d(3).eval()
        >>> x = torch.randn(2, 3, 8, 8)
        >>> kept, again = layer(x), layer(x.roll((1, 3), (2, 3)))  # 16 pixels of each channel
        >>> torch.equal(kept.flatten(2).sort().values, again.flatten(2).sort().values)
        True

    Reference:
        Rojas-Gomez, Lim, Schwing, Do, Yeh (2022), Learnable polyphase sampling for shift invariant
        and equivariant convolutional networks, NeurIPS, arXiv:2210.08001.
    """

    temperature: Tensor

    def __init__(
        self,
        channels: int,
        stride: int | tuple[int, int] = 2,
        *,
        hidden: int | None = None,
        temperature: float = 1,
        mode: str = "gumbel",
        blur: int = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        with called("LPSPool2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            vertical, horizontal = checked_ints("stride", stride, 2)
            (width,) = checked_ints("hidden", channels if hidden is None else hidden, 1)
            start = checked_number("temperature", temperature, above=0)
            self.mode = checked_choice("mode", mode, _MODES)
            (self.blur,) = checked_ints("blur", blur, 1)
            self.ceil_mode = checked_flag("ceil_mode", ceil_mode)
        self.stride = (vertical, horizontal)
        self.register_buffer("temperature", torch.tensor(start))
        self.scores = nn.Sequential(
            nn.Conv2d(self.channels, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3)
        )

    def _downsampled(self, x: Tensor) -> Tensor:
        """Score the phases; mix them or keep the best."""
        check_numbers(self, x)
        x = blurred(whole_blocks(x, self.stride, self.ceil_mode, self), self.blur)
        parts = phases(x, self.stride)
        scores = self.logits(parts)
        if self.mode == "convex":
            return _mixed(parts, (scores / self.temperature).softmax(1))
        if self.training:
            hard = self.mode == "gumbel_hard"
            return _mixed(parts, _gumbel_softmax(scores, self.temperature, hard))
        return choose(x, self.stride, scores.argmax(1))

    def logits(self, parts: Tensor) -> Tensor:
        """Score the phases (N, P, channels, H, W) as (N, P)."""
        first, rectify, second = self.scores
        each = parts.flatten(0, 1)
        result: Tensor = second(_wrapped(rectify(first(_wrapped(each)))))
        return result.mean((1, 2, 3)).view(parts.shape[0], parts.shape[1])

    def extra_repr(self) -> str:
        """Show how phases are mixed."""
        shown = f"{self.channels}, stride={self.stride}, mode={self.mode!r}"
        shown += f", blur={self.blur}" if self.blur > 1 else ""
        return shown + (", ceil_mode=True" if self.ceil_mode else "")


def _wrapped(x: Tensor) -> Tensor:
    """Add one row and column of the torus on each side."""
    x = torch.cat([x[..., -1:, :], x, x[..., :1, :]], -2)
    return torch.cat([x[..., -1:], x, x[..., :1]], -1)


def _gumbel_softmax(scores: Tensor, temperature: Tensor, hard: bool) -> Tensor:
    exact = torch.promote_types(scores.dtype, torch.float32)  # half types round to 0, log 0 = -inf
    noise = -torch.empty_like(scores, dtype=exact).exponential_().log()
    soft = ((scores + noise) / temperature).softmax(1).to(scores.dtype)
    if not hard:
        return soft
    one = F.one_hot(soft.argmax(1), scores.shape[1]).to(soft.dtype)
    return one - soft.detach() + soft


def _mixed(parts: Tensor, weights: Tensor) -> Tensor:
    flat = weights[:, None] @ parts.flatten(2)
    return flat.view(parts.shape[0], *parts.shape[2:])
