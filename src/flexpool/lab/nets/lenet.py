"""LeNet-5 as it is taught today, with rectifiers or sigmoids, and its forms without pooling."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from flexpool.lab.downsampling import Downsampling
from flexpool.lab.nets.net import ImageShape, Layers, Net, width

__all__ = ["LENETS"]

_LEAST = "16 x 16, such as those of digits or mnist"


def _lenet5(channels: int, down: Downsampling) -> Layers:
    """Two convolutions, each followed by a downsampling of 2; no relu after the second."""
    return {
        "conv1": nn.Conv2d(channels, 6, 5, padding=2),
        "relu1": nn.ReLU(),
        "down1": down.layer(6, 2, 2),
        "relu2": nn.ReLU(),
        "conv2": nn.Conv2d(6, 16, 5),
        "down2": down.layer(16, 2, 2),
    }


def _lenet5_nopool(channels: int, down: Downsampling) -> Layers:
    """Four convolutions, of which the second and the fourth make the map smaller by 2."""
    stride = 2 if down.joins_convolution else 1
    layers: Layers = {
        "conv1": nn.Conv2d(channels, 6, 5, padding=2),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(6, 16, 5, stride=stride),
        "relu2": nn.ReLU(),
        "down2": down.layer(16, 2, 2),
        "conv3": nn.Conv2d(16, 16, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(16, 16, 3, stride=stride),
        "down4": down.layer(16, 2, 2),
    }
    if down.joins_convolution:
        del layers["down2"], layers["down4"]
    return layers


def _lenet5_sigmoid(channels: int, down: Downsampling) -> Layers:
    """Two convolutions, each followed by a sigmoid and a downsampling of 2."""
    return {
        "conv1": nn.Conv2d(channels, 6, 5, padding=2),
        "sigmoid1": nn.Sigmoid(),
        "down1": down.layer(6, 2, 2),
        "conv2": nn.Conv2d(6, 16, 5),
        "sigmoid2": nn.Sigmoid(),
        "down2": down.layer(16, 2, 2),
    }


def _with_classifier(
    features: Callable[[int, Downsampling], Layers],
    activation: type[nn.Module] = nn.ReLU,
    name: str = "relu",
) -> Callable[[ImageShape, Downsampling, int], Layers]:
    """Add LeNet-5's three linear layers, the first as wide as the features turn out to be."""

    def layers(image: ImageShape, down: Downsampling, classes: int) -> Layers:
        found = features(image[0], down)
        return {
            **found,
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(width(found, image, _LEAST), 120),
            f"{name}_fc1": activation(),
            "fc2": nn.Linear(120, 84),
            f"{name}_fc2": activation(),
            "fc3": nn.Linear(84, classes),
        }

    return layers


# Small maps are pooled sooner plane by plane; strided convolutions want their channels last.
LENETS = (
    Net(
        "lenet5",
        "LeNet-5: two convolutions, two poolings",
        _with_classifier(_lenet5),
        "max",
        memory_format=torch.contiguous_format,
    ),
    Net(
        "lenet5-nopool",
        "LeNet-5 with strides for poolings, and two convolutions more",
        _with_classifier(_lenet5_nopool),
        "strided",
    ),
    Net(
        "lenet5-control",
        "the layers of lenet5-nopool, with poolings for strides",
        _with_classifier(_lenet5_nopool),
        "max",
        memory_format=torch.contiguous_format,
    ),
    Net(
        "lenet5-sigmoid",
        "LeNet-5 with sigmoids and averages, weights by Xavier's rule",
        _with_classifier(_lenet5_sigmoid, nn.Sigmoid, "sigmoid"),
        "avg",
        initialisation="xavier-uniform",
        memory_format=torch.contiguous_format,
    ),
)
