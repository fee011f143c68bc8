"""The average and the maximum together."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import AvgMaxPool2d, CatAvgMaxPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 7, 6))


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_values_by_hand(window):
    average = by_hand.pool(X, np.mean, *window)
    largest = by_hand.pool(X, np.max, *window)
    x = torch.from_numpy(X)
    np.testing.assert_allclose(AvgMaxPool2d(*window)(x), (average + largest) / 2, rtol=1e-12)
    both = np.concatenate([average, largest], 1)
    np.testing.assert_allclose(CatAvgMaxPool2d(*window)(x), both, rtol=1e-12)


def test_the_whole_map():
    average, largest = X.mean((2, 3), keepdims=True), X.max((2, 3), keepdims=True)
    x = torch.from_numpy(X)
    pooled = AvgMaxPool2d(output_size=1)(x)
    np.testing.assert_allclose(pooled, (average + largest) / 2, rtol=1e-12)
    both = CatAvgMaxPool2d(output_size=1)(x)
    np.testing.assert_allclose(both, np.concatenate([average, largest], 1), rtol=1e-12)


def test_parts_of_the_map():
    x = torch.arange(5.0, dtype=torch.float64).expand(1, 1, 5, 5)  # parts 01, 123, 34
    averages, maxima = torch.tensor([0.5, 2.0, 3.5]), torch.tensor([1.0, 3.0, 4.0])
    y = CatAvgMaxPool2d(output_size=(None, 3))(x)
    assert y.shape == (1, 2, 5, 3)
    assert y[0, 0, 4].tolist() == averages.tolist()
    assert y[0, 1, 4].tolist() == maxima.tolist()


def test_a_tie_gives_its_first_element_the_gradient_of_the_maximum():
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    AvgMaxPool2d(2)(x).sum().backward()
    assert x.grad.flatten().tolist() == [0.625, 0.125, 0.125, 0.125]


def test_without_batch():
    x = torch.from_numpy(X)
    assert torch.equal(CatAvgMaxPool2d(2)(x[1]), CatAvgMaxPool2d(2)(x)[1])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: AvgMaxPool2d(2, output_size=1),
            ArgumentError,
            "AvgMaxPool2d: expected output_size to be given alone, got 1. Leave out kernel_size "
            "and what belongs to it, or output_size.",
        ),
        (
            lambda: CatAvgMaxPool2d(0),
            ArgumentError,
            "CatAvgMaxPool2d: expected kernel_size to be an int > 0 or a tuple of 2 such, got 0. "
            "Write kernel_size=2 or kernel_size=(2, 2).",
        ),
        (
            lambda: AvgMaxPool2d(2)(torch.zeros(2, 2)),
            ShapeError,
            "AvgMaxPool2d: expected the input to have the axes (N, C, H, W) or (C, H, W), "
            "got (2, 2).",
        ),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
