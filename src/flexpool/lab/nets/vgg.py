"""A small VGG for images of 32 x 32: pairs of 3 x 3 convolutions, a downsampling after each."""

from __future__ import annotations

from torch import nn

from flexpool.lab.downsampling import Downsampling
from flexpool.lab.nets.net import ImageShape, Layers, Net, width

__all__ = ["VGG_SMALL"]

_CHANNELS = (128, 256, 512)


def _layers(image: ImageShape, down: Downsampling, classes: int) -> Layers:
    features: Layers = {}
    before, number = image[0], 0
    for stage, channels in enumerate(_CHANNELS, 1):
        for _ in range(2):
            number += 1
            # The batch normalisation has a bias of its own.
            features[f"conv{number}"] = nn.Conv2d(before, channels, 3, padding=1, bias=False)
            features[f"norm{number}"] = nn.BatchNorm2d(channels)
            features[f"relu{number}"] = nn.ReLU()
            before = channels
        features[f"down{stage}"] = down.layer(channels, 2, 2)
    inputs = width(features, image, "8 x 8")
    return {**features, "flatten": nn.Flatten(), "fc": nn.Linear(inputs, classes)}


VGG_SMALL = Net(
    "vgg-small",
    "VGG's plan with six convolutions and three poolings, normalised",
    _layers,
    "max",
    image=(3, 32, 32),
)
