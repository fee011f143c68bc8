"""Every operator a second time, from the mathematics alone: NumPy, float64, one window at a time.

An oracle has ``pool(window, **parameters)`` and ``gradient(window, **parameters)``, which gives the
derivatives by name, in closed form. :func:`apply` visits the windows with index arithmetic of its
own, so that an error in flexpool's cannot hide.
"""

import importlib
import inspect
import itertools
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Place:
    """Where a window's elements lie: their coordinates, tap numbers, and the count with padding."""

    elements: list
    taps: list
    padded_count: int


@dataclass(frozen=True)
class Given:
    """The arguments of an operator, by what they vary over.

    ``numbers`` are the same everywhere or hold one per channel, ``positions`` have the kernel's
    shape or (C, *kernel), ``ranks`` the shape (1, K) or (C, K), ``elements`` the input's,
    ``windows`` and ``drawn`` the output's, the last without derivatives; ``options`` are handed on
    as they are.
    """

    numbers: dict = field(default_factory=dict)
    positions: dict = field(default_factory=dict)
    elements: dict = field(default_factory=dict)
    windows: dict = field(default_factory=dict)
    ranks: dict = field(default_factory=dict)
    drawn: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)

    def of(self, n, c, output, place):
        """Pick what belongs to one window."""
        found = dict(self.options)
        for name, value in self.numbers.items():
            found[name] = float(value[c] if np.ndim(value) else value)
        for name, value in self.positions.items():
            flat = np.reshape(value, (-1, np.prod(np.shape(value)[-len(output) :], dtype=int)))
            found[name] = flat[c if len(flat) > 1 else 0, place.taps]
        for name, value in self.elements.items():
            found[name] = np.array([value[(n, c, *element)] for element in place.elements])
        for name, value in {**self.windows, **self.drawn}.items():
            found[name] = value[(n, c, *output)]
        for name, value in self.ranks.items():
            found[name] = value[c if len(value) > 1 else 0, : len(place.taps)]
        return found


def outputs(size, kernel, stride, padding, dilation, ceil_mode):
    """Count the windows of one dimension one by one."""
    before, after = padding
    count = 0
    while True:
        start = count * stride - before
        fits = start + dilation * (kernel - 1) < size + after
        last_reached = start - stride + dilation * (kernel - 1) >= size + after - 1
        overhangs = ceil_mode and start < size and not last_reached
        if not fits and not overhangs:
            return count
        count += 1


def places(sizes, kernel, stride, padding, dilation, ceil_mode):
    """Map each output's coordinates to its window's place."""
    each = list(zip(sizes, kernel, stride, padding, dilation, strict=True))
    counts = [outputs(*dimension, ceil_mode) for dimension in each]
    found = {}
    for output in np.ndindex(*counts):
        elements, taps, padded_count = [], [], 0
        for tap, steps in enumerate(np.ndindex(*kernel)):
            at = [
                o * s - before + d * u
                for o, u, (_, _, s, (before, _), d) in zip(output, steps, each, strict=True)
            ]
            padded_count += all(
                a < n + pad[1] for a, (n, _, _, pad, _) in zip(at, each, strict=True)
            )
            if all(0 <= a < n for a, n in zip(at, sizes, strict=True)):
                elements.append(tuple(at))
                taps.append(tap)
        found[output] = Place(elements, taps, padded_count)
    return tuple(counts), found


def apply(name, x, kernel, stride, padding, dilation, ceil_mode, given=None, gy=None):
    """Pool x, of shape (N, C, *sizes), and give the derivatives of sum(gy * y).

    ``padding`` holds pairs (before, after), everything else one int per dimension. The derivatives
    are of the input's shape, or of the output's, summed to (C,) for numbers and to (C, K) for
    positions and ranks.
    """
    oracle = importlib.import_module(f"oracles.{name}")
    given = given or Given()
    sums = "padded_count" in inspect.signature(oracle.pool).parameters
    shape, windows = places(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    y = np.full((*x.shape[:2], *shape), np.nan)
    derivatives = {"x": np.zeros(x.shape)}
    derivatives |= {key: np.zeros(x.shape) for key in given.elements}
    derivatives |= {key: np.zeros(x.shape[1]) for key in given.numbers}
    positions = x.shape[1], int(np.prod(kernel))
    derivatives |= {key: np.zeros(positions) for key in {**given.positions, **given.ranks}}
    derivatives |= {key: np.zeros(y.shape) for key in given.windows}
    for (n, c), output in itertools.product(np.ndindex(*x.shape[:2]), windows):
        place = windows[output]
        window = np.array([x[(n, c, *element)] for element in place.elements], dtype=np.float64)
        arguments = given.of(n, c, output, place)
        if sums:
            arguments["padded_count"] = place.padded_count
        with np.errstate(all="ignore"):
            y[(n, c, *output)] = oracle.pool(window, **arguments)
            counts = gy is not None and len(window) > 0  # what is not there has no derivative
            slopes = oracle.gradient(window, **arguments) if counts else {}
        for key, slope in slopes.items():
            share = gy[(n, c, *output)] * slope
            if key in given.numbers:
                derivatives[key][c] += share
            elif key in given.positions:
                derivatives[key][c, place.taps] += share
            elif key in given.ranks:
                derivatives[key][c, : len(share)] += share
            elif key in given.windows:
                derivatives[key][(n, c, *output)] += share
            else:
                for element, part in zip(place.elements, share, strict=True):
                    derivatives[key][(n, c, *element)] += part
    return y, derivatives
