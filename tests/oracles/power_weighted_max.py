"""The largest power of what is positive of a value, raised a little; powers by logarithms."""

import numpy as np


def pool(window, exponent, epsilon=1e-4):
    return np.max(_powers(window, exponent, epsilon)) if len(window) else -np.inf


def gradient(window, exponent, epsilon=1e-4):
    if not np.isfinite(window).all():
        return dict.fromkeys(("x", "exponent"), np.full(len(window), np.nan))
    chosen = np.zeros(len(window))
    if len(window):
        chosen[np.argmax(_powers(window, exponent, epsilon))] = 1
    base, powers = np.maximum(window, 0) + epsilon, _powers(window, exponent, epsilon)
    slope = np.where(window >= 0, exponent * powers / base, 0)
    return {"x": chosen * slope, "exponent": chosen * powers * np.log(base)}


def _powers(window, exponent, epsilon):
    return np.exp(exponent * np.log(np.maximum(window, 0) + epsilon))
