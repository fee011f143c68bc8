"""Windows and padding in plain loops, for the oracles of the blocks."""

import numpy as np


def each_window(x, kernel, stride, padding=0):
    """Yield (image, channel, row, column) and the values that are there, in row-major order."""
    n, c, h, w = x.shape
    rows = (h + 2 * padding - kernel) // stride + 1
    columns = (w + 2 * padding - kernel) // stride + 1
    for place in np.ndindex(n, c, rows, columns):
        top, left = place[2] * stride - padding, place[3] * stride - padding
        down, across = slice(max(top, 0), top + kernel), slice(max(left, 0), left + kernel)
        yield place, x[place[0], place[1], down, across]


def pool(x, reduce, kernel, stride, padding=0):
    """Reduce each window."""
    found = {place: reduce(values) for place, values in each_window(x, kernel, stride, padding)}
    y = np.empty(np.max(list(found), axis=0) + 1)
    for place, value in found.items():
        y[place] = value
    return y


def beyond(x, before, after, mode):
    """Pad the last two axes: mode in torch's words."""
    words = {"reflect": "reflect", "zeros": "constant", "replicate": "edge", "circular": "wrap"}
    return np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)), words[mode])


def convolve(x, weight, bias=None, stride=1):
    """Correlate (N, C, H, W) with (O, C, k, k), without padding."""
    k = weight.shape[-1]
    rows, columns = ((size - k) // stride + 1 for size in x.shape[2:])
    y = np.empty((x.shape[0], weight.shape[0], rows, columns))
    for n, o, u, v in np.ndindex(y.shape):
        here = x[n, :, u * stride : u * stride + k, v * stride : v * stride + k]
        y[n, o, u, v] = np.sum(here * weight[o])
    return y if bias is None else y + bias[:, None, None]


def normalise(x, weight, bias, axes):
    """Shift and scale to mean 0 and variance 1 over these axes, then by weight and bias."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    scale = weight[:, None, None] / np.sqrt(variance + 1e-5)
    return (x - mean) * scale + bias[:, None, None]


def softmax(x, axis):
    """Exponentials, divided by their sum."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x):
    """The logistic function."""
    return 1 / (1 + np.exp(-x))


def arrays(module):
    """Give a module's state as NumPy arrays."""
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}
