"""A share of the mean by likeness to the mean, and the rest of the mean with the weights exp(x)."""

import numpy as np


def pool(window, beta=0.5):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    return beta * _by_likeness(window)[0] + (1 - beta) * _by_size(window)[0]


def gradient(window, beta=0.5):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "beta": np.nan}
    (first, slope_1), (second, slope_2) = _by_likeness(window), _by_size(window)
    return {"x": beta * slope_1 + (1 - beta) * slope_2, "beta": first - second}


def _by_size(window):
    shares = np.array([1 / np.sum(np.exp(window - value)) for value in window])
    off = np.array([np.sum(shares * (value - window)) for value in window])
    return np.sum(shares * window), shares * (1 + off)


def _by_likeness(window):
    mean = np.mean(window)
    weights = np.exp([_likeness(value, mean) for value in window])
    shares = weights / np.sum(weights)
    pull = shares * np.array([np.sum(shares * (value - window)) for value in window])
    by_value = np.array([_slope(value, mean) for value in window])
    by_mean = np.array([_slope(mean, value) for value in window])
    slopes = shares + pull * by_value + np.sum(pull * by_mean) / len(window)
    return np.sum(shares * window), slopes


def _likeness(value, mean):
    return 1.0 if value == mean == 0 else np.sin(2 * np.arctan2(abs(value), abs(mean)))


def _slope(value, mean):
    if value == 0 or mean == 0:
        return 0.0
    large = max(abs(value), abs(mean))
    a, b = value / large, mean / large
    return np.sign(a * b) * 2 * b * (b * b - a * a) / (a * a + b * b) ** 2 / large
