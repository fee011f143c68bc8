"""Layers that behave otherwise in training than in use: dropout and batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected
from flexpool.numpy.layer import Array, Layer
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["BatchNorm2d", "Dropout"]


class Dropout(Layer):
    r"""In training, set each number to 0 with probability p, so that no unit relies on another.

    $$ y = \frac{m\, x}{1 - p}, \quad m \in \{0, 1\}, \quad P(m = 0) = p, \qquad
       \frac{\partial L}{\partial x} = \frac{m}{1 - p}\, \frac{\partial L}{\partial y} $$

    Dividing by 1 - p keeps the mean; in use, y = x.

    Args:
        p: a number in [0, 1]. Default 0.5.

    Shape:
        any -> the same.

    Raises:
        ArgumentError: if p lies outside its domain.

    Note:
        ``rng`` draws m; ``reseed(seed)`` starts it anew.

    Example:
        >>> layer = Dropout(0.5)
        >>> layer.reseed(0)
        >>> sorted(set(layer(np.ones(100)).tolist())), layer.eval()(np.ones(2))
        ([0.0, 2.0], array([1., 1.]))

    Reference:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), Dropout: A simple way to
        prevent neural networks from overfitting, JMLR 15.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        number = isinstance(p, int | float) and not isinstance(p, bool)
        if not (number and 0 <= p <= 1):
            with called("Dropout"):
                raise ArgumentError(expected("p", "to be a number in [0, 1]", p))
        self.p = float(p)
        self.rng = np.random.default_rng()

    def forward(self, x: Array) -> Array:
        """Compute y.

        Shape:
            any -> the same.
        """
        if not isinstance(x, np.ndarray):
            with called("Dropout"):
                raise DtypeError(expected("x", "to be a NumPy array", x))
        if not self.training or self.p == 0:
            factor: Any = np.ones((), x.dtype)
        else:
            kept: Array = np.asarray(self.rng.random(x.shape) >= self.p)
            factor = kept.astype(x.dtype) / ((1 - self.p) or 1)
        return self._remember(x * factor, factor)

    def backward(self, grad_y: Array) -> Array:
        """Multiply the gradient by the same factors.

        Shape:
            any -> the same.
        """
        (factor,) = self._recall(grad_y)
        grad_x: Array = grad_y * factor
        return grad_x

    def extra_repr(self) -> str:
        """Show p."""
        return f"p={self.p:g}"


