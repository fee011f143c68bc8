"""Whether a peer computes the right thing: asked before its time is taken."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from flexpool.bench.peers.base import Side, as_arrays
from flexpool.bench.problem import Problem

__all__ = ["Checker"]

# Of the largest number in sight. Forms that people write need not be as exact as the definition.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2, "uint8": 0.0}

_WINDOWS = 4000  # that the definition is asked for at either end; it takes some 0.03 ms for each


class Checker:
    """Compare what peers compute with the definition, in float64, on the first and last planes.

    Example:
        >>> from flexpool.bench.cases import Choice, find
        >>> from flexpool.bench.peers import PEERS
        >>> from flexpool.bench.problem import problem
        >>> row = problem(Choice("max", find("1x1x4x4:k2")), "forward", 1)
        >>> Checker(row).complaint(PEERS["torch"].make(row)) is None
        True
        >>> Checker(row).complaint(Side(lambda: row.grad_y, "a wrong one"))
        'differs from the definition by 1.8, where 3.9e-05 is allowed'
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def complaint(self, side: Side) -> str | None:
        """Run a side once; say what is wrong with its result, or None."""
        got = as_arrays(side.run())
        if side.draws:
            return self._range(got)
        for part, wanted in zip(self._parts(), self._definitions, strict=True):
            for name, mine, theirs in zip(self._names, got, wanted, strict=True):
                whole = self._shape(name)
                if mine.shape != whole:
                    return f"has the shape {mine.shape}, where {whole} is right"
                if complaint := self._difference(mine[part], theirs):
                    return complaint
        return None

    @property
    def _names(self) -> tuple[str, ...]:
        return ("y",) if self._problem.direction == "forward" else self._problem.wanted

    def _shape(self, name: str) -> tuple[int, ...]:
        problem = self._problem
        arrays = {"y": problem.grad_y, "x": problem.x, **problem.others}
        return tuple(arrays[name].shape)

    def _difference(self, mine: np.ndarray, theirs: np.ndarray) -> str | None:
        mine, theirs = mine.astype(np.float64), theirs.astype(np.float64)
        allowed = TOLERANCE[self._problem.case.dtype] * float(np.abs(theirs).max(initial=0.0))
        off = float(np.abs(mine - theirs).max(initial=0.0))
        if off <= allowed:  # not so if either is NaN
            return None
        return f"differs from the definition by {off:.2g}, where {allowed:.2g} is allowed"

    def _parts(self) -> Iterator[tuple[slice, slice]]:
        """Choose planes: the first; and the last, unless random numbers tell where they are."""
        problem = self._problem
        windows = math.prod(problem.grad_y.shape[2:])
        planes = max(1, min(_WINDOWS // windows, problem.case.shape[1]))
        yield slice(0, 1), slice(0, planes)
        if not problem.random:
            images, channels = problem.case.shape[:2]
            yield slice(images - 1, images), slice(channels - planes, channels)

    @functools.cached_property
    def _definitions(self) -> list[list[np.ndarray]]:
        return [self._problem.definition(*part) for part in self._parts()]

    def _range(self, got: list[np.ndarray]) -> str | None:
        """Check a result with random numbers of its own: it selects one value of each window."""
        if self._problem.direction == "backward":
            mine, theirs = got[0].sum(), float(self._problem.grad_y.sum())
            room = TOLERANCE["float32"] * math.sqrt(self._problem.grad_y.numel()) * 10
            return None if abs(mine - theirs) <= room else "loses a part of the gradient"
        ((part, y),) = ((p, got[0][p]) for p in self._parts())
        x = as_arrays(self._problem.x)[0][part]
        return None if np.isin(y, x).all() else "gives values that are not in the input"
