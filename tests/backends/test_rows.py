"""Rows of windows are worked off in whole vectors: what is too much harms nobody."""

import itertools

import numpy as np
import pytest

import flexpool
from flexpool.backends.numba_cpu import launch
from turns import but_for, in_turns

OPERATORS = ("max", "avg", "soft", "lehmer", "median", "lp", "stochastic")
PLACES = [
    ((7, 97), 2, 2, 0),
    ((8, 96), 2, 2, 0),  # tiles: gradients are stored in whole vectors too
    ((9, 97), 3, 2, 1),
    ((6, 98), 3, 3, 0),
    ((5, 97), 3, 1, 1),
    ((4, 98), 2, 3, 0),
    ((4, 530), 2, 2, 0),  # two pieces of a row, the second short
    ((4, 4, 6), 2, 2, 0),
    ((12,), 3, 3, 0),
]
# Each place asks for a kernel of its own: most are left to `make test-all`.
QUICK = {*in_turns(OPERATORS, PLACES), *(("soft", PLACES[i]) for i in (2, 6))}
KERNELS = {(operator, *place[1:]) for operator, place in QUICK}


def in_pieces(size):
    """Give a stand-in for the threads: pieces one after the other, the last of them first."""

    def run(work, items, amount):
        for begin in reversed(range(0, items, size)):
            work(begin, min(begin + size, items))

    return run


def results(operator, shape, kernel, stride, padding):
    draw = np.random.default_rng(3)
    x = draw.normal(size=shape).astype(np.float32)
    options = {"stride": stride, "padding": padding, "backend": "numba"}
    if operator == "stochastic":
        options["seed"] = 5
    y = flexpool.pool(x, operator, kernel, **options)
    gy = draw.normal(size=y.shape).astype(np.float32)
    return y, flexpool.pool_backward(gy, x, operator, kernel, **options)["x"]


@pytest.mark.parametrize(
    ("operator", "place"), but_for(QUICK, itertools.product(OPERATORS, PLACES))
)
def test_no_thread_writes_what_is_anothers(monkeypatch, operator, place):
    sizes, *where = place
    case = (operator, (2, 3, *sizes), *where)
    expected = results(*case)
    for size in (1, 2):
        monkeypatch.setattr(launch.threads, "run", in_pieces(size))
        for found, known in zip(results(*case), expected, strict=True):
            np.testing.assert_array_equal(found, known)


def test_the_stand_in_for_threads_is_used(monkeypatch):
    pieces = []
    monkeypatch.setattr(launch.threads, "run", lambda work, items, amount: pieces.append(items))
    flexpool.pool(np.zeros((2, 3, 8, 8), np.float32), "max", 2, backend="numba")
    assert pieces == [2 * 3 * 4]


@pytest.mark.parametrize(
    ("operator", "kernel", "stride", "padding"),
    but_for(
        KERNELS, [(o, *where) for o in OPERATORS for where in ((3, 2, 1), (3, 1, 1), (2, 2, 0))]
    ),
)
def test_what_lies_around_a_plane_does_not_come_in(operator, kernel, stride, padding):
    """Vectors reach into the planes before and behind, which are NaN here."""
    case = (operator, kernel, stride, padding)
    alone = np.random.default_rng(3).normal(size=(1, 3, 6, 98)).astype(np.float32)
    alone[:, [0, 2]] = 0
    among = alone.copy()
    among[:, [0, 2]] = np.nan
    options = {"backend": "numba"} | ({"seed": 5} if operator == "stochastic" else {})
    found, known = (flexpool.pool(x, *case, **options) for x in (among, alone))
    assert np.isnan(found[:, 0]).any()
    np.testing.assert_array_equal(found[:, 1], known[:, 1])


@pytest.mark.parametrize("operator", ["max", "min"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_a_nan_is_found_wherever_it_is_in_a_window(operator, kernel):
    """Windows lie side by side, each with one NaN, at one tap after the other."""
    taps = kernel * kernel
    windows = np.random.default_rng(3).normal(size=(taps, taps)).astype(np.float32)
    windows[np.arange(taps), np.arange(taps)] = np.nan
    x = windows.reshape(1, taps, kernel, kernel).swapaxes(1, 2).reshape(1, 1, kernel, -1)
    y = flexpool.pool(x, operator, kernel, backend="numba")
    assert np.isnan(y).sum() == taps


@pytest.mark.parametrize(("operator", "wins"), [("max", np.inf), ("min", -np.inf)])
def test_of_equal_extrema_the_first_stays(operator, wins):
    x = np.array([[[0.0, -0.0, -0.0, 0.0, -wins, -wins, wins, -wins]]], np.float32)
    y = flexpool.pool(x, operator, 2, backend="numba")
    np.testing.assert_array_equal(y, [[[0, 0, -wins, wins]]])
    assert np.signbit(y[0, 0, :2]).tolist() == [False, True]