class BatchNorm2d(Layer):
    r"""Bring each channel to mean 0 and variance 1 over the batch, then scale and shift it.

    $$ \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad y = \gamma \hat x + \beta $$

    with $\mu$ and $\sigma^2$ of the m numbers that a channel has in this batch. They depend on x
    too, which gives the gradient its two other terms; with $g = \gamma\, \partial L/\partial y$,

    $$ \frac{\partial L}{\partial x} = \frac{1}{\sqrt{\sigma^2 + \epsilon}}
       \Bigl( g - \overline{g} - \hat x\, \overline{g \hat x} \Bigr), \qquad
       \frac{\partial L}{\partial \gamma} = \sum \hat x\, \frac{\partial L}{\partial y}, \qquad
       \frac{\partial L}{\partial \beta} = \sum \frac{\partial L}{\partial y} $$

    where a bar is the mean over the channel. In use, $\mu$ and $\sigma^2$ are the averages
    collected in training, which do not depend on x: only the first term is left.

    Args:
        channels: C, an int > 0.
        eps: $\epsilon$, a number > 0. Default 1e-5.
        momentum: share of the newest batch in the collected averages, a number in [0, 1]. Default
            0.1.
        affine: whether there are $\gamma$ (weight) and $\beta$ (bias). Default True.

    Shape:
        (N, C, H, W) -> the same; weight, bias, running_mean, running_var (C,).

    Raises:
        ArgumentError: if an argument lies outside its domain.
        ShapeError: in forward, if x has another shape, or in training a channel has one number.

    Note:
        As in PyTorch, the collected variance is the unbiased one, $\frac{m}{m-1}\sigma^2$.

    Example:
        >>> layer = BatchNorm2d(1, eps=1e-12)
        >>> layer(np.array([1.0, 3.0]).reshape(2, 1, 1, 1)).ravel()
        array([-1.,  1.])
        >>> layer.buffers["running_mean"]  # 0.9 * 0 + 0.1 * 2
        array([0.2], dtype=float32)

    Reference:
        Ioffe, Szegedy (2015), Batch normalization: Accelerating deep network training by reducing
        internal covariate shift, ICML, arXiv:1502.03167.
    """

    def __init__(
        self, channels: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        super().__init__()
        with called("BatchNorm2d"):
            (self.channels,) = checked_ints("channels", channels, 1)
            for name, value, most in (("eps", eps, np.inf), ("momentum", momentum, 1)):
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if not (number and 0 <= value <= most) or (name == "eps" and value == 0):
                    rule = "to be a number > 0" if name == "eps" else "to be a number in [0, 1]"
                    raise ArgumentError(expected(name, rule, value))
            self.affine = checked_flag("affine", affine)
        self.eps, self.momentum = float(eps), float(momentum)
        self.reset_parameters()

    def reset_parameters(self, rng: Any = None) -> None:
        """Set scale 1 and shift 0, and forget what was collected; nothing is drawn."""
        zeros, ones = np.zeros(self.channels, np.float32), np.ones(self.channels, np.float32)
        self._parameters = {"weight": ones, "bias": zeros} if self.affine else {}
        self._buffers = {
            "running_mean": zeros.copy(),
            "running_var": ones.copy(),
            "num_batches_tracked": np.zeros((), np.int64),
        }

    def forward(self, x: Array) -> Array:
        """Compute y.

        Shape:
            (N, C, H, W) -> the same.
        """
        self._check(x, "NCHW", C=self.channels)
        if self.training:
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
            self._collect(mean, variance, x.size // self.channels)
        else:
            mean, variance = self._buffers["running_mean"], self._buffers["running_var"]
        scale = 1 / np.sqrt(variance + self.eps)
        normal = (x - mean[:, None, None]) * scale[:, None, None]
        y = normal
        if self.affine:
            weight, bias = self._parameters["weight"], self._parameters["bias"]
            y = normal * weight[:, None, None] + bias[:, None, None]
        return self._remember(y, normal, scale, self.training)

    def backward(self, grad_y: Array) -> Array:
        """Compute the gradients of weight, bias and x.

        Shape:
            (N, C, H, W) -> the same.
        """
        normal, scale, trained = self._recall(grad_y)
        g = grad_y
        if self.affine:
            self._gradients = {
                "weight": (grad_y * normal).sum(axis=(0, 2, 3)),
                "bias": grad_y.sum(axis=(0, 2, 3)),
            }
            g = grad_y * self._parameters["weight"][:, None, None]
        if trained:
            pull = (g * normal).mean(axis=(0, 2, 3), keepdims=True)
            g = g - g.mean(axis=(0, 2, 3), keepdims=True) - normal * pull
        grad_x: Array = g * scale[:, None, None]
        return grad_x

    def _collect(self, mean: Array, variance: Array, count: int) -> None:
        if count < 2:
            with called("BatchNorm2d"):
                rule = "to have more than one number per channel in training"
                raise ShapeError(expected("x", rule, count, "Use a larger batch, or eval()."))
        new = {"running_mean": mean, "running_var": variance * (count / (count - 1))}
        for name, value in new.items():
            kept = self._buffers[name]
            kept *= 1 - self.momentum
            kept += self.momentum * value
        self._buffers["num_batches_tracked"] += 1

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"{self.channels}, eps={self.eps:g}, momentum={self.momentum:g}, affine={self.affine}"
        )
