"""The mean with the weights 1 / (|x - m| + epsilon), m the mean: everything from distances to m."""

import numpy as np


def pool(window, epsilon=1e-6):
    if len(window) == 0 or not np.isfinite(window).all():
        return np.nan
    mean = np.mean(window)
    weights = 1 / (np.abs(window - mean) + epsilon)
    return mean + np.sum(weights * (window - mean)) / np.sum(weights)


def gradient(window, epsilon=1e-6):
    if len(window) == 0 or not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan)}
    distances = window - np.mean(window)
    weights = 1 / (np.abs(distances) + epsilon)
    total = np.sum(weights)
    off = distances - np.sum(weights * distances) / total  # x - y
    turned = -off / total * weights**2 * np.sign(distances)
    return {"x": weights / total + turned - np.mean(turned)}
