"""Losses: one number to make small, and where it grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, DtypeError, ShapeError, called, expected, unknown
from flexpool.numpy.layer import Array

__all__ = ["CrossEntropyLoss", "MSELoss"]

REDUCTIONS = ("mean", "sum")


class _Loss:
    """The base of the losses: ``loss(prediction, target)``, then ``loss.backward()``."""

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in REDUCTIONS:
            with called(type(self).__name__):
                raise unknown("reduction", str(reduction), REDUCTIONS)
        self.reduction = reduction
        self._gradient: Array | None = None

    def forward(self, prediction: Array, target: Array) -> float:
        """Compute the loss, and remember its gradient."""
        raise NotImplementedError

    def __call__(self, prediction: Array, target: Array) -> float:
        """Run ``forward``."""
        for name, array in (("prediction", prediction), ("target", target)):
            if not isinstance(array, np.ndarray):
                with called(type(self).__name__):
                    raise DtypeError(expected(name, "to be a NumPy array", array))
        return self.forward(prediction, target)

    def backward(self) -> Array:
        """Give the gradient of the last loss with respect to the prediction; of its shape.

        Raises:
            ArgumentError: if there was no loss before.
        """
        if self._gradient is None:
            with called(f"{type(self).__name__}.backward"):
                raise ArgumentError("there was no forward pass. Call the loss first.")
        return self._gradient

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"


class CrossEntropyLoss(_Loss):
    r"""The surprise at the right class, where $p = \mathrm{softmax}(z)$ was expected.

    $$ L = -\frac1N \sum_n \log p_{n t_n}, \quad p_{nk} = \frac{e^{z_{nk}}}{\sum_j e^{z_{nj}}},
       \qquad \frac{\partial L}{\partial z_{nk}} = \frac{p_{nk} - [k = t_n]}{N} $$

    Args:
        reduction: "mean" as above, or "sum" without the 1/N. Default "mean".

    Shape:
        prediction z (N, K) and target t (N,), ints in [0, K) -> a number; backward (N, K).

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.

    Note:
        The largest $z_n$ is subtracted first: that changes nothing, and $e^z$ cannot overflow.

    Example:
        >>> loss = CrossEntropyLoss()
        >>> z = np.log(np.array([[1.0, 3.0]]))  # probabilities 1/4 and 3/4
        >>> round(loss(z, np.array([0])), 6), loss.backward()
        (1.386294, array([[-0.75,  0.75]]))
    """

    def forward(self, prediction: Array, target: Array) -> float:
        """Compute the loss.

        Shape:
            (N, K) and (N,) -> a number.
        """
        self._check(prediction, target)
        z = prediction - prediction.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        rows = np.arange(len(z))
        share = 1 / len(z) if self.reduction == "mean" else 1.0
        gradient = np.exp(log_p)
        gradient[rows, target] -= 1
        gradient *= share
        self._gradient = gradient
        return float(-log_p[rows, target].sum() * share)

    def _check(self, prediction: Array, target: Array) -> None:
        with called("CrossEntropyLoss"):
            if prediction.ndim != 2 or 0 in prediction.shape:
                rule = "to have the shape (N, K) with N, K > 0"
                raise ShapeError(expected("prediction", rule, prediction.shape))
            if target.shape != prediction.shape[:1]:
                rule = f"to have the shape {prediction.shape[:1]}"
                raise ShapeError(expected("target", rule, target.shape))
            if target.dtype.kind not in "iu":
                raise DtypeError(expected("target", "to hold ints", str(target.dtype)))
            if target.min() < 0 or target.max() >= prediction.shape[1]:
                rule = f"to lie in [0, {prediction.shape[1]})"
                got: Any = (int(target.min()), int(target.max()))
                raise ArgumentError(expected("target", rule, got))


class MSELoss(_Loss):
    r"""The mean squared error.

    $$ L = \frac1n \sum_i (y_i - t_i)^2, \qquad
       \frac{\partial L}{\partial y_i} = \frac{2\,(y_i - t_i)}{n} $$

    Args:
        reduction: "mean" as above, or "sum" without the 1/n. Default "mean".

    Shape:
        prediction y and target t of any equal shape -> a number; backward of that shape.

    Raises:
        ArgumentError, ShapeError, DtypeError: if an argument does not fit.

    Example:
        >>> loss = MSELoss()
        >>> loss(np.array([1.0, 5.0]), np.array([0.0, 2.0])), loss.backward()  # (1 + 9) / 2
        (5.0, array([1., 3.]))
    """

    def forward(self, prediction: Array, target: Array) -> float:
        """Compute the loss.

        Shape:
            two of any equal shape -> a number.
        """
        if prediction.shape != target.shape or prediction.size == 0:
            with called("MSELoss"):
                rule = f"to have the prediction's shape {prediction.shape}, not empty"
                raise ShapeError(expected("target", rule, target.shape))
        difference = prediction - target
        share = 1 / difference.size if self.reduction == "mean" else 1.0
        self._gradient = difference * (2 * share)
        return float((difference * difference).sum() * share)
