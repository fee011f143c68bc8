"""The largest product of a value and its position's weight; of several the first."""

import numpy as np


def pool(window, weight):
    return np.max(weight * window) if len(window) else -np.inf


def gradient(window, weight):
    chosen = np.zeros(len(window))
    if len(window):
        products = weight * window
        missing = np.flatnonzero(np.isnan(products))
        chosen[missing[-1] if len(missing) else np.argmax(products)] = 1
    return {"x": chosen * weight, "weight": chosen * window}
