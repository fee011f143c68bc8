"""Linear layers, and what brings maps into the shape they take."""

from __future__ import annotations

from typing import Any

import numpy as np

from flexpool.errors import DtypeError, ShapeError, called, expected
from flexpool.numpy import initial
from flexpool.numpy.layer import Array, Layer
from flexpool.window.arguments import checked_flag, checked_ints

__all__ = ["Flatten", "Linear"]


class Linear(Layer):
    r"""Multiply by a matrix that is learned, and add a bias.

    $$ Y = X W^T + b, \qquad
       \frac{\partial L}{\partial X} = \frac{\partial L}{\partial Y}\, W, \qquad
       \frac{\partial L}{\partial W} = \Bigl(\frac{\partial L}{\partial Y}\Bigr)^T X, \qquad
       \frac{\partial L}{\partial b} = \sum_n \frac{\partial L}{\partial Y_n} $$

    Args:
        in_features: I, an int > 0.
        out_features: O, an int > 0.
        bias: whether there is a b. Default True.
        rng: what draws the initial values, as for :func:`flexpool.numpy.initial.standard`.

    Shape:
        x (N, I) -> y (N, O); weight (O, I), bias (O,).

    Raises:
        ArgumentError: if an argument lies outside its domain.
        ShapeError: in forward, if x has another shape.

    Example:
        >>> layer = Linear(2, 1)
        >>> layer.load_state_dict({"weight": [[3, 4]], "bias": [1]})
        >>> layer(np.array([[1.0, 2.0]])), layer.backward(np.array([[1.0]]))
        (array([[12.]]), array([[3., 4.]]))
        >>> layer.gradients["weight"], layer.gradients["bias"]
        (array([[1., 2.]]), array([1.]))
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rng: Any = None
    ) -> None:
        super().__init__()
        with called("Linear"):
            (self.in_features,) = checked_ints("in_features", in_features, 1)
            (self.out_features,) = checked_ints("out_features", out_features, 1)
            self.bias = checked_flag("bias", bias)
        self.reset_parameters(rng)

    def reset_parameters(self, rng: Any = None) -> None:
        """Draw weight and bias anew, as PyTorch does; see :func:`initial.standard`."""
        weight, bias = initial.standard((self.out_features, self.in_features), rng)
        self._parameters = {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def forward(self, x: Array) -> Array:
        """Compute y = x W^T + b.

        Shape:
            (N, I) -> (N, O).
        """
        self._check(x, "NI", I=self.in_features)
        y: Array = x @ self._parameters["weight"].T
        if self.bias:
            y += self._parameters["bias"]
        return self._remember(y, x)

    def backward(self, grad_y: Array) -> Array | None:
        """Compute the gradients of weight, bias and x.

        Shape:
            (N, O) -> (N, I).
        """
        (x,) = self._recall(grad_y)
        self._gradients = {"weight": grad_y.T @ x}
        if self.bias:
            self._gradients["bias"] = grad_y.sum(axis=0)
        if not self.wants_input_gradient:
            return None
        grad_x: Array = grad_y @ self._parameters["weight"]
        return grad_x

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias}"


class Flatten(Layer):
    """Write all numbers of an image in one row.

    Nothing is computed, so the gradient is the same numbers in the shape of x.

    Shape:
        x (N, ...) -> y (N, product of the others).

    Example:
        >>> layer = Flatten()
        >>> layer(np.zeros((5, 2, 3, 4))).shape, layer.backward(np.zeros((5, 24))).shape
        ((5, 24), (5, 2, 3, 4))
    """

    def forward(self, x: Array) -> Array:
        """Change the shape.

        Shape:
            (N, ...) -> (N, product of the others).
        """
        with called("Flatten"):
            if not isinstance(x, np.ndarray):
                raise DtypeError(expected("x", "to be a NumPy array", x))
            if x.ndim < 2:
                raise ShapeError(expected("x", "to have at least two axes", x.shape))
        return self._remember(x.reshape(len(x), int(np.prod(x.shape[1:]))), x.shape)

    def backward(self, grad_y: Array) -> Array:
        """Change the shape back.

        Shape:
            (N, product of the others) -> (N, ...).
        """
        (shape,) = self._recall(grad_y)
        return grad_y.reshape(shape)
