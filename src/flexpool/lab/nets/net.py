"""What a net is to the laboratory, and what all families of nets need to build one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from flexpool.errors import ShapeError
from flexpool.lab.downsampling import Downsampling
from flexpool.nn.generate import class_named

__all__ = ["ImageShape", "Layers", "Net", "global_average", "width"]

ImageShape = tuple[int, int, int]
Layers = dict[str, nn.Module]


@dataclass(frozen=True)
class Net:
    """One architecture.

    Attributes:
        name: the value of ``--net``.
        summary: what it is, in one phrase.
        layers: builds its layers from (image shape, downsampling, classes).
        downsampling: name of the downsampling it has unless another is asked for.
        image: channels, height and width of the images it was made for.
        initialisation: the rule its weights start by unless another is asked for.
        memory_format: how images lie in memory where it computes soonest on the CPU.
    """

    name: str
    summary: str
    layers: Callable[[ImageShape, Downsampling, int], Layers]
    downsampling: str
    image: ImageShape = (1, 28, 28)
    initialisation: str = "standard"
    memory_format: torch.memory_format = torch.channels_last


def global_average() -> nn.Module:
    """Build the layer that averages each map."""
    kind: Any = class_named("GlobalAvgPool2d")  # made when it is first asked for
    layer: nn.Module = kind()
    return layer


def width(features: Layers, image: ImageShape, least: str) -> int:
    """Count the numbers that come out of layers for one image.

    Args:
        features: the layers, in order.
        image: channels, height and width of an input.
        least: which images are large enough, for the message.

    Raises:
        ShapeError: if nothing comes out.

    Example:
        >>> width({"conv": nn.Conv2d(1, 6, 5)}, (1, 28, 28), "")
        3456
    """
    # Not as in training, where some layers need more than one image.
    model = nn.Sequential(OrderedDict(features)).eval()
    try:
        # Shapes without numbers: nothing has to be compiled for them.
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            found = model(torch.zeros(1, *image)).numel()
    except (RuntimeError, ShapeError):
        found = 0
    model.train()
    if found == 0:
        raise ShapeError(
            f"expected images large enough for this net, got {image[1]} x {image[2]} pixels. "
            f"Use images of at least {least}."
        )
    return int(found)
