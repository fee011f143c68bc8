"""The p-norm, written down as it is: no scaling."""

import numpy as np


def pool(window, p=2.0):
    return np.sum(np.abs(window) ** p) ** (1 / p)


def gradient(window, p=2.0):
    norm = pool(window, p)
    slope = np.zeros(len(window))
    there = window != 0
    slope[there] = np.sign(window[there]) * (np.abs(window[there]) / norm) ** (p - 1)
    share = np.abs(window[there]) ** p / norm**p
    logs = np.log(np.abs(window[there]))
    to_p = norm / p * (np.sum(share * logs) - np.log(norm)) if there.any() else 0.0
    return {"x": slope, "p": to_p}
