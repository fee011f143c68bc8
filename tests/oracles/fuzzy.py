"""The mean with the memberships of the best of three fuzzy sets, read off lines between corners."""

import numpy as np


def pool(window, top=6.0):
    if len(window) == 0 or np.isnan(window).any():
        return np.nan
    weights, _ = _best(window, top)
    return np.sum(weights * window) / np.sum(weights)


def gradient(window, top=6.0):
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "top": np.nan}
    if len(window) == 0:
        return {"x": np.zeros(0), "top": 0.0}
    weights, slopes = _best(window, top)
    mean = np.sum(weights * window) / np.sum(weights)
    to_x = (weights + slopes * (window - mean)) / np.sum(weights)
    # Twice the values with twice the range give twice the result: Euler's theorem.
    return {"x": to_x, "top": (mean - np.sum(to_x * window)) / top}


def _best(window, top):
    """Give the memberships of the set with the largest sum, and their slopes."""
    quarter, half, most = top / 4, top / 2, 3 * top / 4
    sets = [
        (np.interp(window, [top / 6, half], [1, 0]), _on(window, top / 6, half, -3 / top)),
        (
            np.interp(window, [quarter, half, most], [0, 1, 0]),
            np.where(
                window <= half,
                _on(window, quarter, half, 1 / quarter),
                _on(window, half, np.nextafter(most, 0), -1 / quarter),
            ),
        ),
        (np.interp(window, [half, most], [0, 1]), _on(window, half, most, 1 / quarter)),
    ]
    return sets[int(np.argmax([np.sum(memberships) for memberships, _ in sets]))]


def _on(window, first, last, slope):
    return np.where((window >= first) & (window <= last), slope, 0)
