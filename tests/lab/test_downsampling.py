"""Each downsampling against the same thing written by hand in NumPy."""

import numpy as np
import pytest
import torch

from flexpool.lab.downsampling import find

BY_HAND = {
    "max": lambda window: window.max(),
    "avg": lambda window: window.mean(),
    "sum": lambda window: window.sum(),
    "slice": lambda window: window[0, 0],
}


def by_hand(x, reduce, kernel, stride):
    n, c, h, w = x.shape
    rows, columns = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    y = np.empty((n, c, rows, columns))
    for i, j, u, v in np.ndindex(n, c, rows, columns):
        top, left = u * stride, v * stride
        y[i, j, u, v] = reduce(x[i, j, top : top + kernel, left : left + kernel])
    return y


@pytest.mark.parametrize("name", sorted(BY_HAND))
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 1), (3, 3), (1, 2)])
@pytest.mark.parametrize("size", [(4, 4), (5, 7), (3, 8)])
def test_against_the_window_by_hand(name, kernel, stride, size):
    x = np.random.default_rng(0).normal(size=(2, 3, *size))
    layer = find(name).layer(3, kernel, stride)
    expected = by_hand(x, BY_HAND[name], kernel, stride)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), expected, rtol=1e-12)


def test_strided_is_a_convolution_of_the_windows_own_size():
    layer = find("strided").layer(6, 2, 2)
    assert layer.weight.shape == (6, 6, 2, 2)
    assert layer(torch.zeros(1, 6, 28, 28)).shape == (1, 6, 14, 14)
