"""Every operator, on every backend, over every kind of window, against its oracle."""

import functools
import itertools

import numpy as np
import pytest

from flexpool.declare import find, operators
from ops.settings import SETTINGS, spelled
from oracles import blur
from running import BACKENDS, Call, Windows, along_a_line
from tolerance import assert_close
from turns import in_turns

INF, NAN = np.inf, np.nan
# The interpreter computes in float64 whatever it is asked for.
RUNS = [(backend, "float64") for backend in BACKENDS]
RUNS += [(backend, "float32") for backend in BACKENDS if backend != "interpret"]
# Inputs and windows. They share few kernels, strides and dilations, for each of which some backends
# compile a function of their own.
OVERLAP = (3, 2), (2, 1), (1, 0)
SPARSE = (2, 2), (3, 2), (1, 1), (4, 1)
PLACES = {
    "k2": ((4, 6), Windows(2, 2)),
    "k2-leftover": ((5, 7), Windows(2, 2)),
    "k2-ceil": ((5, 7), Windows(2, 2, ceil_mode=True)),
    "k2-padded": ((4, 5), Windows(2, 2, 2, 1)),
    "overlap": ((6, 4), Windows(2, *OVERLAP)),
    "overlap-ceil": ((6, 5), Windows(2, *OVERLAP, ceil_mode=True)),
    "sparse": ((9, 6), Windows(2, *SPARSE)),
    "sparse-ceil": ((7, 5), Windows(2, *SPARSE, ceil_mode=True)),
    "empty": ((3, 4), Windows(2, *SPARSE)),
    "line": ((9,), Windows(1, 4, 2, 2)),
    "line-ceil": ((10,), Windows(1, 4, 2, (1,), ceil_mode=True)),
    "space": ((3, 4, 3), Windows(3, 2, (1, 2, 2), (0, 1, 1))),
}


def fits(settings, windows):
    """Tell whether the weights among the settings have as many positions as the kernel."""
    weights = [value for value in settings.values() if np.ndim(value) == 2]
    return all(weight.shape[1] == windows.positions for weight in weights)


# For what numba_cpu runs in `make test`: compiling takes seconds, and operators are many. Each is
# compiled in float64 along a line; some, of every kind, in float32 too, and for more places.
QUICK = ("line", "line-ceil")
SOME = ("max", "avg", "soft", "median", "blur", "lip", "stochastic", "ordinal", "gem")
KERNELS = (
    ("k2", "k2-leftover"),
    ("overlap", "overlap-ceil"),
    ("sparse", "sparse-ceil", "empty"),
)
QUICK_FOR_SOME = {(name, place) for name, places in in_turns(SOME, KERNELS) for place in places}
# The others' special values are left to the backends that compile nothing.
SPECIAL_FOR = {*itertools.product(SOME, ("float64",)), ("max", "float32"), ("soft", "float32")}
QUICK_IN_SPACE = ("max", "avg", "blur")


def marks(name, number, place, backend, dtype):
    quick = dtype == "float64" and place in QUICK
    quick |= number == 0 and dtype == "float32" and (name, place) in QUICK_FOR_SOME
    quick |= place == "space" and dtype == "float64" and name in QUICK_IN_SPACE
    quick |= (name, number, place, dtype) == ("dpp", 0, "empty", "float32")  # NaN, but no gradient
    return heavy(backend, quick)


def heavy(backend, quick):
    return [pytest.mark.heavy] if backend == "numba_cpu" and not quick else []


CASES = [
    pytest.param(
        *(name, number, place, backend, dtype),
        id=f"{name}-{spelled(settings)}-{place}-{backend}-{dtype}",
        marks=marks(name, number, place, backend, dtype),
    )
    for name in operators()
    for number, settings in enumerate(SETTINGS.get(name, [{}]))
    for place in PLACES
    if fits(settings, PLACES[place][1])
    for backend, dtype in RUNS
]
SPECIAL = {
    "one": [-2.5],
    "one-zero": [0.0],
    "ties": [1.0, 3.0, 3.0, 1.0],
    "equal": [0.3, 0.3, 0.3, 0.3],
    "zeros": [0.0, 0.0, 0.0, 0.0],
    "negative": [-1.0, -0.25, -7.0, -0.25],
    "huge": [1e30, -1e30, 2e30, 1e30],
    "huge-ties": [1e30, 1e30, -1e30, 1e30],
    "large": [1e4, -1e4, 9999.0, 3.0],
    "tiny": [1e-30, 2e-30, -3e-30, 0.0],
    "far-off": [10001.0, 10000.5, 10002.0, 10001.5],
    "inf": [1.0, INF, -3.0, 2.0],
    "minus-inf": [1.0, -INF, -3.0, 2.0],
    "both-inf": [INF, -INF, INF, 0.0],
    "nan": [1.0, NAN, 5.0, 2.0],
    "nans": [NAN, 2.0, NAN, INF],
    "nan-among-negative": [-1.0, NAN, 0.0, -2.0],
}


