"""LeNet-5 as it was published in 1998: partial connections, trainable subsampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexpool.lab.downsampling import Downsampling
from flexpool.lab.nets.net import ImageShape, Layers, Net, width
from flexpool.lab.nets.partial import PartialConv2d
from flexpool.nn.generate import class_named

__all__ = ["C3", "LENET_1998", "ScaledTanh"]

# Which of the six maps of S2 each of the sixteen maps of C3 sees. There are 60 connections, so
# 60 * 25 + 16 = 1516 parameters. With all of the 96 there would be 96 * 25 + 16 = 2416; the 2496
# that is sometimes printed for them is a mistake.
C3 = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


class ScaledTanh(nn.Module):
    r"""Squash every number: $f(a) = 1.7159 \tanh(2a/3)$, so that f(1) is 1 and f(-1) is -1.

    Shape:
        any, kept.

    Example:
        >>> ScaledTanh()(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 1.0000])

    Reference:
        LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document
        recognition, Proceedings of the IEEE 86(11), appendix A.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Squash.

        Shape:
            any, kept.
        """
        return 1.7159 * torch.tanh(2 / 3 * x)


def _down(down: Downsampling, channels: int) -> nn.Module:
    """Build a downsampling; the original has a coefficient and a bias per map, and squashes."""
    if down.name == "subsampling":
        kind: Any = class_named("SubsamplingPool2d")
        original: nn.Module = kind(2, 2, channels=channels, squash="tanh")
        return original
    return down.layer(channels, 2, 2)


def _layers(image: ImageShape, down: Downsampling, classes: int) -> Layers:
    features: Layers = {
        "conv1": nn.Conv2d(image[0], 6, 5, padding=2),  # the paper's images have 32 x 32 pixels
        "squash1": ScaledTanh(),
        "down2": _down(down, 6),
        "conv3": PartialConv2d(6, C3, 5),
        "squash3": ScaledTanh(),
        "down4": _down(down, 16),
    }
    return {
        **features,
        "flatten": nn.Flatten(),
        "fc5": nn.Linear(width(features, image, "16 x 16"), 120),
        "squash5": ScaledTanh(),
        "fc6": nn.Linear(120, 84),
        "squash6": ScaledTanh(),
        "output": nn.Linear(84, classes),
    }


LENET_1998 = Net(
    "lenet5-1998",
    "LeNet-5 as published: partial connections, trainable subsampling; a linear output",
    _layers,
    "subsampling",
)
