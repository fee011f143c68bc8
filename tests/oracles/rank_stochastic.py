"""A rank drawn, the first up to which shares add up to more than u; in evaluation their mean."""

import numpy as np


def pool(window, u=None, a=0.5, training=True):
    if len(window) == 0:
        return 0.0 if training else np.nan
    if np.isnan(window).any():
        return np.nan
    falling, shares = np.sort(window)[::-1], _shares(len(window), a)
    return falling[_drawn(shares, u)] if training else np.dot(shares, falling)


def gradient(window, u=None, a=0.5, training=True):
    n, slope = len(window), np.zeros(len(window))
    if n == 0 or np.isnan(window).any():
        return {"x": np.full(n, np.nan), "a": np.nan if n and not training else 0.0}
    falling, shares = sorted(range(n), key=lambda i: (-window[i], i)), _shares(n, a)
    if training:
        slope[falling[_drawn(shares, u)]] = 1
        return {"x": slope, "a": 0.0}
    slope[falling] = shares
    ranks, q = np.arange(n), 1 - a
    fall = np.where(ranks > 0, ranks * q ** np.maximum(ranks - 1, 0), 0) / np.sum(q**ranks)
    return {"x": slope, "a": -np.dot(fall, window[falling] - np.dot(shares, window[falling]))}


def _shares(n, a):
    weights = (1 - a) ** np.arange(n)
    return weights / np.sum(weights)


def _drawn(shares, u):
    total = 0.0
    for rank, share in enumerate(shares):
        total += share
        if total > u:
            return rank
    return len(shares) - 1
