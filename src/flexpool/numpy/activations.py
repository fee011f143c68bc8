r"""Activations: a function of each number by itself.

So is the gradient: $\partial L/\partial x = f'(x)\, \partial L/\partial y$.
"""

from __future__ import annotations

import numpy as np

from flexpool.errors import DtypeError, called, expected
from flexpool.numpy.layer import Array, Layer

__all__ = ["ReLU", "Sigmoid", "Tanh"]


class _Activation(Layer):
    def _checked(self, x: Array) -> Array:
        if not isinstance(x, np.ndarray):
            with called(type(self).__name__):
                raise DtypeError(expected("x", "to be a NumPy array", x))
        return x


class ReLU(_Activation):
    r"""Set negative numbers to 0.

    $$ y = \max(x, 0), \qquad
       \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot [x > 0] $$

    Shape:
        any -> the same.

    Example:
        >>> layer = ReLU()
        >>> layer(np.array([-1.0, 0.0, 2.0])), layer.backward(np.array([5.0, 5.0, 5.0]))
        (array([0., 0., 2.]), array([0., 0., 5.]))
    """

    def forward(self, x: Array) -> Array:
        """Compute y.

        Shape:
            any -> the same.
        """
        y = np.maximum(self._checked(x), 0)
        return self._remember(y, y)

    def backward(self, grad_y: Array) -> Array:
        """Pass the gradient on where x was positive; at 0, where there is a kink, it is 0.

        Shape:
            any -> the same.
        """
        (y,) = self._recall(grad_y)
        grad_x: Array = grad_y * (y > 0)
        return grad_x


class Sigmoid(_Activation):
    r"""Squeeze numbers into (0, 1).

    $$ y = \frac{1}{1 + e^{-x}}, \qquad
       \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot y\,(1 - y) $$

    Shape:
        any -> the same.

    Note:
        Computed as $\tfrac12 + \tfrac12 \tanh(x/2)$, which never overflows.

    Example:
        >>> layer = Sigmoid()
        >>> layer(np.array([0.0])), layer.backward(np.array([1.0]))
        (array([0.5]), array([0.25]))
    """

    def forward(self, x: Array) -> Array:
        """Compute y.

        Shape:
            any -> the same.
        """
        y = 0.5 + 0.5 * np.tanh(0.5 * self._checked(x))
        return self._remember(y, y)

    def backward(self, grad_y: Array) -> Array:
        """Multiply the gradient by y (1 - y).

        Shape:
            any -> the same.
        """
        (y,) = self._recall(grad_y)
        grad_x: Array = grad_y * y * (1 - y)
        return grad_x


class Tanh(_Activation):
    r"""Squeeze numbers into (-1, 1).

    $$ y = \tanh x, \qquad
       \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot (1 - y^2) $$

    Shape:
        any -> the same.

    Example:
        >>> layer = Tanh()
        >>> layer(np.array([0.0])), layer.backward(np.array([1.0]))
        (array([0.]), array([1.]))
    """

    def forward(self, x: Array) -> Array:
        """Compute y.

        Shape:
            any -> the same.
        """
        y = np.tanh(self._checked(x))
        return self._remember(y, y)

    def backward(self, grad_y: Array) -> Array:
        """Multiply the gradient by 1 - y^2.

        Shape:
            any -> the same.
        """
        (y,) = self._recall(grad_y)
        grad_x: Array = grad_y * (1 - y * y)
        return grad_x
