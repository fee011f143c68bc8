"""Rows and columns picked at random."""

from itertools import combinations

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import S3Pool2d

X = np.random.default_rng(0).normal(size=(2, 3, 9, 8))


def everywhere(x, kernel):
    """The maximum from each pixel on, cut off at the edge."""
    z = np.empty_like(x)
    for u, v in np.ndindex(x.shape[2:]):
        z[:, :, u, v] = x[:, :, u : u + kernel, v : v + kernel].max((2, 3))
    return z


def choices(size, kernel, stride, grid):
    """All ways to keep rows, one list of row numbers each, by going through the grids."""
    outputs = (size - kernel) // stride + 1
    ways, start = [[]], 0
    while outputs:
        kept = min(grid // stride, outputs)
        rows = range(start, min(start + kept * stride, size))
        ways = [way + list(more) for way in ways for more in combinations(rows, kept)]
        start, outputs = start + kept * stride, outputs - kept
    return ways


def test_choices_of_the_oracle():
    assert choices(4, 2, 2, 2) == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert len(choices(4, 2, 2, 4)) == 6
    assert choices(5, 2, 2, 2) == choices(4, 2, 2, 2)


@pytest.mark.parametrize(
    ("kernel", "stride", "grid"), [(2, 2, 2), (2, 2, 4), (3, 2, 6), (2, 3, 3), (1, 2, 2), (2, 1, 2)]
)
def test_evaluation_is_the_expectation_over_all_choices(kernel, stride, grid):
    z = everywhere(X, kernel)
    rows, columns = (choices(size, kernel, stride, grid) for size in X.shape[2:])
    over_rows = np.mean([z[:, :, way] for way in rows], 0)
    wanted = np.mean([over_rows[..., way] for way in columns], 0)
    pool = S3Pool2d(kernel, stride, grid).eval()
    np.testing.assert_allclose(pool(torch.from_numpy(X)).numpy(), wanted, rtol=1e-12)
    assert wanted.shape == torch.nn.MaxPool2d(kernel, stride)(torch.from_numpy(X)).shape


@pytest.mark.parametrize(("kernel", "grid"), [(2, 2), (2, 4), (2, 8)])
def test_training_draws_each_choice_as_often(kernel, grid):
    size = 8
    z = torch.arange(float(size)).expand(1, 1, size, size)  # its maximum tells the column
    pool = S3Pool2d(1, 2, grid)
    torch.manual_seed(0)
    counts = {}
    for _ in range(2000):
        drawn = tuple(int(column) for column in pool(z)[0, 0, 0])
        counts[drawn] = counts.get(drawn, 0) + 1
    ways = choices(size, 1, 2, grid)
    assert {*map(tuple, ways)} >= {*counts}
    expected = 2000 / len(ways)
    assert len(counts) == len(ways)
    deviation = sum((count - expected) ** 2 / expected for count in counts.values())
    assert deviation < 2 * len(ways) + 20  # chi squared: its mean is len(ways) - 1


def test_training_picks_whole_rows_and_columns_for_all_maps():
    torch.manual_seed(1)
    y = S3Pool2d(2, grid_size=4)(torch.from_numpy(X)).numpy()
    z = everywhere(X, 2)
    found = [
        (rows, columns)
        for rows in choices(9, 2, 2, 4)
        for columns in choices(8, 2, 2, 4)
        if np.array_equal(z[:, :, rows][..., columns], y)
    ]
    assert len(found) == 1


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", range(2, 12))
@pytest.mark.parametrize("grid", [2, 4, 6])
def test_sizes_are_those_of_torch_whatever_the_grid(training, size, grid):
    """Not size // grid * grid / stride, which drops a rest smaller than a grid."""
    pool = S3Pool2d(2, grid_size=grid).train(training)
    assert pool(torch.zeros(1, 1, size, size)).shape == (1, 1, size // 2, size // 2)


def test_every_grid_has_all_its_rows_the_last_one_too():
    torch.manual_seed(0)
    x = torch.arange(4.0).expand(1, 1, 4, 4)
    pool = S3Pool2d(2)
    last = {pool(-x)[0, 0, 0, 1].item() for _ in range(30)}
    assert last == {-2, -3}  # the window at column 3 is cut off at the edge


def test_an_infinity_stays_in_its_grid():
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 0, 0] = torch.inf
    y = S3Pool2d(2).eval()(x)
    assert y[0, 0, 0, 0] == torch.inf
    assert not y.flatten()[1:].any()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: S3Pool2d(2, grid_size=3),
            ArgumentError,
            "S3Pool2d: expected grid_size to be a multiple of stride, (2, 2), got 3.",
        ),
        (
            lambda: S3Pool2d(3)(torch.zeros(1, 1, 2, 4)),
            ShapeError,
            "S3Pool2d: expected the input to have at least 3 elements in spatial dimension 0 "
            "(kernel_size 3 with dilation 1 spans 3, padding is 0 + 0), got (2, 4). Use a smaller "
            "kernel_size or dilation, more padding, or a larger input.",
        ),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
