"""Windows that are whole planes: worked off as lines, in vectors, by stages."""

import itertools
import math

import numpy as np
import pytest

from backends.samples import ALL, arrays, gradient, special
from flexpool.backends import interpret, numba_cpu
from flexpool.backends.numba_cpu import launch
from flexpool.backends.numba_cpu.whole import SHORT, is_wholesale
from flexpool.backends.task import Task, geometry
from flexpool.declare import operator
from flexpool.window import adaptive_window, window

BATCH = (2, 3)
LENGTHS = (1, 2, 15, 16, 17, 31, 33, 49, 64, 65, 100, 1023, 1025, 5000)
OPERATORS = ("max", "min", "avg", "sum", "soft", "boltzmann", "lp", "mixed", "gated", "range")
FEW = (
    "lse",
    "lip",
    "erode",
    "stochastic",
    "relative",
    "held",
    "chosen",
    "drawn",
    "limited",
    "counted",
)


def directions(name):
    return [("forward", ALL[name].graph()), ("gradient", gradient(ALL[name]))]


def leaves_of(graph, values, dtype):
    return {n: v if isinstance(v, int) else v.astype(dtype) for n, v in values.items()}


def compare(name, where, dtype, make=lambda x: x):
    """Run both directions by the generated kernels and by the interpreter."""
    values = arrays(ALL[name], where, BATCH)
    values["x"] = make(np.round(values["x"], 1))  # with equals among them
    if "gate" in values:
        values["gate"] /= where.positions  # else its sigmoid makes much of little
    for direction, graph in directions(name):
        leaves = leaves_of(graph, {n: values[n] for n in graph.leaves()}, dtype)
        found = numba_cpu.run(Task(graph, where, BATCH, dtype), leaves)
        exact = {n: v if isinstance(v, int) else v.astype(np.float64) for n, v in leaves.items()}
        with np.errstate(all="ignore"):
            known = interpret.run(Task(graph, where, BATCH, "float64"), exact)
        for output in known:
            close(found[output], known[output], dtype, f"{name}, {direction}, {output}")


def close(found, known, dtype, message):
    finite = known[np.isfinite(known)]
    scale = np.abs(finite).max(initial=1e-3)
    tolerance = 2e-4 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(
        found, known, rtol=tolerance, atol=tolerance * scale, err_msg=message
    )


def line(length):
    return geometry(adaptive_window(1, 1), (length,))


def heavy_unless(quick, cases):
    """Leave to ``make test-all`` what compiles kernels much like those of other cases."""
    return [pytest.param(*c, marks=[] if quick(*c) else pytest.mark.heavy) for c in cases]


@pytest.mark.parametrize(
    ("name", "length"),
    heavy_unless(
        lambda name, length: name in ("max", "avg", "soft", "gated"),
        itertools.product(OPERATORS, LENGTHS),
    ),
)
def test_lines_are_as_the_interpreter_has_them(name, length):
    compare(name, line(length), "float32")


@pytest.mark.parametrize(
    ("name", "length"),
    heavy_unless(
        lambda name, length: name in ("lip", "stochastic", "relative") and length <= SHORT,
        itertools.product(FEW, [3, 49, 5000]),
    ),
)
def test_other_formulas_are_as_the_interpreter_has_them(name, length):
    compare(name, line(length), "float32")


@pytest.mark.parametrize("length", [1, 7, 8, 9, 49, 1023, 2500])
@pytest.mark.parametrize("name", ["max", "soft", pytest.param("gated", marks=pytest.mark.heavy)])
def test_double_precision_has_half_the_lanes(name, length):
    compare(name, line(length), "float64")


@pytest.mark.parametrize("name", ["median", "stochastic", "ordered"])
def test_formulas_with_ranks_or_running_sums_are_left_to_loops(name):
    assert not is_wholesale(ALL[name].graph())
    compare(name, geometry(window(2, (4, 5)), (4, 5)), "float32")


@pytest.mark.parametrize("length", [2, 16, 50, 2500])
@pytest.mark.parametrize("name", ["max", "min", "sum", "mixed", "range", "chosen", "erode"])
def test_nan_infinities_and_equals_are_as_in_the_interpreter(name, length):
    compare(name, line(length), "float32", special)


@pytest.mark.parametrize("name", ["max", "min", "range", "chosen"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.0])
@pytest.mark.parametrize("length", [5, 70, 4100])
def test_planes_of_one_value_are_as_in_the_interpreter(name, value, length):
    compare(name, line(length), "float32", lambda x: np.full_like(x, value))


@pytest.mark.parametrize("name", ["max", "range"])
@pytest.mark.parametrize("at", [0, 15, 16, 48, 63, 64, 2047, 2048, 4999])
@pytest.mark.parametrize("value", [9.0, -9.0, math.nan])
def test_extrema_are_found_wherever_they_are(name, at, value):
    def put(x):
        x[..., at :: 2 * SHORT + 99] = value
        return x

    compare(name, line(5000), "float32", put)


