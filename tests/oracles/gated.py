"""Maximum and average, mixed by a logistic function of a weighted sum."""

import numpy as np


def pool(window, gate):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    p = _share(window, gate)
    return p * np.max(window) + (1 - p) * np.mean(window)


def gradient(window, gate):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "gate": np.full(len(window), np.nan)}
    p = _share(window, gate)
    steep = p * (1 - p) * (np.max(window) - np.mean(window))
    slope = steep * gate + (1 - p) / len(window)
    slope[np.argmax(window)] += p
    return {"x": slope, "gate": steep * window}


def _share(window, gate):
    return 1 / (1 + np.exp(-np.dot(gate, window)))
