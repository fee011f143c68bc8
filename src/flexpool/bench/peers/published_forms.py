"""The catalogue's operators in PyTorch as their authors publish them: a few calls around its own.

What flexpool does beyond that, such as keeping powers in range, these do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flexpool.bench.problem import Problem

__all__ = ["FORMS", "Form", "laid_out", "window"]

Form = Callable[..., Tensor]
Made = tuple[Form, str] | None
EPSILON = 1e-6  # below which powers and logarithms take no value, in flexpool by default too


def window(problem: Problem) -> dict[str, Any]:
    """Give the window as PyTorch's functions take it."""
    case = problem.case
    return {
        "kernel_size": case.kernel,
        "stride": case.steps,
        "padding": case.padding,
        "ceil_mode": case.ceil_mode,
    }


def laid_out(problem: Problem) -> tuple[Callable[[Tensor], Tensor], str] | None:
    """Lay out the elements of each window along a last axis."""
    case, d = problem.case, problem.case.dimensions
    if case.padding or case.ceil_mode:
        return None
    outputs, positions = tuple(problem.grad_y.shape), math.prod(case.kernel)

    def reshaped(x: Tensor) -> Tensor:
        """Split each size into windows and what is inside them, then bring the insides together."""
        for axis in range(d):  # what no window reaches is left out
            x = x.narrow(2 + axis, 0, outputs[2 + axis] * case.kernel[axis])
        pairs = (size for pair in zip(outputs[2:], case.kernel, strict=True) for size in pair)
        apart = x.reshape(*outputs[:2], *pairs)
        order = (0, 1, *range(2, 2 + 2 * d, 2), *range(3, 3 + 2 * d, 2))
        return apart.permute(order).reshape(*outputs, positions)

    def unfolded(x: Tensor) -> Tensor:
        for axis in range(d):
            x = x.unfold(2 + axis, case.kernel[axis], case.steps[axis])
        return x.reshape(*outputs, positions)

    return (reshaped, "reshape") if case.kernel == case.steps else (unfolded, "unfold")


def _extremes(problem: Problem) -> tuple[Form, Form]:
    d = problem.case.dimensions
    if problem.case.kernel_size is None:
        adaptive = getattr(F, f"adaptive_max_pool{d}d")
        return (lambda x: adaptive(x, 1)), (lambda x: -adaptive(-x, 1))
    pool, where = getattr(F, f"max_pool{d}d"), window(problem)
    return (lambda x: pool(x, **where)), (lambda x: -pool(-x, **where))


def _mean(problem: Problem) -> Form:
    """Average what is inside the input."""
    d = problem.case.dimensions
    if problem.case.kernel_size is None:
        adaptive = getattr(F, f"adaptive_avg_pool{d}d")
        return lambda x: adaptive(x, 1)
    pool, where = getattr(F, f"avg_pool{d}d"), window(problem)
    return lambda x: pool(x, **where, count_include_pad=False)


def _averaged(inner: Form, outer: Form, how: str) -> Callable[[Problem], Made]:
    """Average a function of the values, and take another function of that."""

    def make(problem: Problem) -> Made:
        mean = _mean(problem)
        return (lambda x: outer(mean(inner(x)))), how

    return make


def _range(problem: Problem) -> Made:
    largest, least = _extremes(problem)
    return (lambda x: largest(x) - least(x)), "max_pool(x) + max_pool(-x)"


def _mam(problem: Problem) -> Made:
    (largest, least), mean = _extremes(problem), _mean(problem)

    def run(x: Tensor) -> Tensor:
        top, middle = largest(x), mean(x)
        spread = top - least(x)
        return torch.where(spread > middle, spread, (top + middle) / 2)

    return run, "max_pool, avg_pool, where"


def _gaussian(problem: Problem) -> Made:
    found = laid_out(problem)
    if found is None:
        return None
    windows, how = found
    return (
        lambda x: (w := windows(x)).mean(-1) + (w.var(-1, correction=0) + EPSILON).sqrt()
    ), f"{how}, mean, var"


def _haar(problem: Problem) -> Made:
    if problem.case.padding or problem.case.ceil_mode:
        return None
    mean, size = _mean(problem), math.sqrt(math.prod(problem.case.kernel))
    return (lambda x: size * mean(x)), "avg_pool"


def _best_two(problem: Problem) -> Made:
    found = laid_out(problem)
    if found is None:
        return None
    windows, how = found
    return (lambda x: windows(x).topk(2, -1, sorted=False).values.mean(-1)), f"{how}, topk, mean"


def _ordinal(problem: Problem) -> Made:
    found = laid_out(problem)
    if found is None:
        return None
    windows, how = found

    def run(x: Tensor, weight: Tensor) -> Tensor:
        share = weight.clamp(min=0)
        return windows(x).sort(-1, descending=True).values @ (share / share.sum()).flatten()

    return run, f"{how}, sort"


def _rank_weighted(problem: Problem) -> Made:
    found = laid_out(problem)
    if found is None:
        return None
    windows, how = found
    share = 0.5 ** torch.arange(math.prod(problem.case.kernel))
    share = (share / share.sum()).to(problem.x.dtype)
    return (lambda x: windows(x).sort(-1, descending=True).values @ share), f"{how}, sort"


FORMS: dict[str, Callable[[Problem], Made]] = {
    "gaussian": _gaussian,
    "gem": _averaged(lambda x: x.clamp(min=EPSILON) ** 3, lambda y: y ** (1 / 3), "pow, avg_pool"),
    "geometric": _averaged(lambda x: x.clamp(min=EPSILON).log(), torch.exp, "log, avg_pool, exp"),
    "haar": _haar,
    "lse": _averaged(torch.exp, torch.log, "exp, avg_pool, log"),
    "mam": _mam,
    "ordinal": _ordinal,
    "range": _range,
    "rank_average": _best_two,
    "rank_weighted": _rank_weighted,
    "topk": _best_two,
}
