"""The largest sum of a value and its position's number; of several the first."""

import numpy as np


def pool(window, b):
    return np.max(window + b) if len(window) else -np.inf


def gradient(window, b):
    chosen = np.zeros(len(window))
    if len(window):
        moved = window + b
        missing = np.flatnonzero(np.isnan(moved))
        chosen[missing[-1] if len(missing) else np.argmax(moved)] = 1
    return {"x": chosen, "b": chosen}
