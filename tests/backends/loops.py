"""Maxima and minima of windows by loops typed by hand, and windows and arrays to try them on."""

from __future__ import annotations

import itertools

import numpy as np

from flexpool.backends.task import Task, geometry
from flexpool.declare import find
from flexpool.window import window

__all__ = [
    "KINDS",
    "WINDOWS",
    "case",
    "expected",
    "expected_values",
    "in_pieces",
    "windows",
]

WINDOWS = {  # kernel, stride, padding, dilation, ceil_mode; size of the plane
    "resnet": ((3, 2, 1), (9, 37)),
    "googlenet": ((3, 2, 0, 1, True), (6, 64)),  # windows fill vectors
    "inception": ((3, 1, 1), (5, 35)),
    "cut": (((3, 3), (2, 4)), (5, 65)),  # windows fill a vector, elements one more
    "dilated": (((2, 3), (1, 3), 1, (2, 1), True), (8, 50)),
    "far-rows": ((2, 1, "same", (4, 5)), (3, 40)),  # the middle row of windows has no element
    "far-columns": ((2, 1, "same", (3, 4)), (6, 3)),
    "gaps": (((2, 3), (3, 4), 1), (9, 75)),  # elements that no window reads
    "wide": (((1, 8), (2, 1), (0, 4)), (5, 44)),
    "tall": (((6, 2), (1, 1), (3, 0)), (10, 18)),
    "large": ((11, 2, 5), (13, 41)),
    "large-every": (((7, 9), 1, (2, 0)), (9, 35)),
    "large-ceil": ((9, (2, 5), 4, 1, True), (12, 64)),  # a power of two and one
    "large-dilated": (((5, 9), (3, 1), (2, 4), (3, 2)), (16, 30)),
    "large-row": (((1, 40), 1, (0, 20)), (3, 70)),
    "large-column": (((40, 1), (2, 1), (20, 0)), (60, 5)),
    "large-beside": (((2, 20), 1, (1, 2), (9, 1)), (8, 30)),  # windows above and below it
    "large-astride": (((20, 2), 1, (2, 1), (1, 9)), (30, 8)),
    "large-far": ((9, (4, 1), "same", (7, 6)), (10, 12)),
    "tiles": ((2, 2), (10, 10)),
    "tiles-of-28": ((2, 2), (4, 28)),
    "tiles-of-2x3": (((2, 3), (2, 3)), (6, 15)),
    "one-tile-a-row": (((3, 2), (3, 2)), (9, 2)),
}
KINDS = ("numbers", "ties", "special", "nothing")


def drawn(kind, shape, op):
    draw = np.random.default_rng(11)
    if kind == "numbers":
        return draw.normal(size=shape)
    if kind == "ties":
        return draw.integers(-1, 2, shape) * draw.choice([1.0, -1.0], shape)
    if kind == "special":
        several = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan])
        return draw.choice(several, shape, p=[0.2, 0.2, 0.1, 0.15, 0.3, 0.05])
    return np.full(shape, -np.inf if op == "max" else np.inf)


def place(x, taps, op):
    """Find the first of the largest, or of the smallest, or the last NaN."""
    found = None
    for tap in taps:
        old = None if found is None else x[found]
        if old is None or np.isnan(x[tap]) or (x[tap] > old if op == "max" else x[tap] < old):
            found = tap
    return found


def windows(x, op, where):
    """Give each window's number, and its extremum's place in the whole array."""
    for plane in np.ndindex(x.shape[:2]):
        for o in np.ndindex(where.output_shape):
            inside = [
                [i for i in range(begin, begin + k * d, d) if 0 <= i < size]
                for begin, k, d, size in zip(
                    (p.start[i] for p, i in zip(where.placements, o, strict=True)),
                    where.window.kernel_size,
                    where.window.dilation,
                    where.sizes,
                    strict=True,
                )
            ]
            found = place(x[plane], list(itertools.product(*inside)), op)
            yield (*plane, *o), None if found is None else (*plane, *found)


def expected(grad, x, op, where):
    """Add window after window, in row-major order."""
    gradient = np.zeros_like(x)
    for number, found in windows(x, op, where):
        if found is not None:
            gradient[found] += grad[number]
    return gradient


def expected_values(x, op, where):
    y = np.empty((*x.shape[:2], *where.output_shape), x.dtype)
    for number, found in windows(x, op, where):
        y[number] = (-np.inf if op == "max" else np.inf) if found is None else x[found]
    return y


def case(name, op, dtype, kind, forward=False, sizes=None):
    arguments, usual_sizes = WINDOWS[name]
    sizes = sizes or usual_sizes
    where = geometry(window(2, *arguments[:4], ceil_mode=arguments[4:] == (True,)), sizes)
    graph = find(op).graph() if forward else find(op).gradient(("x",))
    task = Task(graph, where, (1, 3), dtype)
    x = drawn(kind, (1, 3, *sizes), op).astype(dtype)
    grad = np.random.default_rng(7).normal(size=(1, 3, *where.output_shape)).astype(dtype)
    return task, x, grad


def in_pieces(size):
    """Give a stand-in for the threads."""

    def run(work, items, amount):
        for begin in reversed(range(0, items, size)):
            work(begin, min(begin + size, items))

    return run


def check_values(found, known, about=None):
    """Compare to the bit, signs of zeros too; of NaN there are many."""
    assert found.dtype == known.dtype
    np.testing.assert_array_equal(found, known)
    numbers = ~np.isnan(known)
    assert (np.signbit(found) == np.signbit(known))[numbers].all(), about
