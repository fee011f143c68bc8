r"""Filters of orthogonal wavelets with N vanishing moments, computed rather than typed.

The square of a filter's transfer function is known,

$$ |H(\omega)|^2 = 2 \cos^{2N} \tfrac{\omega}{2} \sum_{k < N} \binom{N - 1 + k}{k}
\sin^{2k} \tfrac{\omega}{2} $$

and factorised by the zeros of the sum: each gives two zeros of H, z and 1/z, of which either may be
taken. Daubechies' filters take all inside the unit circle; of the symlets, that choice is taken
whose phase is nearest to a line, so that they are almost symmetric.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

from flexpool.errors import unknown

__all__ = ["WAVELETS", "high_pass", "low_pass"]

WAVELETS = ("haar", *(f"db{n}" for n in range(2, 11)), *(f"sym{n}" for n in range(4, 9)))


@functools.cache
def low_pass(name: str) -> tuple[float, ...]:
    """Give the taps of a scaling filter, 2 N of them; their sum is the root of 2.

    Raises:
        ArgumentError: if no wavelet has this name.

    Example:
        >>> [round(tap, 4) for tap in low_pass("db2")]
        [0.483, 0.8365, 0.2241, -0.1294]
    """
    if name not in WAVELETS:
        raise unknown("wavelet", name, WAVELETS)
    moments = 1 if name == "haar" else int(name.lstrip("dbsym"))
    groups = _zeros(moments)
    if not name.startswith("sym"):
        return _taps(moments, [z for group in groups for z in group])
    # Reversed taps have the same distance from a line: the first zero stays inside the circle.
    sides = itertools.product(*((1,) if i == 0 else (1, -1) for i in range(len(groups))))
    choices = (
        _taps(moments, [z**side for group, side in zip(groups, taken, strict=True) for z in group])
        for taken in sides
    )
    return min(choices, key=_distance_from_linear_phase)


def high_pass(low: tuple[float, ...]) -> tuple[float, ...]:
    """Give the wavelet's filter that belongs to a scaling filter.

    Example:
        >>> high_pass((1.0, 2.0, 3.0, 4.0))
        (4.0, -3.0, 2.0, -1.0)
    """
    return tuple(tap * (-1) ** i for i, tap in enumerate(reversed(low)))


def _zeros(moments: int) -> list[list[complex]]:
    """Find the zeros inside the unit circle, those that must go together in one list."""
    polynomial = [math.comb(moments - 1 + k, k) for k in reversed(range(moments))]
    groups = []
    for y in np.roots(polynomial):  # y = sin^2(omega / 2), so z + 1/z = 2 - 4 y
        if y.imag < 0:
            continue  # comes with its conjugate
        pair = np.roots([1, 4 * y - 2, 1])
        z = complex(pair[np.argmin(np.abs(pair))])
        groups.append([z] if y.imag == 0 else [z, z.conjugate()])
    return groups


def _taps(moments: int, zeros: list[complex]) -> tuple[float, ...]:
    taps = np.poly([-1.0] * moments + zeros).real
    return tuple(float(tap) for tap in taps * (math.sqrt(2) / taps.sum()))


def _distance_from_linear_phase(taps: tuple[float, ...]) -> float:
    frequencies = np.linspace(0, math.pi, 257)[1:-1]
    response = np.exp(-1j * np.outer(frequencies, np.arange(len(taps)))) @ np.array(taps)
    phase = np.unwrap(np.angle(response))
    slope = (frequencies @ phase) / (frequencies @ frequencies)
    return float(np.square(phase - slope * frequencies).sum())
