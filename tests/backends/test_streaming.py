"""Gradients that are written past the caches: the same numbers, wherever they begin."""

import numpy as np
import pytest
from numba import njit

import flexpool
from flexpool.backends import numba_math
from flexpool.backends.numba_cpu import launch


@pytest.fixture
def fresh():
    """Let the same call be prepared anew, as it is kept with what was decided for it."""
    launch._launch.cache_clear()
    yield
    launch._launch.cache_clear()


def gradient(operator, x, gy, kernel):
    return flexpool.pool_backward(gy, x, operator, kernel, backend="numba")["x"]


@pytest.mark.parametrize("channels_last", [False, True], ids=["planes", "channels-last"])
@pytest.mark.parametrize(
    ("operator", "sizes", "kernel"),
    [
        ("max", (6, 32), 2),
        ("soft", (6, 64), 2),
        ("avg", (64,), 4),
        ("max", (4, 2, 16), 2),
        ("avg", (4, 1040), 2),
    ],
)
def test_gradients_are_the_same(fresh, monkeypatch, operator, channels_last, sizes, kernel):
    draw = np.random.default_rng(7)
    x = draw.normal(size=(2, 16, *sizes)).astype(np.float32)
    gy = draw.normal(size=(2, 16, *(size // kernel for size in sizes))).astype(np.float32)
    if channels_last:
        x, gy = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in (x, gy))
    plain = gradient(operator, x, gy, kernel)
    launch._launch.cache_clear()
    asked = []
    monkeypatch.setattr(launch, "LARGE", 0)
    monkeypatch.setattr(
        launch, "_is_streamed", lambda *a, f=launch._is_streamed: asked.append(f(*a)) or asked[-1]
    )
    streamed = gradient(operator, x, gy, kernel)
    assert asked == [True]
    np.testing.assert_array_equal(streamed, plain)


@pytest.mark.parametrize(
    ("shape", "dtype", "streamed"),
    [
        ((64, 64, 8, 128), "float32", True),  # 16 MiB
        ((63, 64, 8, 128), "float32", False),
        ((64, 64, 8, 136), "float32", False),  # rows of eight and a half cache lines
        ((64, 64, 8, 136), "float64", True),
    ],
)
def test_only_large_gradients_of_whole_cache_lines_are_streamed(shape, dtype, streamed):
    spec = flexpool.calls.sliding_spec("avg", 2, (2, 2, 0, 1, False), (), (), "auto")
    call = flexpool.calls.call_of(spec)
    task = flexpool.calls.task(call, call.gradient(("x",)), shape, dtype)
    made = launch._launch(task, False)
    flags = [given for given in made.arguments if isinstance(given, bool)]
    assert flags[-2:] == [False, streamed]  # `cleared` is False: the windows tile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("begin", [0, 1, 5, 15, 16])
@pytest.mark.parametrize("count", [0, 3, 16, 47, 64])
def test_a_line_arrives_wherever_it_begins(dtype, begin, count):
    stream = njit(lambda onto, line, count: numba_math.stream(onto, line, count))
    whole = np.full(200, -1, dtype)
    line = np.arange(80, dtype=dtype) + 1
    stream(whole[begin:], line, count)
    wanted = np.full(200, -1, dtype)
    wanted[begin : begin + count] = line[:count]
    np.testing.assert_array_equal(whole, wanted)
