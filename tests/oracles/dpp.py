"""The mean with the weights (d / mean d)^gamma + kappa, d the squared deviation from the mean."""

import numpy as np


def pool(window, lambda_=0.0, alpha=0.0, symmetric=True, epsilon=1e-3):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    h = window - np.mean(window)
    _, _, weights = _parts(h, lambda_, alpha, symmetric, epsilon)
    mean = np.mean(window)
    return mean + np.sum(weights * (window - mean)) / np.sum(weights)


def gradient(window, lambda_=0.0, alpha=0.0, symmetric=True, epsilon=1e-3):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "lambda_": np.nan, "alpha": 0.0}
    h = window - np.mean(window)
    h, z, weights = _parts(h, lambda_, alpha, symmetric, epsilon)
    total, mean, gamma = np.sum(weights), np.mean(window), np.exp(lambda_) / 2
    off = (window - mean) - np.sum(weights * (window - mean)) / total  # x - y
    a = off / total
    b = a * gamma * z ** (gamma - 1)
    c = (b - np.mean(b * z)) / np.mean(h * h + epsilon)
    turned = 2 * c * h
    return {
        "x": weights / total + turned - np.mean(turned),
        "lambda_": gamma * np.sum(a * z**gamma * np.log(z)),
        "alpha": np.exp(alpha) * np.sum(a),
    }


def _parts(h, lambda_, alpha, symmetric, epsilon):
    """Give the deviations that count, their squares over the mean square, and the weights."""
    h = h if symmetric else np.maximum(h, 0)
    z = (h * h + epsilon) / np.mean(h * h + epsilon)
    return h, z, z ** (np.exp(lambda_) / 2) + np.exp(alpha)
