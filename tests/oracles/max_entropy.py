"""The mean with the weights exp(beta x), each weight from differences; beta from 0.5 on."""

import numpy as np


def pool(window, beta=0.5):
    return np.sum(_weights(window, beta) * window) if len(window) else np.nan


def gradient(window, beta=0.5):
    weights = _weights(window, beta)
    # x_i - y as sum_j w_j (x_i - x_j): exact where all values are large.
    deviations = np.array([np.sum(weights * (value - window)) for value in window])
    return {"x": weights * (1 + beta * deviations), "beta": np.sum(weights * deviations**2)}


def _weights(window, beta):
    return np.array([1 / np.sum(np.exp(beta * (window - value))) for value in window])
