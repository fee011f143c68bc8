"""The largest value less the smallest, from the sorted values. NaN makes all NaN."""

import numpy as np


def pool(window):
    if len(window) == 0:
        return -np.inf
    ordered = np.sort(window)
    return np.nan if np.isnan(window).any() else ordered[-1] - ordered[0]


def gradient(window):
    if np.isnan(window).any():
        return {"x": np.full(len(window), np.nan)}
    slope = np.zeros(len(window))
    if len(window):
        slope[int(np.argmax(window))] += 1
        slope[int(np.argmin(window))] -= 1
    return {"x": slope}
