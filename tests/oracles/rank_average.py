"""The mean of the first few values of the sorted window."""

import numpy as np


def pool(window, t=2):
    if np.isnan(window).any() or len(window) == 0:
        return np.nan
    return np.mean(np.sort(window)[::-1][:t])


def gradient(window, t=2):
    if np.isnan(window).any():
        return {"x": np.full(len(window), np.nan)}
    slope = np.zeros(len(window))
    falling = sorted(range(len(window)), key=lambda i: (-window[i], i))
    slope[falling[:t]] = 1 / min(t, max(len(window), 1))
    return {"x": slope}
