"""The mean with one weight per position, of the positions that are there."""

import numpy as np


def pool(window, weight):
    return np.sum(weight * window) / np.sum(weight)


def gradient(window, weight):
    return {
        "x": weight / np.sum(weight),
        "weight": (window - pool(window, weight)) / np.sum(weight),
    }


def weight(kernel):
    """Convolve (1, 1) with itself, per dimension."""
    taps = np.ones(())
    for size in kernel:
        row = np.ones(1)
        for _ in range(size - 1):
            row = np.convolve(row, [0.5, 0.5])
        taps = taps[..., None] * row
    return taps
