"""The mean plus a multiple of the standard deviation, whose square is eps at least."""

import numpy as np


def pool(window, eta=1.0, eps=1e-6):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    return np.mean(window) + eta * _deviation(window, eps)


def gradient(window, eta=1.0, eps=1e-6):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "eta": np.nan}
    deviation, slope = _deviation(window, eps), np.full(len(window), 1 / len(window))
    if np.var(window) > eps:
        slope += eta * (window - np.mean(window)) / (len(window) * deviation)
    return {"x": slope, "eta": deviation}


def _deviation(window, eps):
    return np.sqrt(max(np.var(window), eps))
