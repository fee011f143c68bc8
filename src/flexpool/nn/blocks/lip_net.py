"""Local importance-based pooling with the small network that says what is important."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool.errors import ArgumentError, called, expected
from flexpool.nn.block import block
from flexpool.nn.map_block import LIP, WINDOW, WindowBlock, checked_count
from flexpool.nn.norms import InstanceNorm2d
from flexpool.window.arguments import is_int

__all__ = ["LIPPool2d"]


def _sample() -> tuple[nn.Module, tuple[Tensor, ...]]:
    pool = LIPPool2d(2)
    for weight in pool.parameters():  # it starts as an average, which shows nothing
        nn.init.uniform_(weight, -0.5, 0.5)
    return pool, (torch.linspace(-1, 1, 144).view(2, 2, 6, 6).sin(),)


@block(
    paper="Gao, Wang, Wu (2019), LIP: Local importance-based pooling, ICCV, arXiv:1908.04156",
    family="softmax-weighted",
    name="lip_net",
    sample=_sample,
    layer=lambda channels, kernel_size, stride: LIPPool2d(channels, kernel_size, stride, 0),
)
class LIPPool2d(WindowBlock):
    r"""Average each window with the weights e^g, where a small network finds g in the input.

    $$ y = \frac{\sum_i e^{g_i}\, x_i}{\sum_i e^{g_i}}, \qquad g = a\, \sigma(G(x)) $$

    with $x_i$ the values of the window, $G$ convolutions with instance normalisation, the logistic
    function $\sigma$ and the gain $a$.

    Args:
        channels: of the input, an int > 0.
        kernel_size: elements per dimension, an int > 0 or a tuple of two. Default 3.
        stride: distance of neighbouring windows; None for kernel_size. Default 2.
        padding: absent elements around the input, at most half of kernel_size. Default 1.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        logits: "simplified" for one 3 x 3 convolution, "bottleneck" for 1 x 1, 3 x 3, 1 x 1, or a
            module of your own from the input to $g$. Default "simplified".
        hidden: channels inside of the bottleneck, an int > 0. Default 128.
        gain: $a$, a number > 0. Default 12.

    Shape:
        (N, channels, H, W) -> (N, channels, rows, columns), without N alike.

    Raises:
        ArgumentError: if an argument is outside its domain, hidden comes without "bottleneck", or
            gain or hidden with a module.
        ShapeError: if no window fits, or the channels differ.

    Note:
        The last convolution starts as zeros, so the pooling starts as the average of the elements
        that are there. A window's largest logit is subtracted, so the weights cannot overflow in
        half precision, where e^12 does. Maps of one pixel are normalised to 0 instead of refused.
        :class:`LipPool2d` is the pooling alone and takes logits with the input.

    Use:
        In the place of a maximum or a stride in residual nets, where the net should say what
        counts.

    Disagreement:
        The authors start the last convolution as zeros, as here; a port that does not starts from
        random weights.

    Example:
        >>> import torch
        >>> LIPPool2d(1, 2, 2, 0)(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])).item()  # at first
        3.0

    Reference:
        Gao, Wang, Wu (2019), LIP: Local importance-based pooling, ICCV, arXiv:1908.04156.
    """

    shown = ("channels", *WINDOW)

    def __init__(
        self,
        channels: int,
        kernel_size: Any = 3,
        stride: Any = 2,
        padding: Any = 1,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        logits: str | nn.Module = "simplified",
        hidden: int | None = None,
        gain: float | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        with called(type(self).__name__):
            self.channels = checked_count("channels", channels)
            self.logits = _logit_net(self.channels, logits, hidden, gain)

    def _downsampled(self, x: Tensor) -> Tensor:
        return self._pooled(x, LIP, logits=self.logits(x))


def _logit_net(
    channels: int, logits: str | nn.Module, hidden: int | None, gain: float | None
) -> nn.Module:
    own = isinstance(logits, nn.Module)
    if not own and logits not in ("simplified", "bottleneck"):
        rule = "to be 'simplified', 'bottleneck' or a module"
        raise ArgumentError(expected("logits", rule, logits))
    if hidden is not None and logits != "bottleneck":
        instead = "Write logits='bottleneck', or leave it out."
        raise ArgumentError(expected("hidden", "to be None without a bottleneck", hidden, instead))
    if gain is not None and own:
        instead = "Let the module multiply."
        raise ArgumentError(expected("gain", "to be None with a module", gain, instead))
    if isinstance(logits, nn.Module):
        return logits
    gate = _Gate(12.0 if gain is None else gain)
    if logits == "simplified":
        last = _LastConv2d(channels, channels, 3, padding=1, bias=False)
        layers: list[nn.Module] = [last]
    else:
        inner = 128 if hidden is None else checked_count("hidden", hidden)
        last = _LastConv2d(inner, channels, 1, bias=False)
        layers = [
            nn.Conv2d(channels, inner, 1, bias=False),
            InstanceNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            InstanceNorm2d(inner),
            nn.ReLU(),
            last,
        ]
    return nn.Sequential(*layers, InstanceNorm2d(channels), gate)


class _LastConv2d(nn.Conv2d):
    """Start as zeros, and again when a net is given new weights."""

    def reset_parameters(self) -> None:
        """Set the weights to 0."""
        nn.init.zeros_(self.weight)


class _Gate(nn.Module):
    """Bring logits between 0 and the gain."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        number = is_int(gain) or isinstance(gain, float)
        if not number or not 0 < gain < float("inf"):
            raise ArgumentError(expected("gain", "to be a number > 0", gain))
        self.gain = float(gain)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the logistic function, times the gain."""
        return self.gain * input.sigmoid()

    def extra_repr(self) -> str:
        """Show the gain."""
        return f"gain={self.gain:g}"
