"""Maxima and minima in vectors, forward and backward, to the bit, against loops typed by hand.

So that loops get over them, planes are small here, but are worked off as large ones are.
"""

import numpy as np
import pytest
from numba import njit

import flexpool
from backends.loops import (
    KINDS,
    WINDOWS,
    case,
    check_values,
    expected,
    expected_values,
    in_pieces,
    windows,
)
from flexpool.backends import numba_lanes
from flexpool.backends.numba_cpu import launch, maxima, places, small_extremes
from flexpool.backends.numba_cpu.plan import shape_of
from flexpool.backends.numba_math import choose
from flexpool.backends.task import Task, geometry
from flexpool.declare import find
from flexpool.ir import Graph, Grid, Output
from flexpool.ir.nodes import make
from flexpool.window import window
from turns import but_for


def mark(name):
    """Give a word of the kernel that is meant, for gradients."""
    if "large" in name:
        return "_offsets[tap]"
    return "tiled" if "tile" in name else "load_before"


@pytest.fixture(autouse=True)
def no_planes_are_small(monkeypatch):
    for most in ("MOST_VALUES", "MOST_GRADIENT"):
        monkeypatch.setattr(small_extremes, most, 0)
    launch._launch.cache_clear()
    yield
    launch._launch.cache_clear()


@pytest.fixture
def untouched(monkeypatch):
    """Let results begin as NaN: what a kernel forgets to write is then seen."""
    monkeypatch.setattr(launch.memory, "array", lambda shape, dtype: np.full(shape, np.nan, dtype))


EACH = [(name, "max", "float32") for name in WINDOWS]
EACH += [
    ("resnet", "min", "float32"),
    ("dilated", "max", "float64"),
    ("inception", "min", "float64"),
    ("large", "min", "float64"),
]
# Windows of a kind with another, and types: kernels that differ little from others.
LIKE_OTHERS = ("large-every", "large-row", "large-ceil", "large-dilated", "tiles-of-2x3", "tall")
QUICK = [
    case for case in EACH if case[0] not in LIKE_OTHERS and case != ("large", "min", "float64")
]


@pytest.mark.parametrize(("name", "op", "dtype"), but_for(QUICK, EACH))
def test_gradient_is_that_of_loops_to_the_bit(untouched, monkeypatch, name, op, dtype):
    for kind in KINDS:
        task, x, grad = case(name, op, dtype, kind)
        known = expected(grad, x, op, task.geometry)
        assert mark(name) in launch.source(task)
        for pieces in (3, 1):  # planes at a time, the last first
            monkeypatch.setattr(launch.threads, "run", in_pieces(pieces))
            found = launch.run(task, {"x": x, "grad_y": grad})["x"]
            assert found.dtype == dtype
            assert found.tobytes() == known.tobytes(), (kind, pieces, found - known)


@pytest.mark.parametrize(
    ("name", "op", "dtype"),
    but_for(QUICK, [c for c in EACH if not c[0].startswith(("gaps", "tall", "tile", "one"))]),
)
def test_values_are_those_of_loops_to_the_bit(untouched, monkeypatch, name, op, dtype):
    """Also the sign of zeros: the first of equals is the result."""
    for kind in KINDS:
        task, x, _ = case(name, op, dtype, kind, forward=True)
        known = expected_values(x, op, task.geometry)
        assert "load_apart" in launch.source(task)
        for pieces in (100, 1):  # rows of windows at a time, the last first
            monkeypatch.setattr(launch.threads, "run", in_pieces(pieces))
            found = launch.run(task, {"x": x})["y"]
            check_values(found, known, (kind, pieces))


@pytest.mark.parametrize("name", ["large-every", "resnet"])
def test_rows_may_end_anywhere_in_a_vector(untouched, name):
    """Rows rise, so that the last element a window reads is its extremum."""
    for width in range(20, 54):  # also one more than the longest vector holds, at stride 2
        task, x, grad = case(name, "max", "float32", "numbers", sizes=(5, width))
        x.sort(axis=-1)
        found = launch.run(task, {"x": x, "grad_y": grad})["x"]
        assert found.tobytes() == expected(grad, x, "max", task.geometry).tobytes(), width
        task = case(name, "max", "float32", "numbers", forward=True, sizes=(5, width))[0]
        found = launch.run(task, {"x": x})["y"]
        np.testing.assert_array_equal(found, expected_values(x, "max", task.geometry))