def drawn(sizes):
    """Draw an input: one image of any values, one of few values and so of many ties."""
    draw = np.random.default_rng(len(sizes))
    x = draw.normal(scale=3, size=(2, 2, *sizes)).astype(np.float32).astype(np.float64)
    x[1] = draw.integers(-2, 3, size=x[1].shape)
    return x


@functools.cache
def prepared(name, number, place):
    """Make a call and ask the oracle, once for all backends."""
    sizes, windows = PLACES[place]
    call = Call(name, drawn(sizes), windows, SETTINGS.get(name, [{}])[number])
    return call, *call.expected(call.gy())


@pytest.mark.parametrize(("name", "number", "place", "backend", "dtype"), CASES)
def test_windows(name, number, place, backend, dtype):
    call, y, derivatives = prepared(name, number, place)
    gy, largest = call.gy(), np.abs(call.x).max()
    assert_close(call.value(backend, dtype), y, dtype, scale=largest)
    got = call.gradient(backend, gy, dtype)
    assert set(got) == set(call.learned) == set(derivatives)
    for name in call.learned:
        # Parameters collect over all windows; the others over those that hold an element.
        terms = np.abs(gy).max() if name == "x" else np.abs(gy).sum() * largest**2
        assert_close(got[name], derivatives[name], dtype, scale=terms)


@pytest.mark.parametrize(
    ("name", "backend", "dtype"),
    [
        pytest.param(name, *run, marks=heavy(run[0], (name, run[1]) in SPECIAL_FOR))
        for name in operators()
        for run in RUNS
    ],
)
@pytest.mark.parametrize("values", SPECIAL)
def test_special_values(name, values, backend, dtype):
    """Results everywhere; derivatives by x where the oracle has finite ones."""
    for settings in SETTINGS.get(name, [{}]):
        if any(np.ndim(value) for value in settings.values()):
            continue
        window = np.array(SPECIAL[values]).astype(dtype).astype(np.float64)
        clipped = 2 if len(window) == 1 else 0  # then all but one position are padding
        # Else an element lies beside the window: whole planes have test_whole_planes.py.
        line = window if clipped else np.append(window, 1.0)
        call = Call(name, line[None, None], Windows(1, 4, 2, clipped), settings)  # as "line"
        gy = call.gy()
        y, derivatives = call.expected(gy)
        largest = np.abs(window[np.isfinite(window)]).max(initial=0)
        assert_close(call.value(backend, dtype), y, dtype, scale=largest)
        if np.isfinite(derivatives["x"]).all():
            got = call.gradient(backend, gy, dtype)["x"]
            assert_close(got, derivatives["x"], dtype, scale=np.abs(gy).max())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", operators())
def test_no_image_and_no_channel(name, backend):
    """An empty batch gives an empty result."""
    for shape in [(0, 2, 4, 4), (2, 0, 4, 4)]:
        call = Call(name, np.zeros(shape), Windows(2))
        assert call.value(backend).shape == (*shape[:2], 2, 2)
        assert call.gradient(backend, call.gy())["x"].shape == shape


@pytest.mark.parametrize("backend", BACKENDS)
def test_exponent_of_200_overflows_nowhere(backend):
    call = along_a_line("lp", [1e30, -2e30, 1e29], {"p": 200.0})
    assert_close(call.value(backend, "float32"), [[[2e30]]], "float32")
    slopes = call.gradient(backend, np.ones((1, 1, 1)), "float32")["x"]
    assert_close(slopes, [[[0, -1, 0]]], "float32", scale=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_follow_the_probabilities(backend):
    """Of 4000 windows that hold 1, 3 and -2, a quarter should give 1: by 4 standard deviations."""
    x = np.tile([1.0, 3.0, -2.0], 4000)[None, None]
    y = Call("stochastic", x, Windows(1, 3)).value(backend)
    assert set(np.unique(y)) == {1.0, 3.0}
    assert abs((y == 1).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_logit_of_minus_infinity_leaves_its_element_out(backend):
    call = along_a_line("lip", [8.0, 4.0, 99.0], {"logits": np.array([0.0, 0.0, -INF])})
    slopes = call.gradient(backend, np.ones((1, 1, 1)))
    assert_close(call.value(backend), [[[6.0]]], "float64")
    assert_close(slopes["x"], [[[0.5, 0.5, 0.0]]], "float64")
    assert_close(slopes["logits"], [[[1.0, -1.0, 0.0]]], "float64")


@pytest.mark.parametrize("kernel", [(1,), (2,), (3,), (4,), (3, 3), (7, 2), (2, 3, 5)])
def test_default_weights_are_binomial(kernel):
    default = find("blur").arguments["weight"].default(kernel)
    assert_close(default, blur.weight(kernel), "float64")
    assert_close(default.sum(), 1.0, "float64")
