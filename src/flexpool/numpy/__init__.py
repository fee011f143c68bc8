"""Convolutional networks from zero: every layer forward and backward, in NumPy alone.

* layers: ``Conv2d``, ``Linear``, ``ReLU``, ``Sigmoid``, ``Tanh``, ``Flatten``, ``Dropout``,
  ``BatchNorm2d``, ``Sequential``; each has ``forward(x)`` and ``backward(grad_y)``;
* pooling: ``SoftPool2d(kernel_size, ...)``, ``AdaptiveSoftPool2d(output_size)``,
  ``GlobalSoftPool2d()`` and so on, for every operator of :mod:`flexpool.ops`, each also as ``1d``
  and ``3d``; ``Pool2d(operator, kernel_size, ...)`` and its kin for one of your own; and
  ``Pooling(name, ksize, stride, type)``, as teaching texts have it;
* losses and optimisers: ``CrossEntropyLoss``, ``MSELoss``, ``SGD``, ``Adam``;
* what a convolution is: ``corr2d``, ``conv2d``, ``im2col``, ``col2im``;
* :mod:`~flexpool.numpy.nets`, :mod:`~flexpool.numpy.initial`, :mod:`~flexpool.numpy.weights`.

The derivations are in docs/from_zero.md. A net, a loss, an optimiser, and one step:

Example:
    >>> import numpy as np
    >>> from flexpool.numpy import Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, SGD
    >>> net = Sequential(Conv2d(1, 2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(18, 10))
    >>> loss, optimiser = CrossEntropyLoss(), SGD(net, lr=0.1)
    >>> x, t = np.ones((4, 1, 8, 8), np.float32), np.array([1, 2, 3, 3])
    >>> before = loss(net(x), t)
    >>> _ = net.backward(loss.backward())
    >>> optimiser.step()
    >>> loss(net(x), t) < before
    True
"""

from __future__ import annotations

from typing import Any

from flexpool.numpy import initial, nets, weights
from flexpool.numpy.activations import ReLU, Sigmoid, Tanh
from flexpool.numpy.convolution import Conv2d
from flexpool.numpy.correlation import col2im, conv2d, corr2d, im2col
from flexpool.numpy.generate import class_named, names
from flexpool.numpy.layer import Layer, Sequential
from flexpool.numpy.linear import Flatten, Linear
from flexpool.numpy.losses import CrossEntropyLoss, MSELoss
from flexpool.numpy.optimisers import SGD, Adam
from flexpool.numpy.pooling import Pooling
from flexpool.numpy.regularisation import BatchNorm2d, Dropout
from flexpool.numpy.streams import TorchStream

__all__ = [
    "SGD",
    "Adam",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Layer",
    "Linear",
    "MSELoss",
    "Pooling",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "TorchStream",
    "col2im",
    "conv2d",
    "corr2d",
    "im2col",
    "initial",
    "nets",
    "weights",
    *names(),
]


def __getattr__(name: str) -> Any:
    """Make a pooling layer's class when it is first used."""
    try:
        return class_named(name)
    except KeyError:
        raise AttributeError(f"module 'flexpool.numpy' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    """List what there is, classes not yet made too."""
    return sorted({*globals(), *__all__})
