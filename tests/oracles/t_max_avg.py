"""The largest value where the k largest, or it alone, reach the threshold; else their mean."""

import numpy as np


def pool(window, k=2, threshold=0.5, reached_by="all"):
    if len(window) == 0 or np.isnan(window).any():
        return np.nan
    falling = window[_order(window, k)]
    return falling[0] if _reached(falling, threshold, reached_by) else np.mean(falling)


def gradient(window, k=2, threshold=0.5, reached_by="all"):
    if np.isnan(window).any():
        return {"x": np.full(len(window), np.nan), "threshold": 0.0}
    slope, order = np.zeros(len(window)), _order(window, k)
    if len(window):
        only_first = _reached(window[order], threshold, reached_by)
        slope[order[0] if only_first else order] = 1 if only_first else 1 / len(order)
    return {"x": slope, "threshold": 0.0}


def _order(window, k):
    return np.argsort(-window, kind="stable")[:k]


def _reached(falling, threshold, reached_by):
    return bool(np.all(falling >= threshold) if reached_by == "all" else falling[0] >= threshold)
