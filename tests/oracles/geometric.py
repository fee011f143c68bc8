"""The n-th root of the product, taken value by value so that nothing overflows."""

import numpy as np


def pool(window, eps=1e-6):
    if len(window) == 0:
        return np.nan
    return np.prod(np.maximum(window, eps) ** (1 / len(window)))


def gradient(window, eps=1e-6):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan)}
    share = pool(window, eps) / len(window) / np.maximum(window, eps)
    return {"x": np.where(window >= eps, share, 0)}
