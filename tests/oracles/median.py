"""The lower median: sort, take the element before the middle. Of NaN the first one."""

import numpy as np


def pool(window):
    return window[_place(window)] if len(window) else 0.0


def gradient(window):
    slope = np.zeros(len(window))
    if len(window):
        slope[_place(window)] = 1
    return {"x": slope}


def _place(window):
    missing = np.flatnonzero(np.isnan(window))
    if len(missing):
        return missing[0]
    falling = sorted(range(len(window)), key=lambda i: (-window[i], i))
    return falling[len(window) // 2]
