"""The average; torch's three divisors."""

import numpy as np


def pool(window, padded_count, count_include_pad=True, divisor_override=None):
    divisor = _divisor(len(window), padded_count, count_include_pad, divisor_override)
    return np.divide(np.sum(window), divisor)


def gradient(window, padded_count, count_include_pad=True, divisor_override=None):
    divisor = _divisor(len(window), padded_count, count_include_pad, divisor_override)
    return {"x": np.full(len(window), 1.0) / divisor}


def _divisor(count, padded_count, count_include_pad, divisor_override):
    if divisor_override is not None:
        return divisor_override
    return padded_count if count_include_pad else count
