"""The definition against numbers by hand, and its gradients against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backends.samples import ALL, WINDOWS, arrays, gradient
from flexpool.backends import interpret, philox
from flexpool.backends.task import Task, geometry
from flexpool.declare import Random, RankWeight, Weight, operator
from flexpool.window import Window, global_window, window

INF, NAN = math.inf, math.nan


def windowed(formula, x: list, where: Window | None = None, **leaves) -> list:
    """Apply a formula to the windows of one row of numbers; to all of it as one window."""
    array = np.array(x, dtype=np.float64).reshape(1, 1, -1)
    task = Task(
        operator(formula).graph(),
        geometry(where or global_window(1), array.shape[2:]),
        (1, 1),
        "float64",
    )
    return interpret.run(task, {"x": array, **leaves})["y"][0, 0].tolist()


def one(formula, x: list) -> float:
    (result,) = windowed(formula, x)
    return result


@pytest.mark.parametrize(
    ("x", "at_most", "at_least"),
    [
        ([1, 3, 2], 1, 0),
        ([3, 1, 3, 1], 0, 1),
        ([NAN, 1, 2], 0, 0),
        ([1, NAN, NAN, 2], 2, 2),
        ([-INF, -INF], 0, 0),
        ([0.0, -0.0], 0, 0),
        ([-INF, INF], 1, 0),
    ],
)
def test_extrema_first_of_ties_last_of_nan(x, at_most, at_least):
    assert one(lambda x: x.argmax(), x) == at_most
    assert one(lambda x: x.argmin(), x) == at_least
    assert np.array_equal([one(lambda x: x.max(), x)], [x[at_most]], equal_nan=True)
    assert np.array_equal([one(lambda x: x.min(), x)], [x[at_least]], equal_nan=True)


@pytest.mark.parametrize(
    ("x", "ranks"),
    [
        ([1, 3, 2], [2, 0, 1]),
        ([2, 2, 3], [1, 2, 0]),
        ([1, NAN, INF, NAN], [3, 0, 2, 1]),
        ([-0.0, 0.0], [0, 1]),
    ],
)
def test_rank_counts_those_before(x, ranks):
    digits = one(lambda x: (x.rank() * 10 ** x.tap()).sum(), x)
    assert digits == sum(rank * 10**i for i, rank in enumerate(ranks))


def test_cumsum_is_in_row_major_order():
    assert one(lambda x: (x.cumsum() * 100 ** x.tap()).sum(), [1, 2, 3]) == 1 + 300 + 60000


def test_padding_and_overhang_are_absent_but_may_be_counted():
    where = window(1, kernel_size=3, stride=2, padding=1, ceil_mode=True)  # 01 123 3
    x = [5.0, -1.0, 2.0, -7.0]
    assert windowed(lambda x: x.sum(), x, where) == [4, -6, -7]
    assert windowed(lambda x: x.max(), x, where) == [5, 2, -7]
    assert windowed(lambda x: x.count(), x, where) == [2, 3, 1]
    assert windowed(lambda x: x.count(padding=True), x, where) == [3, 3, 2]
    assert windowed(lambda x: x.argmax(), x, where) == [1, 1, 0]
    assert windowed(lambda x: x.tap().sum(), x, where) == [3, 3, 0]


def test_a_window_without_elements():
    where = window(1, kernel_size=2, stride=1, padding=1, dilation=4)
    assert windowed(lambda x: x.max(), [1, 2, 3], where) == [-INF]
    assert windowed(lambda x: x.min(), [1, 2, 3], where) == [INF]
    assert windowed(lambda x: x.sum(), [1, 2, 3], where) == [0]
    assert windowed(lambda x: x.argmax() + x.argmin(), [1, 2, 3], where) == [-2]
    assert windowed(lambda x: x.count(), [1, 2, 3], where) == [0]


def test_taps_number_the_whole_kernel():
    def weighted(x, w=Weight()):
        return (w * x).sum()

    where = geometry(window(2, kernel_size=2, padding=1), (1, 1))
    assert where.output_shape == (1, 1)
    where = geometry(window(2, kernel_size=2, stride=1, padding=1), (1, 1))
    task = Task(operator(weighted).graph(), where, (1, 1), "float64")
    leaves = {"x": np.ones((1, 1, 1, 1)), "w": np.array([[1.0, 2.0, 3.0, 4.0]])}
    assert interpret.run(task, leaves)["y"].tolist() == [[[[4, 3], [2, 1]]]]


def test_weights_of_ranks_go_by_value_and_not_by_place():
    """What a window lacks at the border takes the last ranks with it, wherever it lies."""

    def weighted(x, w=RankWeight()):
        return (w.by_rank_of(x) * x).sum()

    made = operator(weighted)
    where = geometry(window(1, kernel_size=3, stride=2, padding=1), (4,))
    leaves = {"x": np.array([[[1.0, 7.0, 7.0, 2.0]]]), "w": np.array([[100.0, 10.0, 1.0]])}
    task = Task(made.graph(), where, (1, 1), "float64")
    assert interpret.run(task, leaves)["y"].tolist() == [[[710, 772]]]
    leaves["grad_y"] = np.array([[[1.0, 1000.0]]])
    task = Task(made.gradient(("x", "w")), where, (1, 1), "float64")
    slopes = interpret.run(task, leaves)
    assert slopes["x"].tolist() == [[[10, 100100, 10000, 1000]]]
    assert slopes["w"].tolist() == [[7007, 7001, 2000]]


def test_random_numbers_belong_to_windows():
    def drawn(x, u=Random()):
        return u

    where = geometry(window(1, 2), (6,))
    task = Task(operator(drawn).graph(), where, (2, 2), "float32")
    y = interpret.run(task, {"x": np.zeros((2, 2, 6)), "u": 5})["y"]
    assert y.dtype == np.float64
    assert y.ravel().tolist() == philox.uniform(5, np.arange(12)).tolist()


def test_philox_gives_the_published_numbers():
    """Known answers of Philox2x32-10 in Random123's kat_vectors: counter, key, result."""
    full = 2**32 - 1
    for low, high, key, wanted in [
        (0, 0, 0, 0xFF1DAE59),
        (full, full, full, 0x2C3F628B),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0xDD7CE038),
    ]:
        bits = philox.bits(key | high << 32, np.array([low], dtype=np.int64))
        assert bits.tolist() == [wanted >> 8]


# These do not have the derivative of their values, on purpose.
STOPPED = {"held"}


@pytest.mark.parametrize("case", ["1d-k3s2p1d2-ceil", "2d-k2", "adaptive-uneven", "3d-k2"])
@pytest.mark.parametrize("name", sorted(set(ALL) - STOPPED))
def test_gradients_are_those_of_finite_differences(name, case):
    op, where, batch, step = ALL[name], geometry(*WINDOWS[case]), (1, 2), 1e-6
    leaves = arrays(op, where, batch)
    forward = Task(op.graph(), where, batch, "float64")
    found = interpret.run(Task(gradient(op), where, batch, "float64"), leaves)

    def loss(name: str, array: np.ndarray) -> float:
        return float(
            np.sum(leaves["grad_y"] * interpret.run(forward, {**leaves, name: array})["y"])
        )

    for leaf, got in found.items():
        for place in list(np.ndindex(got.shape))[::5]:
            change = np.zeros(got.shape)
            change[place] = step
            rise = loss(leaf, leaves[leaf] + change) - loss(leaf, leaves[leaf] - change)
            assert got[place] == pytest.approx(rise / (2 * step), rel=1e-5, abs=1e-6), (leaf, place)
