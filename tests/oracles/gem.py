"""The generalised mean, written down as it is: no scaling."""

import numpy as np


def pool(window, p=3.0, eps=1e-6):
    return np.mean(np.maximum(window, eps) ** p) ** (1 / p) if len(window) else np.nan


def gradient(window, p=3.0, eps=1e-6):
    if len(window) == 0:
        return {"x": np.zeros(0), "p": np.nan}
    raised, mean = np.maximum(window, eps), pool(window, p, eps)
    slope = np.where(window >= eps, (raised / mean) ** (p - 1) / len(window), 0)
    share = raised**p / np.sum(raised**p)
    to_p = mean / p * (np.sum(share * np.log(raised)) - np.log(mean))
    return {"x": slope if np.isfinite(window).all() else slope * np.nan, "p": to_p}
