"""Four weighted sums, each with the product of the gates on the way to it."""

import numpy as np

NAMES = *(f"leaf_{j}" for j in (1, 2, 3, 4)), *(f"gate_{k}" for k in (1, 2, 3))


def pool(window, leaf_1, leaf_2, leaf_3, leaf_4, gate_1, gate_2, gate_3):
    if not np.isfinite(window).all():
        return np.nan
    ways, _ = _ways(window, gate_1, gate_2, gate_3)
    return np.dot(ways, np.array([leaf_1, leaf_2, leaf_3, leaf_4]) @ window)


def gradient(window, leaf_1, leaf_2, leaf_3, leaf_4, gate_1, gate_2, gate_3):
    if not np.isfinite(window).all():
        return dict.fromkeys(("x", *NAMES), np.full(len(window), np.nan))
    leaves, gates = np.array([leaf_1, leaf_2, leaf_3, leaf_4]), np.array([gate_1, gate_2, gate_3])
    ways, slopes = _ways(window, *gates)
    steep = slopes @ (leaves @ window)  # by the sum inside each gate
    found = [*(way * window for way in ways), *(each * window for each in steep)]
    return {"x": ways @ leaves + steep @ gates, **dict(zip(NAMES, found, strict=True))}


def _ways(window, *gates):
    """Give each leaf's share, and what a step of each gate's sum does to the four."""
    p, q, r = (1 / (1 + np.exp(-np.dot(gate, window))) for gate in gates)
    ways = np.array([r * p, r * (1 - p), (1 - r) * q, (1 - r) * (1 - q)])
    by_p = p * (1 - p) * r * np.array([1, -1, 0, 0])
    by_q = q * (1 - q) * (1 - r) * np.array([0, 0, 1, -1])
    by_r = r * (1 - r) * np.array([p, 1 - p, -q, q - 1])
    return ways, np.array([by_p, by_q, by_r])
