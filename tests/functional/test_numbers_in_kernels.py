"""A simple number becomes part of the kernel; it must not cost what the formula guards against."""

import numpy as np
import pytest

import flexpool

SCALES = [1e-39, 1e-30, 1.0, 1e30]


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("scale", SCALES)
def test_a_norm_neither_overflows_nor_vanishes(p, scale):
    values = np.array([1.0, -1.0, 2.0, 1.0]) * scale
    expected = np.sum(np.abs(values / scale) ** p) ** (1 / p) * scale
    found = flexpool.lp_pool(values.astype(np.float32)[None, None], 4, p=p)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-6)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_and_an_array_of_it_give_the_same(p, dtype):
    x = np.random.default_rng(0).standard_normal((2, 3, 7)).astype(dtype)
    grad = np.ones((2, 3, 3), dtype)
    results = [
        (
            flexpool.lp_pool(x, 3, 2, p=given),
            flexpool.pool_backward(grad, x, "lp", 3, 2, p=given)["x"],
        )
        for given in (p, np.array(p, dtype))
    ]
    for number, array in zip(*results, strict=True):
        np.testing.assert_allclose(number, array, rtol=20 * np.finfo(dtype).eps, atol=1e-6)
