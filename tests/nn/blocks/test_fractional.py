"""Fractional max pooling."""

import math

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import FractionalMaxPool2d

X = np.random.default_rng(0).normal(size=(2, 3, 10, 9))


def pool(x, rows, columns, overlapping):
    """The maximum of each region between bounds."""
    y = np.empty((*x.shape[:2], len(rows) - 1, len(columns) - 1))
    for u, v in np.ndindex(y.shape[2:]):
        across = slice(columns[v], columns[v + 1] + overlapping)
        y[:, :, u, v] = x[:, :, rows[u] : rows[u + 1] + overlapping, across].max((2, 3))
    return y


def sequences(size, outputs):
    """All pseudo-random bounds, from the paper's formula, t in small steps."""
    alpha = size / outputs
    found = set()
    for t in (np.arange(size * outputs) + 0.5) / (size * outputs):
        bounds = [math.ceil(alpha * (i + t)) for i in range(outputs + 1)]
        found.add(tuple(bound - bounds[0] for bound in bounds))
    return found


@pytest.mark.parametrize("overlapping", [True, False])
def test_evaluation_by_hand_and_always_the_same(overlapping):
    module = FractionalMaxPool2d(output_size=(7, 4), overlapping=overlapping).eval()
    rows = [0, 1, 2, 4, 5, 7, 8, 10]  # 10 u / 7, rounded down
    columns = [0, 2, 4, 6, 9]
    x = torch.from_numpy(X)
    np.testing.assert_array_equal(module(x).numpy(), pool(X, rows, columns, overlapping))
    assert torch.equal(module(x), module(x))


@pytest.mark.parametrize("overlapping", [True, False])
def test_pseudorandom_bounds_are_the_papers(overlapping):
    module = FractionalMaxPool2d(output_size=(7, 4), overlapping=overlapping)
    torch.manual_seed(0)
    possible = {
        pool(X, rows, columns, overlapping).tobytes()
        for rows in sequences(10, 7)
        for columns in sequences(9, 4)
    }
    drawn = {module(torch.from_numpy(X)).numpy().tobytes() for _ in range(300)}
    assert drawn == possible


def lengths(module, size):
    """Heights of the regions that a disjoint pooling took: its values are their last rows."""
    x = torch.arange(float(size)).view(size, 1).expand(1, size, size)
    return np.diff(module(x)[0, :, 0].numpy(), prepend=-1).astype(int)


def test_random_regions_have_the_same_heights_in_any_order():
    torch.manual_seed(0)
    module = FractionalMaxPool2d(output_size=4, regions="random", overlapping=False)
    orders = {tuple(lengths(module, 6)) for _ in range(200)}
    assert len(orders) == 6  # two of four regions have two rows: 4 over 2
    assert all(sorted(order) == [1, 1, 2, 2] for order in orders)
    assert (1, 1, 2, 2) in orders
    pseudo = FractionalMaxPool2d(output_size=4, overlapping=False)
    assert {tuple(lengths(pseudo, 6)) for _ in range(200)} == {(1, 2, 1, 2), (2, 1, 2, 1)}


@pytest.mark.parametrize("regions", ["random", "pseudorandom"])
@pytest.mark.parametrize("size", [5, 7, 12, 13])
def test_disjoint_regions_cover_all_and_differ_by_one(regions, size):
    for outputs in range(1, size + 1):
        module = FractionalMaxPool2d(output_size=outputs, regions=regions, overlapping=False)
        heights = lengths(module, size)
        assert heights.sum() == size
        assert {*heights} <= {size // outputs, -(-size // outputs)}


@pytest.mark.parametrize(
    ("ratio", "size", "outputs"), [(0.7, 10, 7), (0.29, 100, 29), (1 / 3, 27, 9), (1, 5, 5)]
)
def test_ratio_is_rounded_down_but_not_by_rounding_errors(ratio, size, outputs):
    module = FractionalMaxPool2d(output_ratio=(ratio, 1.0))
    assert module(torch.zeros(1, 1, size, 3)).shape == (1, 1, outputs, 3)


def test_one_element_of_each_region_gets_the_gradient():
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    FractionalMaxPool2d(output_size=2, overlapping=False).eval()(x).sum().backward()
    wanted = np.zeros((4, 4))
    wanted[::2, ::2] = 1  # the first of equals
    np.testing.assert_array_equal(x.grad[0, 0], wanted)


def test_nan_is_passed_on():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 3, 0] = torch.nan
    y = FractionalMaxPool2d(output_size=2).eval()(x)[0, 0]
    assert y.isnan().tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: FractionalMaxPool2d(),
            ArgumentError,
            "expected one of output_size and output_ratio, got None and None. Write "
            "output_ratio=0.7, say.",
        ),
        (
            lambda: FractionalMaxPool2d(output_size=0),
            ArgumentError,
            "expected output_size to be an int > 0 or a tuple of 2 such, got 0. Write "
            "output_size=2 or output_size=(2, 2).",
        ),
        (
            lambda: FractionalMaxPool2d(output_ratio=1.4),
            ArgumentError,
            "expected output_ratio to be a number > 0 and <= 1 or a tuple of 2 such, got 1.4. "
            "Write 0.5 for half.",
        ),
        (
            lambda: FractionalMaxPool2d(output_size=5)(torch.zeros(1, 4, 9)),
            ShapeError,
            "expected output_size to leave 1 to 4 rows of 4, got 5.",
        ),
        (
            lambda: FractionalMaxPool2d(output_ratio=0.1)(torch.zeros(1, 40, 9)),
            ShapeError,
            "expected output_ratio to leave 1 to 9 columns of 9, got 0.1.",
        ),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == f"FractionalMaxPool2d: {text}"
