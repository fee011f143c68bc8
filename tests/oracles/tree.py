"""Two weighted sums, mixed by a logistic function of a third."""

import numpy as np


def pool(window, leaf_1, leaf_2, gate):
    if not np.isfinite(window).all():
        return np.nan
    p = _share(window, gate)
    return p * np.dot(leaf_1, window) + (1 - p) * np.dot(leaf_2, window)


def gradient(window, leaf_1, leaf_2, gate):
    if not np.isfinite(window).all():
        return dict.fromkeys(("x", "leaf_1", "leaf_2", "gate"), np.full(len(window), np.nan))
    p = _share(window, gate)
    steep = p * (1 - p) * np.dot(leaf_1 - leaf_2, window)
    return {
        "x": steep * gate + p * leaf_1 + (1 - p) * leaf_2,
        "leaf_1": p * window,
        "leaf_2": (1 - p) * window,
        "gate": steep * window,
    }


def _share(window, gate):
    return 1 / (1 + np.exp(-np.dot(gate, window)))
