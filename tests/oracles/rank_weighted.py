"""Weights that fall geometrically along the sorted window; their sum in closed form."""

import numpy as np


def pool(window, a=0.5, literal=False):
    if np.isnan(window).any():
        return np.nan
    if len(window) == 0:
        return 0.0 if literal else np.nan
    return np.dot(_shares(len(window), a, literal), np.sort(window)[::-1])


def gradient(window, a=0.5, literal=False):
    n = len(window)
    if n == 0 or np.isnan(window).any():
        return {"x": np.full(n, np.nan), "a": np.nan if n else 0.0}
    falling = sorted(range(n), key=lambda i: (-window[i], i))
    slope, ranks, q = np.zeros(n), np.arange(n), 1 - a
    slope[falling] = _shares(n, a, literal)
    fall = np.where(ranks > 0, ranks * q ** np.maximum(ranks - 1, 0), 0)
    by_a = q**ranks - a * fall  # of a q^r
    if not literal:
        by_a = (by_a - slope[falling] * n * q ** (n - 1)) / (1 - q**n)  # the sum is 1 - q^n
    return {"x": slope, "a": np.dot(by_a, window[falling])}


def _shares(n, a, literal):
    weights = a * (1 - a) ** np.arange(n)
    return weights if literal else weights / (1 - (1 - a) ** n)
