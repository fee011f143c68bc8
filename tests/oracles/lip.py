"""The mean with the weights exp(logits), each weight from differences."""

import numpy as np


def pool(window, logits):
    return np.sum(_weights(logits) * window) if len(window) else np.nan


def gradient(window, logits):
    weights = _weights(logits)
    return {"x": weights, "logits": weights * (window - pool(window, logits))}


def _weights(logits):
    return np.array([1 / np.sum(np.exp(logits - logit)) for logit in logits])
