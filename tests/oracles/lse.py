"""The logarithm of the mean exponential over r, from the largest one's value; at 0 the mean."""

import numpy as np


def pool(window, r=1.0):
    if len(window) == 0 or np.isnan(window).any():
        return np.nan
    if r == 0:
        return np.mean(window) if np.isfinite(window).all() else np.nan
    top = np.max(window) if r > 0 else np.min(window)
    return top + np.log1p(np.mean(np.expm1(r * (window - top)))) / r


def gradient(window, r=1.0):
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "r": np.nan}
    if len(window) == 0:
        return {"x": np.zeros(0), "r": 0.0}
    distance = window - (np.max(window) if r > 0 else np.min(window))
    weights = np.exp(r * distance) / np.sum(np.exp(r * distance))
    if r == 0:
        return {"x": weights, "r": np.var(window) / 2}
    excess = np.log1p(np.mean(np.expm1(r * distance))) / r
    return {"x": weights, "r": (np.sum(weights * distance) - excess) / r}
