"""Windows of several sizes."""

import math

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import SPPFPool2d, SPPPool2d, StripPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 7, 6))


def bins(x, level, reduce):
    """Bin i of n goes from floor(i size / n) to ceil((i + 1) size / n)."""
    y = np.empty((*x.shape[:2], level, level))
    for u, v in np.ndindex(level, level):
        rows, columns = (
            slice(at * size // level, math.ceil((at + 1) * size / level))
            for at, size in zip((u, v), x.shape[2:], strict=True)
        )
        y[:, :, u, v] = reduce(x[:, :, rows, columns], (2, 3))
    return y.reshape(len(x), -1)


@pytest.mark.parametrize(("name", "reduce"), [("max", np.max), ("avg", np.mean)])
@pytest.mark.parametrize("levels", [(1, 2, 4), (3,), (2, 1)])
def test_pyramid_by_hand(name, reduce, levels):
    wanted = np.concatenate([bins(X, level, reduce) for level in levels], 1)
    y = SPPPool2d(levels, name)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


def test_the_length_does_not_depend_on_the_map():
    pool = SPPPool2d()
    for size in (4, 5, 13):
        assert pool(torch.zeros(2, 3, size, size + 1)).shape == (2, 3 * 21)
    assert pool(torch.zeros(3, 5, 5)).shape == (63,)


def test_cascade_has_the_maxima_of_5_9_and_13():
    wanted = [X, *(by_hand.pool(X, np.max, size, 1, size // 2) for size in (5, 9, 13))]
    y = SPPFPool2d()(torch.from_numpy(X)).numpy()
    np.testing.assert_array_equal(y, np.concatenate(wanted, 1))


def test_strips_by_hand():
    rows, columns = StripPool2d()(torch.from_numpy(X))
    np.testing.assert_allclose(rows, X.mean(3, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(columns, X.mean(2, keepdims=True), rtol=1e-12)
    rows, columns = StripPool2d("max")(torch.from_numpy(X[0]))
    np.testing.assert_array_equal(rows, X[0].max(2, keepdims=True))
    np.testing.assert_array_equal(columns, X[0].max(1, keepdims=True))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: SPPPool2d(4),
            "SPPPool2d: expected levels to be a tuple of ints > 0, got 4. Write levels=(1, 2, 4).",
        ),
        (lambda: SPPPool2d((1, 0)), "SPPPool2d: expected levels to be an int > 0, got 0."),
        (
            lambda: SPPFPool2d(4),
            "SPPFPool2d: expected kernel_size to be odd, got 4. Write 5, say.",
        ),
    ],
)
def test_refused(build, text):
    with pytest.raises(ArgumentError) as caught:
        build()
    assert str(caught.value) == text


def test_an_unknown_operator_is_refused_with_the_nearest():
    with pytest.raises(ArgumentError, match="StripPool2d: unknown operator 'maxx'.*'max'"):
        StripPool2d("maxx")
