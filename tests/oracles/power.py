"""The power mean with the exponent (1 - alpha) / 2; where that is 0, the geometric mean."""

import numpy as np


def pool(window, alpha=-1.0, eps=1e-6):
    if len(window) == 0 or not np.isfinite(window).all():
        return _of_an_infinity(window, alpha, eps)
    raised, p = np.maximum(window, eps), (1 - alpha) / 2
    if abs(p) > 0.1:
        return np.mean(raised**p) ** (1 / p)
    logs = np.log(raised)
    return np.exp(np.log1p(np.mean(np.expm1(p * logs))) / p if p else np.mean(logs))


def gradient(window, alpha=-1.0, eps=1e-6):
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "alpha": np.nan}
    if len(window) == 0:
        return {"x": np.zeros(0), "alpha": 0.0}
    raised, p, mean = np.maximum(window, eps), (1 - alpha) / 2, pool(window, alpha, eps)
    slope = np.where(window >= eps, (mean / raised) ** (1 - p) / len(window), 0)
    logs = np.log(raised)
    if p:
        share = raised**p / np.sum(raised**p)
        to_p = mean / p * (np.sum(share * logs) - np.log(mean))
    else:
        to_p = mean * np.var(logs) / 2
    return {"x": slope, "alpha": -to_p / 2}


def _of_an_infinity(window, alpha, eps):
    """Only -inf, which counts as eps, and with p < 0 an infinity's share of 0 leave a result."""
    if len(window) == 0 or np.isnan(window).any():
        return np.nan
    if np.max(window) < np.inf:
        return pool(np.maximum(window, eps), alpha, eps)
    if alpha <= 1:
        return np.nan
    p = (1 - alpha) / 2
    return np.mean(np.maximum(window, eps) ** p) ** (1 / p)
