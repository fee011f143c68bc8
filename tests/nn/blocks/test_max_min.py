"""Both extremes."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import MaxMinPool2d
from nn.blocks import by_hand

X = np.random.default_rng(0).normal(size=(2, 3, 7, 6))


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1)])
def test_values_by_hand(window):
    largest, smallest = by_hand.pool(X, np.max, *window), by_hand.pool(X, np.min, *window)
    y = MaxMinPool2d(*window)(torch.from_numpy(X)).numpy()
    np.testing.assert_array_equal(y, np.concatenate([largest, smallest], 1))
    pairs = MaxMinPool2d(*window, order="pairs")(torch.from_numpy(X)).numpy()
    np.testing.assert_array_equal(pairs[:, 0::2], largest)
    np.testing.assert_array_equal(pairs[:, 1::2], smallest)


def test_rectified_is_the_papers_block_a_map_and_its_negative_then_max():
    x = torch.from_numpy(X).requires_grad_()
    y = MaxMinPool2d(2, rectified=True)(x)
    paper = torch.nn.functional.max_pool2d(torch.cat([x, -x], 1).relu(), 2)
    torch.testing.assert_close(y, paper, rtol=0, atol=0)
    (ours,) = torch.autograd.grad(y.square().sum(), x)
    (theirs,) = torch.autograd.grad(paper.square().sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_whole_map():
    y = MaxMinPool2d(output_size=1)(torch.from_numpy(X))[..., 0, 0].numpy()
    np.testing.assert_array_equal(y, np.concatenate([X.max((2, 3)), X.min((2, 3))], 1))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"order": "both"}, "expected order to be 'halves' or 'pairs', got 'both'."),
        (
            {"rectified": 1},
            "expected rectified to be True or False, got 1. "
            "Write rectified=True or rectified=False.",
        ),
    ],
)
def test_refused(given, text):
    with pytest.raises(ArgumentError) as caught:
        MaxMinPool2d(2, **given)
    assert str(caught.value) == f"MaxMinPool2d: {text}"
