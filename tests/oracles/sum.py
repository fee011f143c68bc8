"""The sum."""

import numpy as np


def pool(window):
    return np.add.reduce(window)


def gradient(window):
    return {"x": np.ones(len(window))}