@pytest.mark.parametrize(
    ("name", "op"), [("resnet", "max"), ("far-rows", "min"), ("far-columns", "max")]
)
def test_places_are_those_of_loops(untouched, name, op):
    for kind in KINDS:
        task, x, _ = case(name, op, "float32", kind, forward=True)
        where = task.geometry
        extremum = task.graph.outputs[0].node
        number = make(f"arg{op}", *extremum.args)
        graph = Graph((*task.graph.outputs, Output("tap", number, Grid.WINDOW)))
        task = Task(graph, where, task.batch, task.dtype)
        assert "load_apart" in launch.source(task)
        found = launch.run(task, {"x": x})
        np.testing.assert_array_equal(found["y"], expected_values(x, op, where))
        for o, at in windows(x, op, where):
            tap = -1
            if at is not None:
                begin = [p.start[i] for p, i in zip(where.placements, o[2:], strict=True)]
                u, v = (np.array(at[2:]) - begin) // where.window.dilation
                tap = u * where.window.kernel_size[1] + v
            assert found["tap"][o] == tap, (kind, o)


@pytest.mark.parametrize("name", ["inception", "tiles-of-28"])
def test_no_plane_writes_what_is_anothers(untouched, monkeypatch, name):
    """The kernel runs on the middle plane alone: what lies around it stays as it was."""
    task, x, grad = case(name, "max", "float32", "numbers")
    monkeypatch.setattr(launch.threads, "run", lambda work, items, amount: work(1, 2))
    found = launch.run(task, {"x": x, "grad_y": grad})["x"]
    assert np.isnan(found[0, [0, 2]]).all()
    assert not np.isnan(found[0, 1]).any()


@pytest.mark.parametrize("name", ["resnet", "tiles"])
def test_a_plane_of_nan_does_not_come_in(untouched, name):
    task, x, grad = case(name, "max", "float32", "numbers")
    among = x.copy()
    among[:, [0, 2]] = np.nan
    found, known = (launch.run(task, {"x": each, "grad_y": grad})["x"] for each in (among, x))
    assert found[:, 1].tobytes() == known[:, 1].tobytes()


def test_no_row_of_windows_writes_what_is_anothers(untouched, monkeypatch):
    task, x, _ = case("inception", "max", "float32", "numbers", forward=True)
    monkeypatch.setattr(launch.threads, "run", lambda work, items, amount: work(2, 9))
    found = launch.run(task, {"x": x})["y"].reshape(15, 35)
    assert np.isnan(found[[0, 1, *range(9, 15)]]).all()
    assert not np.isnan(found[2:9]).any()


@pytest.mark.parametrize(
    ("graph", "where", "sizes"),
    [
        (find("range").graph(), window(2, 3, 2), (9, 9)),
        (find("avg").graph(), window(2, 3, 2), (9, 9)),
        (find("morph").graph(), window(2, 3, 2), (9, 9)),
        (find("range").gradient(("x",)), window(2, 3, 2), (9, 9)),
        (find("avg").gradient(("x",)), window(2, 3, 2), (9, 9)),
        (find("morph").gradient(("x",)), window(2, 3, 2), (9, 9)),
        (find("max").gradient(("x",)), window(2, 2, 2), (8, 8)),
        (find("max").gradient(("x",)), window(2, 3, 5, 1), (9, 9)),
        (find("max").gradient(("x",)), window(2, 9, 5), (19, 19)),
        (find("max").gradient(("x",)), window(1, 3, 2), (9,)),
        (find("max").gradient(("x",)), window(3, 3, 2), (5, 5, 5)),
    ],
)
def test_other_work_is_not_taken(graph, where, sizes):
    shape = shape_of(Task(graph, geometry(where, sizes), (1, 1), "float32"), channels_last=False)
    assert not places.has_places(graph, shape)
    assert not maxima.has_maxima(graph, shape)


