"""Network in Network: a small net across the channels of each pixel, and no linear layer."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from flexpool.lab.downsampling import Downsampling
from flexpool.lab.nets.net import ImageShape, Layers, Net, global_average, width

__all__ = ["NIN"]


def _mlpconv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """A convolution, then two of 1 x 1: a net of three layers for each pixel."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
            relu=nn.ReLU(),
            mix1=nn.Conv2d(out_channels, out_channels, 1),
            relu1=nn.ReLU(),
            mix2=nn.Conv2d(out_channels, out_channels, 1),
            relu2=nn.ReLU(),
        )
    )


def _layers(image: ImageShape, down: Downsampling, classes: int) -> Layers:
    features: Layers = {
        "mlpconv1": _mlpconv(image[0], 96, 11, stride=4, padding=2),
        "down1": down.layer(96, 3, 2),
        "mlpconv2": _mlpconv(96, 256, 5, padding=2),
        "down2": down.layer(256, 3, 2),
        "mlpconv3": _mlpconv(256, 384, 3, padding=1),
        "down3": down.layer(384, 3, 2),
        "mlpconv4": _mlpconv(384, classes, 3, padding=1),  # a map for each class
    }
    width(features, image, "63 x 63; a recipe's resize enlarges smaller ones")
    return {**features, "global": global_average(), "flatten": nn.Flatten()}


NIN = Net(
    "nin",
    "Network in Network: a map for each class at the end, averaged",
    _layers,
    "max",
    image=(1, 224, 224),
)
