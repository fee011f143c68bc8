"""Correlation, convolution, the matrix of windows, and the identities between them."""

import numpy as np
import pytest
import scipy.signal
import torch

import flexpool.numpy as zero
from flexpool.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
X, K = RNG.normal(size=(7, 9)), RNG.normal(size=(3, 2))
CASES = [(3, 1, 0, 1), (2, 2, 1, 1), ((3, 2), (1, 3), (2, 0), (2, 1)), (1, 1, 0, 1), (3, 2, 3, 2)]


def test_both_are_scipys():
    np.testing.assert_allclose(zero.corr2d(X, K), scipy.signal.correlate2d(X, K, "valid"))
    np.testing.assert_allclose(zero.conv2d(X, K), scipy.signal.convolve2d(X, K, "valid"))
    full = {"padding": (2, 1)}
    np.testing.assert_allclose(zero.conv2d(X, K, **full), scipy.signal.convolve2d(X, K))


def test_convolution_is_correlation_with_the_kernel_turned():
    np.testing.assert_array_equal(zero.conv2d(X, K), zero.corr2d(X, K[::-1, ::-1]))
    np.testing.assert_array_equal(zero.corr2d(X, K), zero.conv2d(X, K[::-1, ::-1]))
    symmetric = np.ones((3, 3))
    np.testing.assert_allclose(zero.conv2d(X, symmetric), zero.corr2d(X, symmetric), rtol=1e-12)


def test_convolution_commutes_and_correlation_does_not():
    full = zero.conv2d(X, K, padding=(2, 1))
    np.testing.assert_allclose(full, zero.conv2d(K, X, padding=(6, 8)), rtol=1e-10, atol=1e-13)
    assert not np.allclose(zero.corr2d(X, K, padding=(2, 1)), zero.corr2d(K, X, padding=(6, 8)))


@pytest.mark.parametrize("w", [5, 8, 13])
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("p", [0, 1, 4])
@pytest.mark.parametrize("s", [1, 2, 3])
def test_the_size_of_the_result(w, k, p, s):
    """N = (W - K + 2 P) / S + 1, rounded down."""
    n = (w - k + 2 * p) // s + 1
    assert zero.corr2d(np.ones((w, w)), np.ones((k, k)), s, p).shape == (n, n)
    assert zero.Conv2d(1, 1, k, s, p)(np.ones((1, 1, w, w))).shape == (1, 1, n, n)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), CASES)
def test_im2col_and_col2im_are_torchs_unfold_and_fold(kernel, stride, padding, dilation):
    x = RNG.normal(size=(2, 3, 8, 9))
    where = {"stride": stride, "padding": padding, "dilation": dilation}
    cols = zero.im2col(x, kernel, **where)
    want = torch.nn.functional.unfold(torch.from_numpy(x), kernel, **where)
    np.testing.assert_array_equal(cols, want)
    back = torch.nn.functional.fold(want, (8, 9), kernel, **where)
    np.testing.assert_allclose(zero.col2im(cols, (8, 9), kernel, **where), back, rtol=1e-12)


def test_col2im_is_the_transpose_of_im2col():
    """(im2col x) . c = x . (col2im c) for all x and c."""
    x, where = RNG.normal(size=(2, 3, 6, 5)), (3, 2, 1)
    cols = zero.im2col(x, *where)
    c = RNG.normal(size=cols.shape)
    assert (cols * c).sum() == pytest.approx((x * zero.col2im(c, (6, 5), *where)).sum())


def test_a_convolutional_layer_is_a_product_with_the_matrix_of_windows():
    layer, x = zero.Conv2d(3, 4, 3, 2, 1).astype(np.float64), RNG.normal(size=(2, 3, 6, 5))
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    y = weight.reshape(4, -1) @ zero.im2col(x, 3, 2, 1) + bias[:, None]
    np.testing.assert_allclose(layer(x), y.reshape(2, 4, 3, 3), rtol=1e-12, atol=1e-14)


def test_the_gradient_of_a_correlation_is_a_convolution():
    """With stride 1: dL/dx is dL/dy, padded all around, convolved with the same kernel."""
    layer = zero.Conv2d(1, 1, (3, 2), bias=False).astype(np.float64)
    grad = RNG.normal(size=(1, 1, 5, 8))
    layer(X[None, None])
    kernel = layer.parameters["weight"][0, 0]
    full = zero.conv2d(grad[0, 0], kernel, padding=(2, 1))
    np.testing.assert_allclose(layer.backward(grad)[0, 0], full, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.gradients["weight"][0, 0], zero.corr2d(X, grad[0, 0]))


def test_edges_are_found_and_the_kernel_that_finds_them_is_learned():
    image = np.ones((6, 8))
    image[:2] = image[3:, 2:6] = 0
    edges = zero.corr2d(image, np.array([[1.0, -1.0]]))
    assert set(np.unique(edges)) == {-1, 0, 1}
    np.testing.assert_array_equal(np.argwhere(edges), [[i, j] for i in (3, 4, 5) for j in (1, 5)])
    np.testing.assert_array_equal(
        np.unique(np.nonzero(zero.corr2d(image, np.array([[1.0], [-1.0]])))[0]), [1, 2]
    )
    layer = zero.Conv2d(1, 1, (1, 2), bias=False, rng=np.random.default_rng(0))
    loss, optimiser = zero.MSELoss("sum"), zero.SGD(layer, lr=0.02)
    for _ in range(20):
        loss(layer(image[None, None]), edges[None, None])
        layer.backward(loss.backward())
        optimiser.step()
    np.testing.assert_allclose(layer.parameters["weight"].ravel(), [1, -1], atol=0.1)


def test_any_leading_axes_and_whole_numbers():
    x = RNG.integers(0, 255, (2, 3, 5, 6)).astype(np.uint8)
    k = np.array([[1, -1]])
    y = zero.corr2d(x, k)
    assert y.shape == (2, 3, 5, 5)
    np.testing.assert_array_equal(y, x[..., :-1].astype(int) - x[..., 1:])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: zero.corr2d(X, K[0]),
            ShapeError,
            "corr2d: expected kernel to have the shape (KH, KW), got (2,).",
        ),
        (
            lambda: zero.conv2d(X, K, stride=0),
            ArgumentError,
            "conv2d: expected stride to be an int > 0 or a tuple of 2 such, got 0. "
            "Write stride=2 or stride=(2, 2).",
        ),
        (
            lambda: zero.im2col(X, 2),
            ShapeError,
            "im2col: expected x to have the shape (N, C, H, W), got (7, 9).",
        ),
        (
            lambda: zero.col2im(np.ones((1, 5, 4)), (3, 3), 2),
            ShapeError,
            "col2im: expected cols to have the shape (N, C * 4, 4), got (1, 5, 4).",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
