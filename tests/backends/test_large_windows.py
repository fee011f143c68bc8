"""Large windows of a plane, worked off with their neighbours, against the definition."""

import numpy as np
import pytest

import flexpool
from backends.samples import ALL, arrays, gradient, special
from flexpool.backends import interpret
from flexpool.backends.numba_cpu import launch, neighbours
from flexpool.backends.task import Task, geometry
from flexpool.declare import Random
from flexpool.window import window

WINDOWS = {
    "line": (window(1, 40, 3, 20), (60,)),
    "line-dilated": (window(1, 33, 1, 16, 3, ceil_mode=True), (77,)),
    "7": (window(2, 7, 2), (11, 25)),
    "7-stride-1": (window(2, 7, 1, 3), (8, 10)),
    "7x9-padded": (window(2, (7, 9), (1, 3), (2, 4)), (9, 27)),
    "8-dilated": (window(2, 8, 2, 3, 2, ceil_mode=True), (14, 30)),
    "11-stride-3": (window(2, 11, 3, (5, 4), (1, 2), ceil_mode=True), (13, 37)),
    "11-stride-2": (window(2, (5, 11), 2, (2, 5)), (9, 24)),
    "13-stride-9": (window(2, (3, 13), (2, 9), (1, 6)), (5, 90)),
    "two-pieces": (window(2, (5, 7), (2, 1), (1, 3)), (7, 300)),
    "space": (window(3, (3, 3, 5), 2, 1, ceil_mode=True), (5, 4, 21)),
    "without-elements": (window(2, (2, 20), 1, (1, 2), (9, 1)), (8, 30)),
}
# Of each kind: sums, extrema, powers, weights, what is one number per channel, random numbers,
# running sums, further inputs, numbers of elements, gradients that are equal in a window.
SOME = ("max", "avg", "soft", "placed", "stochastic", "chosen")
OTHERS = (
    *("lp", "min", "range", "blur", "gated", "mixed", "lip", "lehmer", "morph", "running"),
    *("relative", "noisy", "smooth", "power", "limited", "counted", "signs", "held"),
)
QUICK = {
    *((name, "7x9-padded") for name in ("soft", "chosen")),
    *(("avg", "11-stride-2"), ("stochastic", "13-stride-9"), ("max", "line")),
}
CASES = [
    pytest.param(name, place, marks=[] if (name, place) in QUICK else [pytest.mark.heavy])
    for names, places in ((SOME, WINDOWS), (OTHERS, ("7x9-padded", "11-stride-2")))
    for name in names
    for place in places
]


def compare(name, place, dtype, change=lambda x: x):
    op, where = ALL[name], geometry(*WINDOWS[place])
    leaves = arrays(op, where, (2, 3))
    leaves["x"] = change(leaves["x"])
    drawn = [n for n, argument in op.values.items() if isinstance(argument, Random)]
    given = {n: a if n in drawn else a.astype(dtype) for n, a in leaves.items()}
    exact = {n: a if n in drawn else a.astype("float64") for n, a in given.items()}
    for graph in (op.graph(), gradient(op)):
        task = Task(graph, where, (2, 3), dtype)
        some = {n: a for n, a in given.items() if n in graph.leaves()}
        found = launch.run(task, some)
        known = interpret.run(Task(graph, where, (2, 3), "float64"), exact)
        margin = {"float64": 1e-10, "float32": 3e-4}[dtype]
        for result, values in found.items():
            np.testing.assert_allclose(values, known[result], margin, margin, err_msg=result)


@pytest.mark.parametrize(("name", "place"), CASES)
def test_same_as_the_definition(name, place):
    compare(name, place, "float64")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("soft", "7"),
        *(
            pytest.param(name, place, marks=pytest.mark.heavy)
            for name in ("avg", "max", "placed", "stochastic")
            for place in ("7", "7-stride-1", "8-dilated", "13-stride-9")
        ),
    ],
)
def test_single_precision(name, place):
    compare(name, place, "float32")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        *((name, "7x9-padded") for name in ("soft", "chosen")),
        ("max", "line"),
        *(
            pytest.param("max", place, marks=pytest.mark.heavy)
            for place in ("7x9-padded", "11-stride-3", "13-stride-9", "without-elements")
        ),
    ],
)
def test_ties_infinities_and_nan(name, place):
    with np.errstate(all="ignore"):
        compare(name, place, "float64", special)


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_windows_of_nothing_else(value):
    for name in ("max", "range"):
        compare(name, "line", "float64", lambda x: np.full_like(x, value))


def test_one_nan_reaches_its_windows_only():
    x = np.zeros((1, 3, 20, 40), np.float32)
    x[0, 1, 9, 20] = np.nan
    y = flexpool.pool(x, "soft", 7, stride=1, padding=3, backend="numba")
    expected = np.zeros(y.shape, bool)
    expected[0, 1, 6:13, 17:24] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


@pytest.mark.parametrize("name", [pytest.param("soft", marks=pytest.mark.heavy), "range"])
def test_planes_and_threads_do_not_meet(monkeypatch, name):
    """Planes around one are NaN, and work comes in pieces, the last of them first."""

    def in_pieces(work, items, amount):
        for begin in reversed(range(items)):
            work(begin, begin + 1)

    alone = np.random.default_rng(3).normal(size=(1, 3, 12, 22)).astype(np.float32)
    among = alone.copy()
    among[:, [0, 2]] = np.nan
    options = {"stride": 2, "padding": 3, "backend": "numba"}
    gy = np.ones(flexpool.pool(alone, name, 7, **options).shape, np.float32)
    known = [flexpool.pool(alone, name, 7, **options)]
    known.append(flexpool.pool_backward(gy, alone, name, 7, **options)["x"])
    monkeypatch.setattr(launch.threads, "run", in_pieces)
    found = [flexpool.pool(among, name, 7, **options)]
    found.append(flexpool.pool_backward(gy, among, name, 7, **options)["x"])
    for a, b in zip(found, known, strict=True):
        np.testing.assert_array_equal(a[:, 1], b[:, 1])


def source(name, where, sizes, last=False):
    graph = gradient(ALL[name])
    return launch.source(Task(graph, geometry(where, sizes), (2, 3), "float32"), last)


def test_which_windows_have_neighbours():
    line = "for j in range(lanes)"
    assert line in source("range", window(2, 7, 2), (20, 40))
    few = 7 + 2 * (neighbours.FEWEST - 2)  # elements, for one window less
    assert line not in source("range", window(2, 7, 2), (20, few))
    assert line in source("range", window(2, 7, 2), (20, few + 2))
    assert line not in source("range", window(2, 7, 2), (20, 40), last=True)
    assert line not in source("ranked", window(2, 7, 2), (20, 40))
    assert "neighbours" not in source("max", window(2, 3, 2), (20, 40))
