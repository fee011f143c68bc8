"""The p-norm of the distances to a centre over the p-th root of their number: no scaling."""

import numpy as np

LEVEL = np.log(np.e - 1)  # of p = 2


def pool(window, rho=LEVEL, center=0.0):
    if len(window) == 0:
        return np.nan
    p = 1 + np.logaddexp(0, rho)
    return np.mean(np.abs(window - center) ** p) ** (1 / p)


def gradient(window, rho=LEVEL, center=0.0):
    if not np.isfinite(window).all():
        return {"x": np.full(len(window), np.nan), "rho": np.nan, "center": np.nan}
    if len(window) == 0:
        return {"x": np.zeros(0), "rho": np.nan, "center": 0.0}
    p, norm, distance = 1 + np.logaddexp(0, rho), pool(window, rho, center), window - center
    slope, to_p = np.zeros(len(window)), 0.0
    there = distance != 0
    if there.any():
        size = np.abs(distance[there])
        slope[there] = np.sign(distance[there]) * (size / norm) ** (p - 1) / len(window)
        share = (size / norm) ** p / len(window)
        to_p = norm / p * np.sum(share * np.log(size / norm))
    return {"x": slope, "rho": to_p / (1 + np.exp(-rho)), "center": -np.sum(slope)}
