"""The nets by name. To add one, write a file like `vgg.py` and name it here."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from flexpool.errors import unknown
from flexpool.lab import downsampling as downsamplings
from flexpool.lab.nets.allcnn import ALL_CNNS
from flexpool.lab.nets.initial import start
from flexpool.lab.nets.lenet import LENETS
from flexpool.lab.nets.lenet1998 import LENET_1998
from flexpool.lab.nets.net import ImageShape, Net
from flexpool.lab.nets.nin import NIN
from flexpool.lab.nets.resnet import RESNET20
from flexpool.lab.nets.vgg import VGG_SMALL
from flexpool.lab.options import INITIALISATIONS
from flexpool.lab.seeds import derive

__all__ = ["NETS", "build", "find"]

NETS = {net.name: net for net in (*LENETS, LENET_1998, NIN, VGG_SMALL, RESNET20, *ALL_CNNS)}


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
    image: ImageShape | None = None,
    classes: int = 10,
    seed: int = 0,
    initialisation: str = "own",
) -> nn.Sequential:
    """Build a net with its initial weights.

    Each layer draws its weights from a stream named by the seed and the layer's name alone: layers
    that two nets share by name and shape start equal.

    Args:
        name: one of ``NETS``.
        downsampling: one of ``DOWNSAMPLINGS``; None takes the net's own.
        image: channels, height and width of an input; None takes what the net was made for.
        classes: number of outputs.
        seed: the repetition's seed, an int >= 0.
        initialisation: the rule by which weights are drawn, one of ``INITIALISATIONS``.

    Raises:
        ArgumentError: if the net, the downsampling or the rule is unknown.
        ShapeError: if the images are too small for the net.

    Example:
        >>> from flexpool.lab.nets import parameters
        >>> parameters(build("lenet5")), parameters(build("lenet5-nopool"))
        (61706, 66346)
    """
    net = find(name)
    down = downsamplings.find(downsampling or net.downsampling)
    if initialisation not in INITIALISATIONS:
        raise unknown("initialisation", initialisation, INITIALISATIONS)
    rule = net.initialisation if initialisation == "own" else initialisation
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(OrderedDict(net.layers(image or net.image, down, classes)))
        for layer_name, layer in model.named_modules():
            if hasattr(layer, "reset_parameters"):
                torch.manual_seed(derive(seed, "weights", layer_name))
                start(layer, rule)
    return model
