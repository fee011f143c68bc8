"""Small nets that pool as well-known ones do, with random weights, for tests and the benchmark."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def block(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution, a normalisation and a rectifier."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def vgg(width: int) -> nn.Module:
    """Pairs of convolutions, each followed by a maximum of 2 x 2; average of 7 x 7 parts."""
    layers: list[nn.Module] = []
    channels = 3
    for stage in range(4):
        outputs = width * 2 ** min(stage, 2)
        layers += [block(channels, outputs), block(outputs, outputs), nn.MaxPool2d(2, 2)]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.LazyLinear(10))


class Residual(nn.Module):
    """Two convolutions and the way around them, which is averaged where they have a stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            block(inputs, outputs, 3, stride), block(outputs, outputs)
        )
        average = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
        around = [average, nn.Conv2d(inputs, outputs, 1)]
        self.around = nn.Sequential(*around) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convolutions(x) + self.around(x))


def resnet(width: int) -> nn.Module:
    """A stem that ends in a maximum of 3 x 3 at stride 2 with padding, then residual blocks."""
    return nn.Sequential(
        block(3, width, 7, 2),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        Residual(width, width, 1),
        Residual(width, 2 * width, 2),
        Residual(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )


class Inception(nn.Module):
    """Four branches, one a maximum at stride 1, beside each other."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.one = block(inputs, width, 1)
        self.three = nn.Sequential(block(inputs, width, 1), block(width, width))
        self.pooled = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), block(inputs, width, 1)
        )
        self.after_average = block(inputs, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        average = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)  # called as a function
        branches = [self.one(x), self.three(x), self.pooled(x), self.after_average(average)]
        return torch.cat(branches, 1)


def inception(width: int) -> nn.Module:
    """Maxima in ceil mode, and branches that pool at stride 1."""
    return nn.Sequential(
        block(3, width, 7, 2),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Inception(width, width),
        Inception(4 * width, width),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        Inception(4 * width, width),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )


class Dense(nn.Module):
    """Layers that each see all before them; the end is pooled by functions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 2 * width, 7, 2), nn.MaxPool2d(3, 2, 1))
        channels = 2 * width
        self.stages = nn.ModuleList()
        for _ in range(3):
            layers = [block(channels + i * width, width) for i in range(3)]
            channels += 3 * width
            pooled = nn.Sequential(block(channels, channels // 2, 1), nn.AvgPool2d(2, 2))
            self.stages.append(nn.ModuleList([*layers, pooled]))
            channels //= 2
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for *layers, pooled in self.stages:
            for layer in layers:
                x = torch.cat([x, layer(x)], 1)
            x = pooled(x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


NETS: Mapping[str, Callable[[int], nn.Module]] = {
    "vgg": vgg,
    "resnet": resnet,
    "inception": inception,
    "densenet": Dense,
}


def made(name: str, width: int, size: int) -> nn.Module:
    """Make a net for images of a size, with the same weights each time."""
    torch.manual_seed(0)
    net = NETS[name](width)
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, size, size))  # gives lazy layers their sizes
    return net.train()
