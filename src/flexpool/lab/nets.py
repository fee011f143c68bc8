"""The networks of the laboratory, each with its downsampling as an argument."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from flexpool.errors import ShapeError, unknown
from flexpool.lab import downsampling as downsamplings
from flexpool.lab.downsampling import Downsampling
from flexpool.lab.seeds import derive

__all__ = ["NETS", "Net", "build", "find", "multiply_adds", "parameters"]

ImageShape = tuple[int, int, int]
Layers = dict[str, nn.Module]


def _lenet5_features(channels: int, down: Downsampling) -> Layers:
    """Two convolutions, each followed by a downsampling of 2; no relu after the second."""
    return {
        "conv1": nn.Conv2d(channels, 6, 5, padding=2),
        "relu1": nn.ReLU(),
        "down1": down.layer(6, 2, 2),
        "relu2": nn.ReLU(),
        "conv2": nn.Conv2d(6, 16, 5),
        "down2": down.layer(16, 2, 2),
    }


def _lenet5_nopool_features(channels: int, down: Downsampling) -> Layers:
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


def _with_classifier(features: Layers, image: ImageShape, classes: int) -> nn.Sequential:
    """Add LeNet-5's three linear layers, the first as wide as the features turn out to be."""
    try:
        # Shapes without numbers: nothing has to be compiled for them.
        with FakeTensorMode(allow_non_fake_inputs=True):
            width = nn.Sequential(OrderedDict(features))(torch.zeros(1, *image)).numel()
    except RuntimeError:
        width = 0
    if width == 0:
        raise ShapeError(
            f"expected images large enough for this net, got {image[1]} x {image[2]} pixels. "
            "Use images of at least 16 x 16, such as those of digits or mnist."
        )
    return nn.Sequential(
        OrderedDict(
            **features,
            flatten=nn.Flatten(),
            fc1=nn.Linear(width, 120),
            relu_fc1=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu_fc2=nn.ReLU(),
            fc3=nn.Linear(84, classes),
        )
    )


@dataclass(frozen=True)
class Net:
    """One architecture.

    Attributes:
        name: the value of ``--net``.
        summary: what it is, in one phrase.
        features: builds the layers before the classifier from (channels, downsampling).
        downsampling: name of the downsampling it has unless another is asked for.
    """

    name: str
    summary: str
    features: Callable[[int, Downsampling], Layers]
    downsampling: str


NETS = {
    net.name: net
    for net in (
        Net("lenet5", "LeNet-5: two convolutions, two poolings", _lenet5_features, "max"),
        Net(
            "lenet5-nopool",
            "LeNet-5 with strides for poolings, and two convolutions more",
            _lenet5_nopool_features,
            "strided",
        ),
        Net(
            "lenet5-control",
            "the layers of lenet5-nopool, with poolings for strides",
            _lenet5_nopool_features,
            "max",
        ),
    )
}


def find(name: str) -> Net:
    """Look a net up by name.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest.
    """
    if name not in NETS:
        raise unknown("net", name, NETS)
    return NETS[name]


def build(
    name: str,
    downsampling: str | None = None,
    *,
    image: ImageShape = (1, 28, 28),
    classes: int = 10,
    seed: int = 0,
) -> nn.Sequential:
    """Build a net with its initial weights.

    Each layer draws its weights (by torch's default rule for it) from a stream named by the seed
    and the layer's name alone: layers that two nets share by name and shape start equal.

    Args:
        name: one of ``NETS``.
        downsampling: one of ``DOWNSAMPLINGS``; None takes the net's own.
        image: channels, height and width of an input.
        classes: number of outputs.
        seed: the repetition's seed, an int >= 0.

    Raises:
        ArgumentError: if the net or the downsampling is unknown.
        ShapeError: if the images are too small for the net.

    Example:
        >>> parameters(build("lenet5")), parameters(build("lenet5-nopool"))
        (61706, 66346)
    """
    net = find(name)
    down = downsamplings.find(downsampling or net.downsampling)
    with torch.random.fork_rng(devices=[]):
        model = _with_classifier(net.features(image[0], down), image, classes)
        for layer_name, layer in model.named_modules():
            if hasattr(layer, "reset_parameters"):
                torch.manual_seed(derive(seed, "weights", layer_name))
                layer.reset_parameters()
    return model


def parameters(model: nn.Module) -> int:
    """Count the trainable numbers of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def multiply_adds(model: nn.Module, image: ImageShape) -> int:
    """Count the multiply-adds of one image's forward pass through convolutions and linear layers.

    The pass is one of evaluation, so that it leaves no trace in the model and draws nothing.

    Example:
        >>> multiply_adds(nn.Conv2d(1, 6, 5, padding=2), (1, 28, 28))  # 6*28*28 sums of 5*5 terms
        117600
    """
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *image))
    model.train(training)
    return int(counter.get_total_flops()) // 2
