"""Striving for simplicity: the net C of the paper, and its three forms.

They are two nets with two downsamplings each: one with two convolutions before each downsampling,
one with three. A pooling is either there, or the convolution before it has its stride.

Reference:
    Springenberg, Dosovitskiy, Brox, Riedmiller (2015), Striving for simplicity: The all
    convolutional net, ICLR workshop, arXiv:1412.6806, tables 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from flexpool.lab.downsampling import Downsampling
from flexpool.lab.nets.net import ImageShape, Layers, Net, global_average, width

__all__ = ["ALL_CNNS"]


def _with(convolutions: int) -> Callable[[ImageShape, Downsampling, int], Layers]:
    """Build nets with so many convolutions before each downsampling."""

    def layers(image: ImageShape, down: Downsampling, classes: int) -> Layers:
        features: Layers = {"drop0": nn.Dropout(0.2)}
        before, number = image[0], 0

        def convolve(channels: int, kernel_size: int, stride: int = 1, padding: int = 0) -> None:
            nonlocal before, number
            number += 1
            features[f"conv{number}"] = nn.Conv2d(before, channels, kernel_size, stride, padding)
            features[f"relu{number}"] = nn.ReLU()
            before = channels

        for stage, channels in enumerate((96, 192), 1):
            for _ in range(convolutions - 1):
                convolve(channels, 3, padding=1)
            convolve(channels, 3, padding=1, stride=2 if down.joins_convolution else 1)
            if not down.joins_convolution:
                # Windows of 3 with stride 2 end one pixel beyond an even map: halves need that.
                features[f"edge{stage}"] = nn.ReplicationPad2d((0, 1, 0, 1))
                features[f"down{stage}"] = down.layer(channels, 3, 2)
            features[f"drop{stage}"] = nn.Dropout(0.5)
        convolve(192, 3)
        convolve(192, 1)
        convolve(classes, 1)
        width(features, image, "12 x 12")
        return {**features, "global": global_average(), "flatten": nn.Flatten()}

    return layers


ALL_CNNS = tuple(
    Net(name, summary, _with(convolutions), downsampling, image=(3, 32, 32))
    for name, summary, convolutions, downsampling in (
        ("cnn-c", "net C of 'Striving for simplicity': nine layers, two poolings", 2, "max"),
        ("strided-cnn-c", "cnn-c, with strides for poolings", 2, "strided"),
        ("convpool-cnn-c", "cnn-c, with a convolution more before each pooling", 3, "max"),
        (
            "allcnn-c",
            "the all convolutional net: strides for convpool-cnn-c's poolings",
            3,
            "strided",
        ),
    )
)
