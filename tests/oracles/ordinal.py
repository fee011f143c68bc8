"""One weight per rank, brought to a sum of 1 over the ranks there are, along the sorted window."""

import numpy as np


def pool(window, weight, form="projection"):
    if len(window) == 0 or np.isnan(window).any():
        return np.nan
    return np.dot(_shares(weight, form), np.sort(window)[::-1])


def gradient(window, weight, form="projection"):
    if len(window) == 0 or np.isnan(window).any():
        return {"x": np.full(len(window), np.nan), "weight": np.full(len(window), np.nan)}
    falling = sorted(range(len(window)), key=lambda i: (-window[i], i))
    slope, shares = np.zeros(len(window)), _shares(weight, form)
    slope[falling] = shares
    off = np.array([np.sum(shares * (window[i] - window[falling])) for i in falling])
    return {"x": slope, "weight": off * (shares if form == "softmax" else 1 / np.sum(weight))}


def _shares(weight, form):
    if form == "softmax":
        return np.array([1 / np.sum(np.exp(weight - each)) for each in weight])
    return weight / np.sum(weight)
