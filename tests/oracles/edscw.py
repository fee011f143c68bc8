"""The mean with the weights exp(D), D the likeness to the window's mean: the sine of an angle."""

import numpy as np


def pool(window):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    return np.sum(_shares(window) * window)


def gradient(window):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan)}
    shares, mean = _shares(window), np.mean(window)
    pull = shares * np.array([np.sum(shares * (value - window)) for value in window])
    by_value = np.array([_slope(value, mean) for value in window])
    by_mean = np.array([_slope(mean, value) for value in window])
    return {"x": shares + pull * by_value + np.sum(pull * by_mean) / len(window)}


def _likeness(value, mean):
    """Give 2ab / (a^2 + b^2), the sine of twice the angle between (a, b) and an axis."""
    return 1.0 if value == mean == 0 else np.sin(2 * np.arctan2(abs(value), abs(mean)))


def _slope(value, mean):
    """Differentiate the likeness by the first: 2b (b^2 - a^2) / (a^2 + b^2)^2 for positive ones.

    Where it has no derivative: 0.
    """
    if value == 0 or mean == 0:
        return 0.0
    large = max(abs(value), abs(mean))
    a, b = value / large, mean / large
    return np.sign(a * b) * 2 * b * (b * b - a * a) / (a * a + b * b) ** 2 / large


def _shares(window):
    weights = np.exp([_likeness(value, np.mean(window)) for value in window])
    return weights / np.sum(weights)
