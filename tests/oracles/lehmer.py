"""The sum of x^(q+1) over the sum of x^q, of the positive values; without any, the mean."""

import numpy as np


def pool(window, q=1.0):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    weights = _weights(window, q)
    return np.sum(weights * window) / np.sum(weights)


def gradient(window, q=1.0):
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "q": np.nan}
    if len(window) == 0:
        return {"x": np.zeros(0), "q": 0.0}
    weights, mean = _weights(window, q), pool(window, q)
    if np.max(window) <= 0:
        return {"x": weights / np.sum(weights), "q": 0.0}
    there = window > 0
    values, total = window[there], np.sum(weights)
    slope = np.zeros(len(window))
    slope[there] = ((q + 1) * values**q - q * mean * values ** (q - 1)) / total
    shares, logs = weights[there] / total, np.log(values / np.max(window))
    return {"x": slope, "q": np.sum(shares * values * logs) - mean * np.sum(shares * logs)}


def _weights(window, q):
    positive = np.maximum(window, 0)
    return positive**q if np.max(window) > 0 else np.ones(len(window))
