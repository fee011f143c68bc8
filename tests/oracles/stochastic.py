"""A value drawn in proportion to the positive values: the first whose running share exceeds u."""

import numpy as np


def pool(window, u=None, training=True):
    if len(window) == 0:
        return 0.0 if training else np.nan
    if np.isnan(window).any():
        return np.nan
    if training:
        return window[_drawn(window, u)]
    return np.sum(_shares(window) * window)


def gradient(window, u=None, training=True):
    if len(window) == 0:
        return {"x": np.zeros(0)}
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan)}
    if training:
        slope = np.zeros(len(window))
        slope[_drawn(window, u)] = 1
        return {"x": slope}
    positive = np.maximum(window, 0)
    if np.sum(positive) == 0:
        return {"x": np.full(len(window), 1 / len(window))}
    slope = (2 * window - pool(window, u, training)) / np.sum(positive)
    return {"x": np.where(window > 0, slope, 0)}


def _shares(window):
    positive = np.maximum(window, 0)
    total = np.sum(positive)
    return positive / total if total > 0 else np.full(len(window), 1 / len(window))


def _drawn(window, u):
    if np.isinf(window).any() and np.max(window) > 0:
        return int(np.argmax(window))
    return int(np.argmax(np.cumsum(_shares(window)) > u))
