r"""Initial values of weights.

A layer whose weights vary by $\sigma^2$ makes numbers with $n_{in}\,\sigma^2$ times the variance of
its input, and gradients with $n_{out}\,\sigma^2$ times that of its result, where $n_{in}$ and
$n_{out}$ count what one result adds up and what one input goes into (``fans``). Xavier's rule keeps
both near 1, Kaiming's keeps the first near 1 behind a ReLU, which lets half of the signal through.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flexpool.errors import ShapeError, called, expected
from flexpool.numpy.layer import Array

__all__ = [
    "fans",
    "kaiming_normal",
    "kaiming_uniform",
    "standard",
    "xavier_normal",
    "xavier_uniform",
]

Shape = tuple[int, ...]


def fans(shape: Shape) -> tuple[int, int]:
    """Count what one result adds up, and what one input goes into.

    Args:
        shape: of the weights: (out, in) or (out, in, KH, KW).

    Raises:
        ShapeError: if there are fewer than two axes.

    Example:
        >>> fans((16, 6, 5, 5))
        (150, 400)
    """
    if len(shape) < 2:
        with called("fans"):
            raise ShapeError(expected("shape", "to have at least two axes", shape))
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def xavier_uniform(shape: Shape, rng: Any = None, gain: float = 1.0) -> Array:
    r"""Draw uniformly from $[-a, a]$ with $a = g \sqrt{6 / (n_{in} + n_{out})}$.

    Args:
        shape: of the weights, as for :func:`fans`.
        rng: what draws, anything with ``uniform(low, high, size)``; None: fresh entropy.
        gain: g, a number > 0. Default 1.

    Returns:
        float32 array of that shape.

    Example:
        >>> bool(abs(xavier_uniform((3, 3))).max() <= 1)
        True

    Reference:
        Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural
        networks, AISTATS.
    """
    fan_in, fan_out = fans(shape)
    return _uniform(shape, rng, math.sqrt(3) * gain * math.sqrt(2 / (fan_in + fan_out)))


def xavier_normal(shape: Shape, rng: Any = None, gain: float = 1.0) -> Array:
    r"""Draw from a normal distribution with $\sigma = g \sqrt{2 / (n_{in} + n_{out})}$.

    Args:
        shape: of the weights, as for :func:`fans`.
        rng: what draws, anything with ``normal(mean, deviation, size)``; None: fresh entropy.
        gain: g, a number > 0. Default 1.

    Returns:
        float32 array of that shape.

    Example:
        >>> xavier_normal((3, 3)).shape
        (3, 3)

    Reference:
        Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural
        networks, AISTATS.
    """
    fan_in, fan_out = fans(shape)
    return _normal(shape, rng, gain * math.sqrt(2 / (fan_in + fan_out)))


def kaiming_uniform(shape: Shape, rng: Any = None, slope: float = 0.0) -> Array:
    r"""Draw uniformly from $[-a, a]$ with $a = \sqrt{6 / ((1 + s^2)\, n_{in})}$.

    Args:
        shape: of the weights, as for :func:`fans`.
        rng: what draws, anything with ``uniform(low, high, size)``; None: fresh entropy.
        slope: s, of the activation below 0; 0 for a ReLU. Default 0.

    Returns:
        float32 array of that shape.

    Example:
        >>> bool(abs(kaiming_uniform((4, 6))).max() <= 1)
        True

    Reference:
        He, Zhang, Ren, Sun (2015), Delving deep into rectifiers: Surpassing human-level performance
        on ImageNet classification, ICCV, arXiv:1502.01852.
    """
    deviation = math.sqrt(2 / (1 + slope**2)) / math.sqrt(fans(shape)[0])
    return _uniform(shape, rng, math.sqrt(3) * deviation)


def kaiming_normal(shape: Shape, rng: Any = None, slope: float = 0.0) -> Array:
    r"""Draw from a normal distribution with $\sigma = \sqrt{2 / ((1 + s^2)\, n_{in})}$.

    Args:
        shape: of the weights, as for :func:`fans`.
        rng: what draws, anything with ``normal(mean, deviation, size)``; None: fresh entropy.
        slope: s, of the activation below 0; 0 for a ReLU. Default 0.

    Returns:
        float32 array of that shape.

    Example:
        >>> kaiming_normal((4, 6)).shape
        (4, 6)

    Reference:
        He, Zhang, Ren, Sun (2015), Delving deep into rectifiers: Surpassing human-level performance
        on ImageNet classification, ICCV, arXiv:1502.01852.
    """
    return _normal(shape, rng, math.sqrt(2 / (1 + slope**2)) / math.sqrt(fans(shape)[0]))


def standard(weight_shape: Shape, rng: Any = None) -> tuple[Array, Array]:
    r"""Draw weights and biases as PyTorch does: uniformly from $[-a, a]$, $a = 1/\sqrt{n_{in}}$.

    Args:
        weight_shape: of the weights, as for :func:`fans`.
        rng: what draws, anything with ``uniform(low, high, size)``; None: fresh entropy.

    Returns:
        float32 weights, and one bias per output.

    Example:
        >>> weight, bias = standard((6, 1, 5, 5))
        >>> weight.shape, bias.shape, bool(abs(weight).max() <= 0.2)
        ((6, 1, 5, 5), (6,), True)
    """
    rng = np.random.default_rng() if rng is None else rng
    weight = kaiming_uniform(weight_shape, rng, slope=math.sqrt(5))  # 6 / (1 + 5) = 1
    bound = 1 / math.sqrt(fans(weight_shape)[0])
    return weight, _uniform(weight_shape[:1], rng, bound)


def _uniform(shape: Shape, rng: Any, bound: float) -> Array:
    rng = np.random.default_rng() if rng is None else rng
    drawn: Array = rng.uniform(-bound, bound, shape).astype(np.float32)
    return drawn


def _normal(shape: Shape, rng: Any, deviation: float) -> Array:
    rng = np.random.default_rng() if rng is None else rng
    drawn: Array = rng.normal(0.0, deviation, shape).astype(np.float32)
    return drawn
