"""Maxima and minima of small planes, to the bit, against loops typed by hand and PyTorch."""

import numpy as np
import pytest
import torch

import flexpool
from backends.loops import KINDS, case, check_values, expected, expected_values, in_pieces, windows
from flexpool.backends.numba_cpu import launch
from flexpool.backends.task import Task, geometry
from flexpool.declare import find
from flexpool.ir import Graph, Grid, Output
from flexpool.ir.nodes import make
from flexpool.window import window
from turns import but_for

# Planes of "resnet" are three together, of "googlenet" two and then one, of "inception" one.
EACH = [
    ("resnet", "max", "float32"),
    ("googlenet", "max", "float32"),  # the last windows overhang
    ("inception", "max", "float32"),
    ("resnet", "min", "float64"),
    ("cut", "max", "float32"),  # strides of two and four
    ("dilated", "min", "float32"),
    ("far-rows", "max", "float32"),  # the middle row of windows has no element
    ("far-columns", "max", "float64"),
    ("gaps", "max", "float32"),  # elements that no window reads
    ("wide", "max", "float32"),
]
QUICK = [case for case in EACH if case[0] not in ("cut", "wide")]
VALUES = [
    ("resnet", "max", "float32"),
    ("dilated", "min", "float32"),
    ("far-columns", "max", "float64"),
    ("cut", "max", "float32"),
]


@pytest.fixture
def untouched(monkeypatch):
    """Let results begin as NaN: what a kernel forgets to write is then seen."""
    monkeypatch.setattr(launch.memory, "array", lambda shape, dtype: np.full(shape, np.nan, dtype))


def small(task):
    """Make sure that planes are dealt out."""
    source = launch.source(task)
    assert "small planes" in source
    assert "together" in source
    return task


@pytest.mark.parametrize(("name", "op", "dtype"), but_for(QUICK, EACH))
def test_gradient_is_that_of_loops_to_the_bit(untouched, monkeypatch, name, op, dtype):
    for kind in KINDS:
        task, x, grad = case(name, op, dtype, kind)
        grad[0, 1] = np.random.default_rng(8).choice([0.0, 1.0, np.inf], grad[0, 1].shape)
        known = expected(grad, x, op, small(task).geometry)
        for pieces in (3, 2, 1):  # planes at a time, the last first
            monkeypatch.setattr(launch.threads, "run", in_pieces(pieces))
            found = launch.run(task, {"x": x, "grad_y": grad})["x"]
            assert found.dtype == dtype
            assert found.tobytes() == known.tobytes(), (kind, pieces)


@pytest.mark.parametrize(
    ("name", "op", "dtype"), but_for([c for c in VALUES if c[0] != "cut"], VALUES)
)
def test_values_are_those_of_loops_to_the_bit(untouched, monkeypatch, name, op, dtype):
    """Also the sign of zeros: the first of equals is the result."""
    for kind in KINDS:
        task, x, _ = case(name, op, dtype, kind, forward=True)
        known = expected_values(x, op, small(task).geometry)
        for pieces in (3, 2, 1):
            monkeypatch.setattr(launch.threads, "run", in_pieces(pieces))
            found = launch.run(task, {"x": x})["y"]
            check_values(found, known, (kind, pieces))


def test_planes_of_any_size(untouched):
    """Elements rise, so that the last that a window reads is its extremum."""
    for height, width in [(5, n) for n in range(1, 40)] + [(n, 7) for n in range(1, 12)]:
        sizes = (height, width)
        task, x, grad = case("resnet", "max", "float32", "numbers", sizes=sizes)
        x = np.sort(x.reshape(1, 3, -1)).reshape(x.shape)
        found = launch.run(small(task), {"x": x, "grad_y": grad})["x"]
        assert found.tobytes() == expected(grad, x, "max", task.geometry).tobytes(), sizes
        task = case("resnet", "max", "float32", "numbers", forward=True, sizes=sizes)[0]
        found = launch.run(small(task), {"x": x})["y"]
        np.testing.assert_array_equal(found, expected_values(x, "max", task.geometry))


def test_elements_behind_the_last_windows_are_handed_nothing(untouched):
    where = geometry(window(2, 3, 4, 1), (8, 12))
    x, grad = (np.random.default_rng(2).normal(size=(1, 3, *n)) for n in ((8, 12), (2, 3)))
    x[..., -1, :] = x[..., -1] = 9  # no window may find them
    task = small(Task(find("max").gradient(("x",)), where, (1, 3), "float64"))
    found = launch.run(task, {"x": x, "grad_y": grad})["x"]
    assert found.tobytes() == expected(grad, x, "max", where).tobytes()


