"""The nets that can be built from zero, each with its downsampling as an argument.

Layers have the names they have in the laboratory's nets of PyTorch, so weights fit both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexpool.declare import OnInput, OnOutput, Random, camel_case, operators
from flexpool.errors import ArgumentError, ShapeError, expected, unknown
from flexpool.numpy import initial
from flexpool.numpy.activations import ReLU, Sigmoid
from flexpool.numpy.convolution import Conv2d
from flexpool.numpy.generate import class_named
from flexpool.numpy.layer import Array, Layer, Sequential
from flexpool.numpy.linear import Flatten, Linear

__all__ = [
    "DOWNSAMPLINGS",
    "NETS",
    "Net",
    "Slice2d",
    "build",
    "downsampling_named",
    "find",
    "multiply_adds",
    "parameters",
]

ImageShape = tuple[int, int, int]
Layers = dict[str, Layer]
Down = Callable[[int, int, int], Layer]


class Slice2d(Layer):
    """Keep the first pixel of each window and drop the others: downsampling that does nothing else.

    The gradient of a pixel that was kept is that of its result, the others' is 0.

    Args:
        kernel_size: height and width of the window, an int > 0; decides only how many windows fit.
        stride: distance of neighbouring windows, an int > 0.

    Shape:
        (N, C, H, W) -> (N, C, (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1).

    Example:
        >>> Slice2d(2, 2)(np.arange(16.0).reshape(1, 1, 4, 4))
        array([[[[ 0.,  2.],
                 [ 8., 10.]]]])
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Array) -> Array:
        """Take every ``stride``-th row and column.

        Shape:
            (N, C, H, W) -> (N, C, OH, OW).
        """
        self._check(x, "NCHW")
        return self._remember(x[self._kept(x.shape)].copy(), x.shape)

    def backward(self, grad_y: Array) -> Array:
        """Put each gradient where its pixel was.

        Shape:
            (N, C, OH, OW) -> (N, C, H, W).
        """
        (shape,) = self._recall(grad_y)
        grad_x = np.zeros(shape, grad_y.dtype)
        grad_x[self._kept(shape)] = grad_y
        return grad_x

    def _kept(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        ends = (max(0, size - self.kernel_size + 1) for size in shape[2:])
        return (..., *(slice(0, end, self.stride) for end in ends))

    def extra_repr(self) -> str:
        """Show the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


def _pooling(name: str) -> Down:
    return lambda channels, kernel, stride: class_named(f"{camel_case(name)}Pool2d")(kernel, stride)


def _needs_only_x(name: str) -> bool:
    return not any(
        isinstance(argument, OnInput | OnOutput)
        or (argument.required and not isinstance(argument, Random))
        for argument in operators()[name].arguments.values()
    )


DOWNSAMPLINGS: dict[str, Down] = {
    **{name: _pooling(name) for name in operators() if _needs_only_x(name)},
    "strided": lambda channels, kernel, stride: Conv2d(channels, channels, kernel, stride),
    "slice": lambda channels, kernel, stride: Slice2d(kernel, stride),
}


def downsampling_named(name: str) -> str:
    """Check the name of a downsampling.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest.
    """
    if name not in DOWNSAMPLINGS:
        raise unknown("downsampling", name, DOWNSAMPLINGS)
    return name


def _lenet5(channels: int, down: str) -> Layers:
    """Two convolutions, each followed by a downsampling of 2; no relu after the second."""
    return {
        "conv1": Conv2d(channels, 6, 5, padding=2),
        "relu1": ReLU(),
        "down1": DOWNSAMPLINGS[down](6, 2, 2),
        "relu2": ReLU(),
        "conv2": Conv2d(6, 16, 5),
        "down2": DOWNSAMPLINGS[down](16, 2, 2),
    }


def _lenet5_nopool(channels: int, down: str) -> Layers:
    """Four convolutions, of which the second and the fourth make the map smaller by 2."""
    stride = 2 if down == "strided" else 1
    layers: Layers = {
        "conv1": Conv2d(channels, 6, 5, padding=2),
        "relu1": ReLU(),
        "conv2": Conv2d(6, 16, 5, stride=stride),
        "relu2": ReLU(),
        "down2": DOWNSAMPLINGS[down](16, 2, 2),
        "conv3": Conv2d(16, 16, 3, padding=1),
        "relu3": ReLU(),
        "conv4": Conv2d(16, 16, 3, stride=stride),
        "down4": DOWNSAMPLINGS[down](16, 2, 2),
    }
    if down == "strided":  # the convolutions themselves have the strides
        del layers["down2"], layers["down4"]
    return layers


def _lenet5_sigmoid(channels: int, down: str) -> Layers:
    """LeNet-5 as it was taught: sigmoids, averages."""
    return {
        "conv1": Conv2d(channels, 6, 5, padding=2),
        "sigmoid1": Sigmoid(),
        "down1": DOWNSAMPLINGS[down](6, 2, 2),
        "conv2": Conv2d(6, 16, 5),
        "sigmoid2": Sigmoid(),
        "down2": DOWNSAMPLINGS[down](16, 2, 2),
    }


def _dense(features: Layers, activation: type[Layer], name: str, width: int, n: int) -> Layers:
    """Add LeNet-5's three linear layers."""
    return {
        **features,
        "flatten": Flatten(),
        "fc1": Linear(width, 120),
        f"{name}_fc1": activation(),
        "fc2": Linear(120, 84),
        f"{name}_fc2": activation(),
        "fc3": Linear(84, n),
    }


def _mlpconv(in_channels: int, out_channels: int, kernel: int, **window: Any) -> Sequential:
    """A convolution, and a small net across the channels of each pixel: two of 1 x 1."""
    return Sequential(
        {
            "conv": Conv2d(in_channels, out_channels, kernel, **window),
            "relu": ReLU(),
            "mix1": Conv2d(out_channels, out_channels, 1),
            "relu1": ReLU(),
            "mix2": Conv2d(out_channels, out_channels, 1),
            "relu2": ReLU(),
        }
    )


def _nin(channels: int, down: str, classes: int) -> Layers:
    """Network in Network: one map per class at the end, averaged; no linear layer."""
    return {
        "mlpconv1": _mlpconv(channels, 96, 11, stride=4, padding=2),
        "down1": DOWNSAMPLINGS[down](96, 3, 2),
        "mlpconv2": _mlpconv(96, 256, 5, padding=2),
        "down2": DOWNSAMPLINGS[down](256, 3, 2),
        "mlpconv3": _mlpconv(256, 384, 3, padding=1),
        "down3": DOWNSAMPLINGS[down](384, 3, 2),
        "mlpconv4": _mlpconv(384, classes, 3, padding=1),
        "global": class_named("GlobalAvgPool2d")(),
        "flatten": Flatten(),
    }


_RULES: dict[str, Callable[[tuple[int, ...], Any], Array] | None] = {
    "standard": None,  # what layers do by themselves
    "xavier-uniform": initial.xavier_uniform,
    "kaiming-uniform": initial.kaiming_uniform,
}


@dataclass(frozen=True)
class Net:
    """One architecture.

    Attributes:
        name: what it is called.
        summary: what it is, in one phrase.
        layers: builds its layers from (image shape, downsampling, classes).
        downsampling: the one it has unless another is asked for.
        initialisation: the rule its weights start by unless another is asked for.
    """

    name: str
    summary: str
    layers: Callable[[ImageShape, str, int], Layers]
    downsampling: str
    initialisation: str = "standard"


def _with_dense(
    features: Callable[[int, str], Layers], activation: type[Layer] = ReLU, name: str = "relu"
) -> Callable[[ImageShape, str, int], Layers]:
    def layers(image: ImageShape, down: str, classes: int) -> Layers:
        found = features(image[0], down)
        return _dense(found, activation, name, _width(Sequential(found), image), classes)

    return layers


NETS = {
    net.name: net
    for net in (
        Net("lenet5", "LeNet-5: two convolutions, two poolings", _with_dense(_lenet5), "max"),
        Net(
            "lenet5-nopool",
            "LeNet-5 with strides for poolings, and two convolutions more",
            _with_dense(_lenet5_nopool),
            "strided",
        ),
        Net(
            "lenet5-control",
            "the layers of lenet5-nopool, with poolings for strides",
            _with_dense(_lenet5_nopool),
            "max",
        ),
        Net(
            "lenet5-sigmoid",
            "LeNet-5 with sigmoids and averages, weights by Xavier's rule",
            _with_dense(_lenet5_sigmoid, Sigmoid, "sigmoid"),
            "avg",
            initialisation="xavier-uniform",
        ),
        Net(
            "nin",
            "Network in Network, for images of 224 x 224",
            lambda image, down, classes: _nin(image[0], down, classes),
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
    rng: Callable[[str], Any] | int = 0,
    initialisation: str = "own",
) -> Sequential:
    """Build a net with its initial weights.

    Args:
        name: one of ``NETS``.
        downsampling: one of ``DOWNSAMPLINGS``; None takes the net's own.
        image: channels, height and width of an input.
        classes: number of outputs, an int > 0.
        rng: a seed, an int >= 0; or a function from a layer's name to what draws its weights, as
            for :func:`flexpool.numpy.initial.standard`. Default 0.
        initialisation: the rule by which weights are drawn: "own", the net's, "standard",
            "xavier-uniform" or "kaiming-uniform". Default "own".

    Shape:
        of the net: (N, *image) -> (N, classes).

    Raises:
        ArgumentError: if the net, the downsampling or the rule is unknown.
        ShapeError: if the images are too small for the net.

    Example:
        >>> parameters(build("lenet5")), parameters(build("lenet5-nopool"))
        (61706, 66346)
    """
    net = find(name)
    down = downsampling_named(downsampling or net.downsampling)
    if initialisation not in ("own", *_RULES):
        raise unknown("initialisation", initialisation, ("own", *_RULES))
    rule = _RULES[net.initialisation if initialisation == "own" else initialisation]
    model = Sequential(net.layers(image, down, classes))
    if net.name == "nin":
        _width(model, image)
    streams = rng if callable(rng) else _streams(rng)
    for layer_name, layer in model.layers():
        stream = streams(layer_name)
        layer.reset_parameters(stream)
        if rule is not None and isinstance(layer, Conv2d | Linear):
            weight = layer.parameters["weight"]
            weight[...] = rule(weight.shape, stream)
    first = next(layer for _, layer in model.layers())
    first.wants_input_gradient = False  # its input is data
    return model


def _streams(seed: int) -> Callable[[str], Any]:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ArgumentError(expected("rng", "to be an int >= 0 or a function of a name", seed))
    return lambda name: np.random.default_rng([seed, *name.encode()])


def _width(features: Sequential, image: ImageShape) -> int:
    """Count the numbers that come out for one image."""
    try:
        shape = image
        for layer in _flat(features):
            shape = _shape_after(layer, shape)
    except (ShapeError, ValueError):
        shape = (0, 0, 0)
    width = int(np.prod(shape))
    if width == 0:
        raise ShapeError(
            f"expected images large enough for this net, got {image[1]} x {image[2]} pixels. "
            "Use images of at least 16 x 16 for the LeNets, of 63 x 63 for nin."
        )
    return width


def _flat(net: Sequential) -> Iterator[Layer]:
    yield from (layer for _, layer in net.layers())


def _shape_after(layer: Layer, shape: ImageShape) -> ImageShape:
    """Follow an image's shape through a layer without computing anything."""
    if isinstance(layer, Conv2d):
        height, width = layer.window.output_shape(shape[1:])
        return (layer.out_channels, height, width)
    if isinstance(layer, Slice2d):
        height, width = ((size - layer.kernel_size) // layer.stride + 1 for size in shape[1:])
        return (shape[0], height, width)
    window = getattr(layer, "window", None)
    if window is not None:
        height, width = window.output_shape(shape[1:])
        return (shape[0], height, width)
    return shape


def parameters(net: Layer) -> int:
    """Count the trained numbers of a net."""
    return sum(array.size for array in net.parameters.values())


def multiply_adds(net: Sequential, image: ImageShape) -> int:
    """Count the multiply-adds of one image's forward pass through convolutions and linear layers.

    Example:
        >>> multiply_adds(Sequential(Conv2d(1, 6, 5, padding=2)), (1, 28, 28))  # 6*28*28 of 5*5
        117600
    """
    total, shape = 0, image
    for layer in _flat(net):
        shape = _shape_after(layer, shape)
        if isinstance(layer, Conv2d):
            total += layer.parameters["weight"].size * shape[1] * shape[2]
        elif isinstance(layer, Linear):
            total += layer.parameters["weight"].size
    return total