@pytest.mark.parametrize(
    ("op", "where", "sizes"),
    [
        ("max", window(2, 2), (7, 8)),  # elements that no window reads
        ("max", window(2, 2), (8, 9)),
        ("max", window(2, 2, 2, 1), (8, 8)),
        ("max", window(2, 2), (4, 34)),  # more windows of a row than a vector holds
        ("max", window(2, (2, 5)), (4, 10)),
        ("max", window(1, 2), (8,)),
        ("range", window(2, 2), (8, 8)),
        ("avg", window(2, 2), (8, 8)),
    ],
)
def test_other_tiles_are_not_taken(op, where, sizes):
    task = Task(find(op).gradient(("x",)), geometry(where, sizes), (1, 1), "float32")
    assert "tiled" not in launch.source(task)


def test_values_of_windows_that_do_not_overlap_are_not_taken():
    task, *_ = case("gaps", "max", "float32", "numbers", forward=True)
    assert not maxima.has_maxima(task.graph, shape_of(task, channels_last=False))


def test_channels_last_is_not_taken():
    task, *_ = case("resnet", "max", "float32", "numbers")
    assert places.has_places(task.graph, shape_of(task, channels_last=False))
    assert not places.has_places(task.graph, shape_of(task, channels_last=True))


def test_it_is_what_callers_get():
    task, x, grad = case("inception", "max", "float32", "special")
    found = flexpool.pool_backward(grad, x, "max", 3, stride=1, padding=1, backend="numba")["x"]
    assert found.tobytes() == expected(grad, x, "max", task.geometry).tobytes()


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elements_apart_are_read_and_written_where_they_are(dtype, step):
    """Whole vectors and parts of them, before a line, in it, behind it."""
    tupled = "(" + ", ".join(f"v[{k}]" for k in range(step)) + ",)"
    text = f"""def through(line, count, begin, onto, nothing):
    v = load_apart(line, count, begin, {step}, nothing)
    store_together(onto, count, begin, {tupled})
"""
    names = {name: getattr(numba_lanes, name) for name in ("load_apart", "store_together")}
    exec(text, names)
    through = njit(names["through"])
    lanes = 64 // np.dtype(dtype).itemsize
    memory = np.arange(40 * lanes, dtype=dtype)
    line = memory[8 * lanes : 16 * lanes]  # lines before and behind it exist: nothing is to come in
    for begin in (-5 * lanes, -3, 0, 2, 8 * lanes - 3, 8 * lanes):
        around = np.full_like(memory, -1)
        through(line, len(line), begin, around[8 * lanes : 16 * lanes], -7.0)
        written = [i for i in range(begin, begin + step * lanes) if 0 <= i < len(line)]
        known = np.full_like(memory, -1)
        known[[8 * lanes + i for i in written]] = line[written]
        np.testing.assert_array_equal(around, known)


def test_what_is_outside_is_what_was_asked_for():
    @njit
    def read(line, count, begin, onto):
        even, odd = numba_lanes.load_apart(line, count, begin, 2, -7.0)
        numba_lanes.store_lanes(onto, 0, even)
        numba_lanes.store_lanes(onto, 8, odd)

    found = np.empty(16)
    read(np.arange(100.0)[:20], 20, -3, found)
    even = [-7, -7, 1, 3, 5, 7, 9, 11]
    np.testing.assert_array_equal(found, [*even, -7, 0, 2, 4, 6, 8, 10, 12])
    read(np.arange(100.0), 20, 15, found)
    np.testing.assert_array_equal(found, [15, 17, 19, *[-7] * 5, 16, 18, *[-7] * 6])


@pytest.mark.parametrize(("better", "sign"), [("above", 1.0), ("below", -1.0)])
def test_a_nan_takes_over_and_the_first_of_equals_stays(better, sign):
    function = getattr(numba_lanes, better)

    @njit
    def compare(new, old, wins):
        fresh, kept = numba_lanes.load_lanes(new, 0), numba_lanes.load_lanes(old, 0)
        one, zero = numba_lanes.spread(1.0), numba_lanes.spread(0.0)
        numba_lanes.store_lanes(wins, 0, choose(function(fresh, kept), one, zero))

    values = sign * np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0])
    wins = np.empty(8)
    for old in values:
        compare(values, np.full(8, old), wins)
        known = np.isnan(values) | (sign * values > sign * old)
        np.testing.assert_array_equal(wins, known.astype(float))