@pytest.mark.parametrize("name", ["max", "soft", "gated"])
@pytest.mark.parametrize(
    "where",
    [
        geometry(window(1, 50), (50,)),
        geometry(window(2, (7, 9)), (7, 9)),
        geometry(window(2, 2), (2, 2)),
        geometry(window(2, (70, 50), 1), (70, 50)),
        geometry(adaptive_window(2, 1), (7, 9)),
        geometry(window(3, (3, 4, 5)), (3, 4, 5)),
        geometry(adaptive_window(3, 1), (3, 4, 5)),
    ],
    ids=lambda where: f"{type(where.window).__name__}{where.sizes}",
)
def test_planes_are_lines(name, where):
    for _, graph in directions(name):
        kind = "short" if where.positions <= SHORT else "long"
        assert f"{kind} lines" in launch.source(Task(graph, where, BATCH, "float32"))
    compare(name, where, "float32")


@pytest.mark.parametrize(
    "where",
    [
        geometry(window(2, (7, 9), padding=1), (7, 9)),
        geometry(window(2, (7, 7)), (7, 9)),
        geometry(adaptive_window(2, (1, 2)), (7, 9)),
        geometry(window(1, 6, dilation=2), (11,)),
    ],
)
def test_other_windows_are_not(where):
    assert " lines" not in launch.source(Task(ALL["max"].graph(), where, BATCH, "float32"))


def test_channels_last_has_its_own_code():
    task = Task(ALL["max"].graph(), geometry(window(2, 3), (3, 3)), BATCH, "float32")
    assert " lines" not in launch.source(task, channels_last=True)


def in_pieces(size):
    """Give a stand-in for the threads: pieces one after the other, the last of them first."""

    def run(work, items, amount):
        for begin in reversed(range(0, items, size)):
            work(begin, min(begin + size, items))

    return run


def gradients(name, where, values):
    graph = gradient(ALL[name])
    return numba_cpu.run(
        Task(graph, where, BATCH, "float32"), {n: values[n] for n in graph.leaves()}
    )


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("length", [3, 49, 64, 2070])
@pytest.mark.parametrize("name", ["max", "avg", "soft", "mixed", "gated", "lip"])
def test_no_thread_writes_what_is_anothers(monkeypatch, name, length, size):
    where = line(length)
    values = leaves_of(None, arrays(ALL[name], where, BATCH), np.float32)
    expected = gradients(name, where, values)
    monkeypatch.setattr(launch.threads, "run", in_pieces(size))
    for output, found in gradients(name, where, values).items():
        np.testing.assert_array_equal(found, expected[output])


@pytest.mark.parametrize("length", [16, 64, 2064, 5008])
@pytest.mark.parametrize("name", ["max", "avg", "soft", "mixed", "lip"])
def test_large_gradients_go_past_the_caches(monkeypatch, name, length):
    where = line(length)
    values = leaves_of(None, arrays(ALL[name], where, BATCH), np.float32)
    expected = gradients(name, where, values)
    monkeypatch.setattr(launch, "LARGE", 0)
    for output, found in gradients(name, where, values).items():
        np.testing.assert_array_equal(found, expected[output])


@pytest.mark.parametrize("length", [1, 9, 49, 64, 2070])
@pytest.mark.parametrize("name", ["max", "min", "avg", "soft", "lp", "gated", "chosen"])
def test_what_lies_around_a_plane_does_not_come_in(name, length):
    """Vectors reach into the plane behind, which is NaN here."""
    where = line(length)
    alone = leaves_of(None, arrays(ALL[name], where, BATCH), np.float32)
    alone["x"][:, [0, 2]] = 0
    among = {**alone, "x": alone["x"].copy()}
    among["x"][:, [0, 2]] = np.nan
    for _, graph in directions(name):
        task = Task(graph, where, BATCH, "float32")
        found, known = (
            numba_cpu.run(task, {n: values[n] for n in graph.leaves()}) for values in (among, alone)
        )
        for output in known:
            each = 1 if found[output].ndim < 3 else (slice(None), 1)
            np.testing.assert_array_equal(found[output][each], known[output][each])


def test_one_element_may_be_shared_by_several_gradients():
    @operator
    def twice(x):
        return x.max() + (x.max() * 2) + x.min()

    where = line(4)
    x = np.array([[[1, 5, 5, -1], [2, 2, 2, 2]]], np.float32)
    graph = twice.gradient(("x",))
    leaves = {"x": x, "grad_y": np.ones((1, 2, 1), np.float32)}
    found = numba_cpu.run(Task(graph, where, (1, 2), "float32"), leaves)["x"]
    assert found.tolist() == [[[0, 3, 0, 1], [4, 0, 0, 0]]]
