"""Small planes: windows of several planes are one line; gradients are gathered row by row."""

import itertools

import numba
import numpy as np
import pytest

import flexpool
from backends.samples import ALL, arrays, special
from flexpool.backends import interpret, numba_cpu, numba_lanes
from flexpool.backends.numba_cpu import launch
from flexpool.backends.task import Task, geometry
from flexpool.window import window

BATCH = (2, 3)
WHERE = {
    "resnet": geometry(window(2, 3, 2, 1), (9, 13)),
    "wide": geometry(window(2, 3, 2, 1), (5, 90)),  # a row has more windows than a vector
    "several-lines": geometry(window(2, 3, 2, 1), (20, 29)),  # 150 windows: three planes at a time
    "tiles": geometry(window(2, 2), (6, 10)),
    "odd": geometry(window(2, 2), (7, 11)),  # the last row and column are in no window
    "gaps": geometry(window(2, (2, 3), (3, 4), 1), (9, 30)),  # and others in between
    "dilated": geometry(window(2, (2, 3), (1, 3), 1, (2, 1), ceil_mode=True), (8, 24)),  # overhangs
    "far": geometry(window(2, 2, 1, "same", (4, 5)), (3, 20)),  # some windows have no element
}


def task_of(name, where, dtype="float32", forward=False, **options):
    graph = ALL[name].graph() if forward else ALL[name].gradient(("x",), **options)
    task = Task(graph, WHERE[where], BATCH, dtype)
    assert "small planes" in launch.source(task)
    return task


def leaves_of(name, task, make=lambda x: x):
    values = arrays(ALL[name], task.geometry, BATCH)
    values["x"] = make(np.round(values["x"], 1))  # with equals among them
    shape = (*BATCH, *task.geometry.output_shape)
    values["grad_y"] = np.random.default_rng(7).normal(size=shape)
    given = {n: values[n] for n in task.graph.leaves()}
    return {n: v if isinstance(v, int) else v.astype(task.dtype) for n, v in given.items()}


def average_gradient(grad, where, padding=True):
    """Add window after window, in row-major order."""
    inside = [p.stop - p.first for p in where.placements]
    all_counts = where.padded_counts if padding else inside
    window, sizes = where.window, where.sizes
    gradient = np.zeros((*grad.shape[:2], *sizes), grad.dtype)
    for o in itertools.product(*map(range, where.output_shape)):
        starts = [int(p.start[i]) for p, i in zip(where.placements, o, strict=True)]
        each = zip(starts, window.kernel_size, window.dilation, strict=True)
        taps = [range(begin, begin + k * d, d) for begin, k, d in each]
        count = np.prod([counts[i] for counts, i in zip(all_counts, o, strict=True)])
        for i, j in itertools.product(*taps):
            if 0 <= i < sizes[0] and 0 <= j < sizes[1]:
                gradient[..., i, j] += grad[..., o[0], o[1]] / grad.dtype.type(count)
    return gradient


def in_pieces(size):
    """Give a stand-in for the threads: pieces one after the other, the last of them first."""

    def run(work, items, amount):
        for begin in reversed(range(0, items, size)):
            work(begin, min(begin + size, items))

    return run


@pytest.fixture
def untouched(monkeypatch):
    """Let results begin as NaN: what a kernel forgets to write is then seen."""
    monkeypatch.setattr(launch.memory, "array", lambda shape, dtype: np.full(shape, np.nan, dtype))


@pytest.mark.parametrize(
    ("where", "dtype"), [*((name, "float32") for name in WHERE), ("resnet", "float64")]
)
def test_what_is_the_same_for_a_window_is_gathered_in_order(untouched, monkeypatch, where, dtype):
    task = task_of("avg", where, dtype)
    leaves = leaves_of("avg", task)
    known = average_gradient(leaves["grad_y"], task.geometry)
    for size in (6, 4, 1):  # planes at a time
        monkeypatch.setattr(launch.threads, "run", in_pieces(size))
        np.testing.assert_array_equal(launch.run(task, leaves)["x"], known)


def test_padding_is_not_counted_if_that_is_asked_for():
    task = task_of("avg", "resnet", count_include_pad=False)
    leaves = leaves_of("avg", task)
    known = average_gradient(leaves["grad_y"], task.geometry, padding=False)
    np.testing.assert_array_equal(launch.run(task, leaves)["x"], known)


def compare(name, task, make=lambda x: x):
    """Compare with the interpreter."""
    leaves = leaves_of(name, task, make)
    exact = {n: v if isinstance(v, int) else v.astype(np.float64) for n, v in leaves.items()}
    with np.errstate(all="ignore"):
        known = interpret.run(Task(task.graph, task.geometry, BATCH, "float64"), exact)
    for output, found in numba_cpu.run(task, leaves).items():
        np.testing.assert_allclose(found, known[output], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [lambda x: x, special], ids=["numbers", "special"])
