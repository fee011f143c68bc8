"""Pooling a whole map by attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.errors import ArgumentError, ShapeError, called, expected
from flexpool.nn.block import block
from flexpool.nn.checks import check_numbers, checked_number
from flexpool.nn.map_block import MapBlock
from flexpool.window.arguments import checked_ints

__all__ = ["AttentionPool2d", "SimPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return AttentionPool2d(4, (2, 3), 2, 3), (torch.arange(48.0).view(2, 4, 2, 3).sin(),)


@block(
    paper="Radford, Kim, Hallacy, Ramesh, Goh, Agarwal, Sastry, Askell, Mishkin, Clark, Krueger, "
    "Sutskever (2021), Learning transferable visual models from natural language supervision, "
    "ICML, arXiv:2103.00020",
    family="encoding",
    sample=_sample,
    apart="It gives one vector for a whole map.",
)
class AttentionPool2d(MapBlock):
    r"""Let the mean of a map ask all its pixels, by attention of several heads.

    $$ y = W_o \bigl[ \operatorname{softmax}(q_h^T K_h / \sqrt{d})\, V_h \bigr]_h + b_o, \qquad
    t = [\bar x,\, x_1, \dots, x_{HW}] + e $$

    with $e$ learned positions, $q = W_q t_0 + b_q$ of the mean alone, $K = W_k t + b_k$ and
    $V = W_v t + b_v$ of all, each cut into heads of $d$ channels.

    Args:
        channels: of the input, an int > 0.
        size: height and width of the maps, an int > 0 or a pair; each position has a vector.
        heads: number of heads, an int > 0 that divides ``channels``.
        out_channels: of the result, an int > 0. Default None: as many as ``channels``.

    Shape:
        (N, channels, H, W) -> (N, out_channels), with (H, W) equal to ``size``.

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W), or has another size.
        DtypeError: if x holds no floating-point numbers.

    Note:
        The parameters are named as in the authors' code, ``positional_embedding``, ``q_proj``,
        ``k_proj``, ``v_proj`` and ``c_proj``, so that their weights fit.

    Example:
        >>> import torch
        >>> AttentionPool2d(64, 7, heads=8, out_channels=32)(torch.randn(2, 64, 7, 7)).shape
        torch.Size([2, 32])

    Reference:
        Radford, Kim, Hallacy, Ramesh, Goh, Agarwal, Sastry, Askell, Mishkin, Clark, Krueger,
        Sutskever (2021), Learning transferable visual models from natural language supervision,
        ICML, arXiv:2103.00020.
    """

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        heads: int,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        with called("AttentionPool2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            self.size = checked_ints("size", size, 2)
            (self.heads,) = checked_ints("heads", heads, 1)
            wanted = channels if out_channels is None else out_channels
            (out,) = checked_ints("out_channels", wanted, 1)
            if self.channels % self.heads:
                rule = f"to divide {self.channels} channels"
                raise ArgumentError(expected("heads", rule, heads))
        places = self.size[0] * self.size[1] + 1
        self.positional_embedding = nn.Parameter(torch.empty(places, self.channels))
        self.q_proj = nn.Linear(self.channels, self.channels)
        self.k_proj = nn.Linear(self.channels, self.channels)
        self.v_proj = nn.Linear(self.channels, self.channels)
        self.c_proj = nn.Linear(self.channels, out)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the positions; the linear layers draw their own."""
        nn.init.normal_(self.positional_embedding, std=self.positional_embedding.shape[1] ** -0.5)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Add positions, attend and project."""
        check_numbers(self, x)
        if tuple(x.shape[2:]) != tuple(self.size):
            with called("AttentionPool2d"):
                rule = f"to have maps of {self.size[0]} x {self.size[1]}"
                instead = "Build AttentionPool2d for the size of the maps."
                raise ShapeError(expected("the input", rule, tuple(x.shape), instead))
        pixels = x.flatten(2).mT
        tokens = torch.cat([pixels.mean(1, keepdim=True), pixels], 1) + self.positional_embedding
        attended = F.scaled_dot_product_attention(
            self._by_head(self.q_proj(tokens[:, :1])),
            self._by_head(self.k_proj(tokens)),
            self._by_head(self.v_proj(tokens)),
        )
        projected: Tensor = self.c_proj(attended.transpose(1, 2).flatten(1))
        return projected

    def _by_head(self, tokens: Tensor) -> Tensor:
        by_head: Tensor = tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return by_head

    def extra_repr(self) -> str:
        """Show the size of the maps."""
        return f"size={self.size}, heads={self.heads}"


def _sample_sim() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return SimPool2d(4, gamma=1.5), (torch.arange(48.0).view(2, 4, 2, 3).sin(),)


@block(
    paper="Psomas, Kakogeorgiou, Karantzalos, Avrithis (2023), Keep it SimPool: Who said "
    "supervised transformers suffer from attention deficit?, ICCV, arXiv:2309.06891",
    family="encoding",
    sample=_sample_sim,
    apart="It gives one vector for a whole map.",
)
class SimPool2d(MapBlock):
    r"""Average a map with the attention that its mean pays to its pixels.

    $$ y = \Bigl( \sum_i a_i\, (v_i - v_{\min} + \epsilon)^\gamma \Bigr)^{1/\gamma}, \qquad
    a = \operatorname{softmax}_i \Bigl( \frac{(W_q \bar x)^T W_k v_i}{\sqrt{C}} \Bigr) $$

    with $v_i$ the pixels after layer normalisation, $v_{\min}$ the smallest number of an image's
    and $\epsilon$ = 1e-6; without gamma $y = \sum_i a_i v_i$.

    Args:
        channels: of the input, an int > 0.
        gamma: the exponent, a number > 0, or None for a plain weighted mean. Default None.

    Shape:
        (N, channels, H, W) -> (N, channels).

    Raises:
        ArgumentError: if one of them is outside its domain.
        ShapeError: if x is not (N, channels, H, W).
        DtypeError: if x holds no floating-point numbers.

    Note:
        The minimum is that of each image: in the authors' code it is that of the whole batch, which
        makes an image's result depend on the others. Parameters are named as there,
        ``norm_patches``, ``wq`` and ``wk``.

    Example:
        >>> import torch
        >>> SimPool2d(64)(torch.randn(2, 64, 7, 7)).shape
        torch.Size([2, 64])

    Reference:
        Psomas, Kakogeorgiou, Karantzalos, Avrithis (2023), Keep it SimPool: Who said supervised
        transformers suffer from attention deficit?, ICCV, arXiv:2309.06891.
    """

    def __init__(self, channels: int, *, gamma: float | None = None) -> None:
        super().__init__()
        with called("SimPool2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            self.gamma = None if gamma is None else checked_number("gamma", gamma, above=0)
        self.norm_patches = nn.LayerNorm(self.channels, eps=1e-6)
        self.wq = nn.Linear(self.channels, self.channels, bias=False)
        self.wk = nn.Linear(self.channels, self.channels, bias=False)

    def _downsampled(self, x: Tensor) -> Tensor:
        """Attend, then average."""
        check_numbers(self, x)
        pixels = x.flatten(2).mT
        values: Tensor = self.norm_patches(pixels)
        query, keys = self.wq(pixels.mean(1, keepdim=True)), self.wk(values)
        weights: Tensor = (query @ keys.mT / keys.shape[2] ** 0.5).softmax(2)
        if self.gamma is None:
            return (weights @ values)[:, 0]
        above = values - values.amin((1, 2), keepdim=True) + 1e-6
        return (weights @ above.pow(self.gamma))[:, 0].pow(1 / self.gamma)

    def extra_repr(self) -> str:
        """Show the exponent."""
        return f"gamma={self.gamma}"
