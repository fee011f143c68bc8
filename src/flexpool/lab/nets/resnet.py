"""ResNet-20 for images of 32 x 32, with shortcuts that have no parameters."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from flexpool.lab import downsampling as downsamplings
from flexpool.lab.downsampling import Downsampling
from flexpool.lab.nets.net import ImageShape, Layers, Net, global_average, width

__all__ = ["RESNET20", "MoreChannels", "Residual"]

_CHANNELS = (16, 32, 64)
_BLOCKS = 3


class MoreChannels(nn.Module):
    """Append channels of zeros.

    Args:
        more: how many, an int >= 0.

    Shape:
        (N, C, H, W) -> (N, C + more, H, W).
    """

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        """Append.

        Shape:
            (N, C, H, W) -> (N, C + more, H, W).
        """
        return functional.pad(x, (0, 0, 0, 0, 0, self.more))

    def extra_repr(self) -> str:
        """Show how many."""
        return f"more={self.more}"


class Residual(nn.Module):
    """Add what two convolutions make of the input to the input itself.

    Args:
        main: the convolutions and what lies between them.
        shortcut: what the input itself passes through, so that both have one shape.

    Shape:
        (N, C, H, W) -> what ``main`` and ``shortcut`` give.
    """

    def __init__(self, main: nn.Sequential, shortcut: nn.Sequential) -> None:
        super().__init__()
        self.main, self.shortcut, self.relu = main, shortcut, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add, and keep what is positive.

        Shape:
            (N, C, H, W) -> what ``main`` and ``shortcut`` give.
        """
        summed: Tensor = self.relu(self.main(x) + self.shortcut(x))
        return summed


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)


def _block(before: int, after: int, down: Downsampling | None) -> Residual:
    """Build a block; one with a downsampling has it between its convolutions and in the shortcut.

    A downsampling that joins a convolution becomes the first one's stride; the shortcut then keeps
    every other pixel.
    """
    main: Layers = {
        "conv1": _convolution(before, after),
        "norm1": nn.BatchNorm2d(after),
        "relu1": nn.ReLU(),
        "conv2": _convolution(after, after),
        "norm2": nn.BatchNorm2d(after),
    }
    shortcut: Layers = {}
    if down is not None and down.joins_convolution:
        main["conv1"] = _convolution(before, after, stride=2)
        shortcut["down"] = downsamplings.find("slice").layer(before, 1, 2)
    elif down is not None:
        last = {name: main.pop(name) for name in ("conv2", "norm2")}
        main |= {"down": down.layer(after, 2, 2), **last}
        shortcut["down"] = down.layer(before, 2, 2)
    if after > before:
        shortcut["channels"] = MoreChannels(after - before)
    return Residual(nn.Sequential(OrderedDict(main)), nn.Sequential(OrderedDict(shortcut)))


def _layers(image: ImageShape, down: Downsampling, classes: int) -> Layers:
    features: Layers = {
        "conv": _convolution(image[0], _CHANNELS[0]),
        "norm": nn.BatchNorm2d(_CHANNELS[0]),
        "relu": nn.ReLU(),
    }
    before = _CHANNELS[0]
    for stage, channels in enumerate(_CHANNELS, 1):
        for number in range(1, _BLOCKS + 1):
            smaller = down if stage > 1 and number == 1 else None
            features[f"block{stage}_{number}"] = _block(before, channels, smaller)
            before = channels
    width(features, image, "4 x 4")
    return {
        **features,
        "global": global_average(),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(before, classes),
    }


RESNET20 = Net(
    "resnet20",
    "ResNet with 20 layers, its shortcuts without parameters",
    _layers,
    "strided",
    image=(3, 32, 32),
)
