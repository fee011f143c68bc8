"""A coefficient times the average and a bias, in LeNet-5 inside a squashing function."""

import numpy as np


def pool(window, coefficient=1.0, bias=0.0, squash=None):
    inner = coefficient * np.mean(window) + bias if len(window) else np.nan
    return _squashed(inner, squash)[0]


def gradient(window, coefficient=1.0, bias=0.0, squash=None):
    if len(window) == 0:
        return {"x": np.zeros(0), "coefficient": np.nan, "bias": np.nan if squash else 1.0}
    mean = np.mean(window)
    _, slope = _squashed(coefficient * mean + bias, squash)
    share = np.full(len(window), slope * coefficient / len(window))
    return {"x": share, "coefficient": slope * mean, "bias": slope}


def _squashed(inner, squash):
    """Give the value and the slope there; both slopes from exponentials."""
    if squash is None:
        return inner, 1.0
    if squash == "sigmoid":
        return 1 / (1 + np.exp(-inner)), 1 / (2 + np.exp(inner) + np.exp(-inner))
    return 1.7159 * np.tanh(inner * 2 / 3), 1.7159 * 2 / 3 / np.cosh(inner * 2 / 3) ** 2
