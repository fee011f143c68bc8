"""Short rows of windows: several rows, of several planes, are worked off as one line."""

import itertools

import numpy as np
import pytest

from backends.samples import ALL, arrays, gradient, special
from flexpool.backends import interpret, numba_cpu
from flexpool.backends.numba_cpu import launch
from flexpool.backends.task import Task, geometry
from flexpool.window import window
from turns import but_for, in_turns

BATCH = (2, 3)
WHERE = {
    "2d-k2": geometry(window(2, 2), (8, 10)),
    "2d-k2-odd": geometry(window(2, 2), (7, 11)),  # the last row and column are in no window
    "2d-k2-many-rows": geometry(window(2, 2), (301, 6)),  # several pieces, with a plane's end amid
    "2d-k(3,2)s(4,3)": geometry(window(2, (3, 2), (4, 3)), (12, 14)),
    "2d-k3s2": geometry(window(2, 3, 2), (9, 69)),  # overlapping, more than a vector in a row
    "2d-k2d2s1": geometry(window(2, 2, 1, dilation=2), (4, 7)),
    "2d-k4": geometry(window(2, 4), (8, 9)),
    "1d-k3": geometry(window(1, 3), (17,)),
    "3d-k2": geometry(window(3, 2), (41, 22, 7)),  # a piece ends amid a slice
}


def task_of(name, where, dtype="float32"):
    task = Task(ALL[name].graph(), where, BATCH, dtype)
    assert "short rows" in launch.source(task)
    return task


def leaves_of(name, where, dtype="float32", make=lambda x: x):
    values = arrays(ALL[name], where, BATCH)
    values["x"] = make(np.round(values["x"], 1))  # with equals among them
    graph = ALL[name].graph()
    return {n: v if isinstance(v := values[n], int) else v.astype(dtype) for n in graph.leaves()}


def compare(name, where, dtype="float32", make=lambda x: x):
    """Compare with the interpreter."""
    leaves = leaves_of(name, where, dtype, make)
    found = numba_cpu.run(task_of(name, where, dtype), leaves)["y"]
    exact = {n: v if isinstance(v, int) else v.astype(np.float64) for n, v in leaves.items()}
    with np.errstate(all="ignore"):
        known = interpret.run(Task(ALL[name].graph(), where, BATCH, "float64"), exact)["y"]
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(found, known, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", ["range", "soft"])
def test_short_rows_are_as_the_interpreter_has_them(name, where):
    compare(name, WHERE[where])


READING, PLACES = ("placed", "relative", "noisy", "gated", "power"), ("2d-k2-odd", "3d-k2")


@pytest.mark.parametrize(
    ("name", "where"),
    but_for(in_turns(READING, PLACES), itertools.product(READING, (*PLACES, "2d-k2-many-rows"))),
)
def test_what_else_a_formula_reads_is_found(name, where):
    """Weights by channel and position, arrays like the input and the output, random numbers."""
    compare(name, WHERE[where])


@pytest.mark.parametrize("where", ["2d-k2-odd", "2d-k3s2"])
def test_double_precision_has_half_the_lanes(where):
    short = geometry(WHERE[where].window, (9, 19))
    compare("soft", short, "float64")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *itertools.product(["max", "min", "sum", "range", "chosen"], ["2d-k2", "3d-k2"]),
        *itertools.product(["sum", "range", "chosen"], ["2d-k3s2"]),  # max and min: test_extremes
    ],
)
def test_nan_infinities_and_equals_are_as_in_the_interpreter(name, where):
    compare(name, WHERE[where], make=special)


def test_values_are_added_in_the_order_of_the_window():
    where = WHERE["2d-k(3,2)s(4,3)"]
    leaves = {"x": np.random.default_rng(3).normal(size=(*BATCH, *where.sizes)).astype("f")}
    known = np.zeros((*BATCH, *where.output_shape), "f")
    for u in range(3):
        for v in range(2):
            known += leaves["x"][..., u : u + 9 : 4, v : v + 13 : 3]
    np.testing.assert_array_equal(numba_cpu.run(task_of("sum", where), leaves)["y"], known)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (geometry(window(2, 2, padding=1), (8, 8)), "padding"),
        (geometry(window(2, 2), (8, 48)), "long rows"),
        (geometry(window(2, 3, 2), (8, 97)), "long rows, overlapping"),
        (geometry(window(2, 2, 5), (9, 9)), "far apart"),
        (geometry(window(2, 6), (12, 12)), "large windows"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_windows_have_rows_of_their_own(where, reason):
    for dtype in ("float32", "float64"):
        assert "short rows" not in launch.source(Task(ALL["max"].graph(), where, BATCH, dtype))


def test_gradients_and_channels_last_have_rows_of_their_own():
    where = WHERE["2d-k2"]
    backward = Task(gradient(ALL["max"]), where, BATCH, "float32")
    assert "short rows" not in launch.source(backward)
    assert "short rows" not in launch.source(task_of("max", where), channels_last=True)


def in_pieces(size):
    """Give a stand-in for the threads: pieces one after the other, the last of them first."""

    def run(work, items, amount):
        for begin in reversed(range(0, items, size)):
            work(begin, min(begin + size, items))

    return run


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("where", ["2d-k2-odd", "2d-k2-many-rows", "1d-k3", "3d-k2"])
@pytest.mark.parametrize("name", ["max", "placed", "noisy"])
def test_pieces_begin_amid_planes_and_leave_others_alone(monkeypatch, name, where, size):
    where = WHERE[where]
    leaves = leaves_of(name, where)
    known = numba_cpu.run(task_of(name, where), leaves)["y"]
    monkeypatch.setattr(launch.threads, "run", in_pieces(size))
    np.testing.assert_array_equal(numba_cpu.run(task_of(name, where), leaves)["y"], known)


@pytest.mark.parametrize("where", ["2d-k2-odd", "2d-k3s2", "3d-k2"])
def test_what_lies_around_a_plane_does_not_come_in(where):
    """Vectors reach into the row and the plane behind, which are NaN here."""
    where = WHERE[where]
    leaves = leaves_of("soft", where)
    known = numba_cpu.run(task_of("soft", where), leaves)["y"]
    leaves["x"][:, [0, 2]] = np.nan
    found = numba_cpu.run(task_of("soft", where), leaves)["y"]
    np.testing.assert_array_equal(found[:, 1], known[:, 1])


@pytest.mark.parametrize("sizes", [(6, 10, 12), (4, 6, 200)], ids=["short", "long"])
def test_asking_for_slices_ahead_changes_nothing(monkeypatch, sizes):
    task = Task(ALL["max"].graph(), geometry(window(3, 2), sizes), BATCH, "float32")
    leaves = {"x": np.random.default_rng(3).normal(size=(*BATCH, *sizes)).astype("f")}
    known = numba_cpu.run(task, leaves)["y"]
    monkeypatch.setattr(launch, "LARGE", 0)
    task = Task(task.graph, task.geometry, BATCH, "float32")
    assert launch._is_distant(task)
    np.testing.assert_array_equal(numba_cpu.run(task, leaves)["y"], known)
