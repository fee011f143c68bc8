"""The mean with the weights exp(x), each weight from differences: 1 / sum_j exp(x_j - x_i)."""

import numpy as np


def pool(window, gradient="exact"):
    return np.sum(_weights(window) * window) if len(window) else np.nan


def gradient(window, gradient="exact"):
    moving = _deviations(window) if gradient == "exact" else 0
    return {"x": _weights(window) * (1 + moving)}


def _deviations(window):
    """Give x_i - y as sum_j w_j (x_i - x_j): exact where all values are large."""
    return np.array([np.sum(_weights(window) * (value - window)) for value in window])


def _weights(window):
    return np.array([1 / np.sum(np.exp(window - value)) for value in window])