@pytest.mark.parametrize("kind", ["numbers", "ties", "special"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_is_that_of_pytorch_to_the_bit(dtype, kind):
    task, x, grad = case("inception", "max", dtype, kind, sizes=(14, 15))
    x, grad = np.tile(x, (2, 4, 1, 1)), np.tile(grad, (2, 4, 1, 1))
    task = small(Task(task.graph, task.geometry, (2, 12), dtype))
    found = launch.run(task, {"x": x, "grad_y": grad})["x"]
    inputs = torch.from_numpy(x).requires_grad_()
    torch.nn.functional.max_pool2d(inputs, 3, 1, 1).backward(torch.from_numpy(grad))
    assert found.tobytes() == inputs.grad.numpy().tobytes()


def test_places_are_those_of_loops(untouched):
    for kind in KINDS:
        task, x, _ = case("far-columns", "max", "float32", kind, forward=True)
        where = task.geometry
        number = make("argmax", *task.graph.outputs[0].node.args)
        graph = Graph((*task.graph.outputs, Output("tap", number, Grid.WINDOW)))
        found = launch.run(small(Task(graph, where, task.batch, task.dtype)), {"x": x})
        np.testing.assert_array_equal(found["y"], expected_values(x, "max", where))
        for o, at in windows(x, "max", where):
            tap = -1
            if at is not None:
                begin = [p.start[i] for p, i in zip(where.placements, o[2:], strict=True)]
                u, v = (np.array(at[2:]) - begin) // where.window.dilation
                tap = u * where.window.kernel_size[1] + v
            assert found["tap"][o] == tap, (kind, o)


@pytest.mark.parametrize("forward", [False, True])
def test_no_plane_writes_what_is_anothers(untouched, monkeypatch, forward):
    """The kernel runs on two planes and one more: what lies around them stays as it was."""
    task, x, grad = case("resnet", "max", "float32", "numbers", forward, sizes=(9, 53))
    task = small(Task(task.graph, task.geometry, (2, 3), "float32"))
    monkeypatch.setattr(launch.threads, "run", lambda work, items, amount: work(1, 4))
    leaves = {"x": np.tile(x, (2, 1, 1, 1)), "grad_y": np.tile(grad, (2, 1, 1, 1))}
    (found,) = launch.run(task, leaves).values()
    written = ~np.isnan(found.reshape(6, -1))
    assert written[1:4].all()
    assert not written[[0, 4, 5]].any()


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("name", ["resnet", "dilated"])
def test_planes_of_nan_do_not_come_in(untouched, name, forward):
    task, x, grad = case(name, "max", "float32", "numbers", forward)
    among = x.copy()
    among[:, [0, 2]] = np.nan
    (found,), (known,) = (
        launch.run(small(task), {"x": each, "grad_y": grad}).values() for each in (among, x)
    )
    assert found[:, 1].tobytes() == known[:, 1].tobytes()


@pytest.mark.parametrize(
    ("where", "sizes", "forward", "dtype", "taken"),
    [
        (window(2, 3, 2, 1), (56, 110), False, "float32", True),  # 55 windows in a row
        (window(2, 3, 2, 1), (56, 111), False, "float32", False),
        (window(2, 3, 2, 1), (56, 54), False, "float64", True),
        (window(2, 3, 2, 1), (56, 55), False, "float64", False),
        (window(2, 3, 1, 1), (20, 31), True, "float32", True),
        (window(2, 3, 1, 1), (20, 32), True, "float32", False),
        (window(2, 3, 2, 1), (640, 100), False, "float32", True),
        (window(2, 3, 2, 1), (680, 100), False, "float32", False),  # many windows of a plane
        (window(2, 4, 1), (9, 9), False, "float32", False),  # many taps for each element
        (window(2, 4, (1, 2)), (9, 9), False, "float32", True),
        (window(2, 7, 4, 3), (9, 9), False, "float32", False),  # more than are written out
        (window(2, 3, 5, 1), (9, 9), False, "float32", False),  # far apart
        (window(2, 2), (8, 8), False, "float32", False),  # nothing overlaps
        (window(1, 3, 2), (9,), False, "float32", False),
        (window(3, 2, 1), (4, 4, 4), False, "float32", False),
    ],
)
def test_which_planes_are_small(where, sizes, forward, dtype, taken):
    graph = find("max").graph() if forward else find("max").gradient(("x",))
    task = Task(graph, geometry(where, sizes), (1, 1), dtype)
    assert ("small planes" in launch.source(task)) == taken
    assert "small planes" not in launch.source(task, channels_last=True)


def test_windows_are_added_in_order():
    task, *_ = case("resnet", "max", "float32", "numbers")
    assert launch.adds_in_order(small(task))


def test_it_is_what_callers_get():
    task, x, grad = case("resnet", "max", "float32", "special")
    found = flexpool.pool_backward(grad, x, "max", 3, stride=2, padding=1, backend="numba")["x"]
    assert found.tobytes() == expected(grad, x, "max", small(task).geometry).tobytes()
