"""The range, or where it is not above the average the middle of average and maximum."""

import numpy as np


def pool(window):
    if len(window) == 0 or np.isnan(window).any():
        return np.nan
    largest, smallest, mean = np.max(window), np.min(window), np.sum(window) / len(window)
    if largest - smallest > mean:
        return largest - smallest
    return 0.5 * largest + 0.5 * mean


def gradient(window):
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan)}
    slope = np.zeros(len(window))
    if len(window):
        largest, smallest = int(np.argmax(window)), int(np.argmin(window))
        if window[largest] - window[smallest] > np.sum(window) / len(window):
            slope[largest] += 1
            slope[smallest] -= 1
        else:
            slope += 0.5 / len(window)
            slope[largest] += 0.5
    return {"x": slope}