@pytest.mark.parametrize(
    ("name", "where", "forward"),
    [
        ("soft", "resnet", False),
        ("soft", "several-lines", False),
        ("soft", "odd", False),
        ("soft", "dilated", False),
        ("soft", "wide", True),
        ("soft", "several-lines", True),
        ("counted", "resnet", False),
        ("relative", "resnet", False),  # arrays like the input and the output
        ("placed", "resnet", True),  # weights by channel and position
        ("stochastic", "several-lines", True),  # random numbers
    ],
)
def test_it_is_as_the_interpreter_has_it(untouched, name, where, forward, make):
    compare(name, task_of(name, where, forward=forward), make)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(("name", "forward"), [("soft", False), ("soft", True), ("placed", True)])
def test_pieces_leave_others_alone(untouched, monkeypatch, name, forward, size):
    task = task_of(name, "resnet", forward=forward)
    leaves = leaves_of(name, task)
    known = launch.run(task, leaves)
    monkeypatch.setattr(launch.threads, "run", in_pieces(size))
    for output, found in launch.run(task, leaves).items():
        np.testing.assert_array_equal(found, known[output])


@pytest.mark.parametrize("forward", [False, True])
def test_what_lies_around_a_plane_does_not_come_in(forward):
    task = task_of("soft", "resnet", forward=forward)
    leaves = leaves_of("soft", task)
    known = launch.run(task, leaves)
    for array in leaves.values():
        array[:, [0, 2]] = np.nan
    for output, found in launch.run(task, leaves).items():
        assert np.isnan(found[:, [0, 2]]).all()
        np.testing.assert_array_equal(found[:, 1], known[output][:, 1])


@pytest.mark.parametrize(
    ("name", "where", "sizes", "reason"),
    [
        ("soft", window(2, 3, 2, 1), (9, 97), "long rows"),
        ("avg", window(2, 3, 2, 1), (9, 193), "long rows, nothing copied"),
        ("avg", window(2, 2), (8, 96), "long rows, disjoint"),
        ("soft", window(2, 3, 2, 1), (63, 63), "many windows"),
        ("soft", window(2, 2, 5), (9, 9), "far apart"),
        ("soft", window(2, 6), (12, 12), "large windows"),
        ("soft", window(1, 3, 2), (9,), "lines"),
        ("soft", window(3, 2), (4, 4, 4), "volumes"),
        ("range", window(2, 3, 2, 1), (9, 9), "places"),
    ],
)
def test_other_gradients_are_not_taken(name, where, sizes, reason):
    task = Task(ALL[name].gradient(("x",)), geometry(where, sizes), BATCH, "float32")
    assert "small planes" not in launch.source(task), reason


def test_gradients_of_parameters_and_channels_last_are_not_taken():
    where = WHERE["resnet"]
    several = ALL["boltzmann"].gradient(("x", "beta"))
    assert "small planes" not in launch.source(Task(several, where, BATCH, "float32"))
    assert "small planes" not in launch.source(task_of("soft", "resnet"), channels_last=True)


@pytest.mark.parametrize(
    ("name", "where"),
    [("soft", window(2, 3, 2)), ("avg", window(2, 3, 2, 1))],
    ids=["inside", "separable"],
)
def test_other_results_are_not_taken(name, where):
    task = Task(ALL[name].graph(), geometry(where, (9, 9)), BATCH, "float32")
    assert "small planes" not in launch.source(task)


def test_it_is_what_callers_get():
    draw = np.random.default_rng(3)
    grad = draw.normal(size=(*BATCH, 5, 7)).astype("f")
    x = draw.normal(size=(*BATCH, 9, 13)).astype("f")
    found = flexpool.pool_backward(grad, x, "avg", 3, stride=2, padding=1, backend="numba")["x"]
    np.testing.assert_array_equal(found, average_gradient(grad, WHERE["resnet"]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_vector_has_zeros_outside_of_its_line(dtype):
    @numba.njit
    def read(line, count, begin, onto):
        numba_lanes.store_lanes(onto, 0, numba_lanes.load_within(line, count, begin))

    lanes = 64 // np.dtype(dtype).itemsize
    around = np.full(200, np.nan, dtype)
    line = around[lanes:]
    line[:5] = np.arange(1, 6)
    for begin in (-(2**40), -lanes - 1, -lanes, -2, 0, 3, 5, 100, 2**40):
        found = np.empty(lanes, dtype)
        read(line, 5, begin, found)
        places = begin + np.arange(lanes)
        known = np.where((places >= 0) & (places < 5), places + 1, 0)
        np.testing.assert_array_equal(found, known)
