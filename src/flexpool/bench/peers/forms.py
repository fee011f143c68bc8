"""Each operator as PyTorch's users write it: PyTorch's own pooling, or a few calls around it.

Where there is no such form, as for a new operator, flexpool's formula is written out in PyTorch's
operations, one for each step, by exporting it. Forms that are not faster than that are not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexpool.bench.peers.published_forms import FORMS, Form, laid_out, window
from flexpool.bench.problem import Problem

__all__ = ["form", "formula"]


def form(problem: Problem) -> tuple[Form, str]:
    """Give a function of (x, *others) and what it calls.

    Example:
        >>> from flexpool.bench.cases import Choice, find
        >>> from flexpool.bench.problem import problem
        >>> form(problem(Choice("min", find("1x1x4x4:k2")), "forward", 1))[1]
        '-max_pool2d(-x)'
    """
    make = _FORMS.get(problem.operator.name)
    written = None if make is None else make(problem)
    return (formula(problem), "formula") if written is None else written


def formula(problem: Problem) -> Form:
    """Write flexpool's formula out in PyTorch's operations."""

    class Formula(nn.Module):
        def forward(self, x: Tensor, *others: Tensor) -> Tensor:
            pooled: Tensor = problem.pool(x, *others)
            return pooled

    inputs = (problem.x, *problem.others.values())
    exported: Form = torch.export.export(Formula(), inputs).module()
    return exported


def _max(problem: Problem) -> tuple[Form, str]:
    case, d = problem.case, problem.case.dimensions
    if case.kernel_size is None:
        adaptive = getattr(F, f"adaptive_max_pool{d}d")
        return (lambda x: adaptive(x, 1)), f"adaptive_max_pool{d}d"
    pool, where = getattr(F, f"max_pool{d}d"), window(problem)
    return (lambda x: pool(x, **where)), f"max_pool{d}d"


def _min(problem: Problem) -> tuple[Form, str]:
    largest, how = _max(problem)
    if problem.case.dtype == "uint8":  # which has no negative numbers
        return (lambda x: ~largest(~x)), f"~{how}(~x)"
    return (lambda x: -largest(-x)), f"-{how}(-x)"


def _avg(problem: Problem) -> tuple[Form, str]:
    case, d = problem.case, problem.case.dimensions
    if case.kernel_size is None:
        adaptive = getattr(F, f"adaptive_avg_pool{d}d")
        return (lambda x: adaptive(x, 1)), f"adaptive_avg_pool{d}d"
    pool, where = getattr(F, f"avg_pool{d}d"), window(problem)
    return (lambda x: pool(x, **where)), f"avg_pool{d}d"


def _sum(problem: Problem) -> tuple[Form, str] | None:
    case, d = problem.case, problem.case.dimensions
    axes = tuple(range(2, 2 + d))
    if case.kernel_size is None:
        return (lambda x: x.sum(axes, keepdim=True)), "sum"
    pool, where = getattr(F, f"avg_pool{d}d"), window(problem)
    if d > 1:
        return (lambda x: pool(x, **where, divisor_override=1)), f"avg_pool{d}d, divisor 1"
    if case.ceil_mode:
        return None
    return (lambda x: pool(x, **where) * case.kernel[0]), "avg_pool1d(x) * k"


def _lp(problem: Problem) -> tuple[Form, str] | None:
    case, d = problem.case, problem.case.dimensions
    if case.ceil_mode:  # torch divides what overhangs by the whole window
        return None
    pool, edges = getattr(F, f"lp_pool{d}d"), [case.padding] * (2 * d)
    kernel: Any = case.kernel if d > 1 else case.kernel[0]
    stride: Any = case.steps if d > 1 else case.steps[0]
    if case.padding:
        return (lambda x: pool(F.pad(x, edges), 2.0, kernel, stride)), f"lp_pool{d}d(pad(x))"
    return (lambda x: pool(x, 2.0, kernel, stride)), f"lp_pool{d}d"


def _weighted(problem: Problem, weight: Callable[..., Tensor]) -> tuple[Form, str]:
    """Divide two averages: whatever the padding adds or the averages divide by cancels."""
    mean, how = _avg(problem)

    def run(x: Tensor, *others: Tensor) -> Tensor:
        w = weight(*(others or (x,)))
        return mean(w * x) / mean(w)

    return run, f"{how}(w * x) / {how}(w)"


def _soft(problem: Problem) -> tuple[Form, str]:
    return _weighted(problem, torch.exp)


def _boltzmann(problem: Problem) -> tuple[Form, str]:
    beta = problem.settings["beta"]
    return _weighted(problem, lambda x: (beta * x).exp())


def _mixed(problem: Problem) -> tuple[Form, str]:
    case, share = problem.case, problem.settings["a"]
    (largest, one), (_, two) = _max(problem), _avg(problem)
    mean = getattr(F, f"avg_pool{case.dimensions}d")
    where = {**window(problem), "count_include_pad": False}
    return (
        lambda x: share * largest(x) + (1 - share) * mean(x, **where)
    ), f"a {one} + (1 - a) {two}"


def _blur(problem: Problem) -> tuple[Form, str] | None:
    case, d = problem.case, problem.case.dimensions
    if case.padding or case.ceil_mode:  # a convolution does not leave out what is absent
        return None
    convolution: Any = getattr(F, f"conv{d}d")
    rows = problem.operator.arguments["weight"].default(case.kernel)
    weight = torch.from_numpy(rows).to(problem.x.dtype).expand(case.shape[1], 1, *case.kernel)
    filters = weight.contiguous()

    def run(x: Tensor) -> Tensor:
        blurred: Tensor = convolution(x, filters, stride=case.steps, groups=case.shape[1])
        return blurred

    return run, f"conv{d}d, depthwise"


def _median(problem: Problem) -> tuple[Form, str] | None:
    found = laid_out(problem)
    if found is None:
        return None
    windows, how = found
    return (lambda x: windows(x).median(-1).values), f"{how}, median"


def _stochastic(problem: Problem) -> tuple[Form, str] | None:
    found = laid_out(problem)
    if found is None:
        return None
    windows, how = found

    def run(x: Tensor) -> Tensor:
        values = windows(x)
        flat = values.flatten(0, -2)
        weight = flat.detach().clamp(min=0) + 1e-30  # else windows without any weight raise
        return flat.gather(1, weight.multinomial(1)).view(values.shape[:-1])

    return run, f"{how}, multinomial"


_FORMS: dict[str, Callable[[Problem], tuple[Form, str] | None]] = {
    **FORMS,
    "avg": _avg,
    "blur": _blur,
    "boltzmann": _boltzmann,
    "lip": lambda problem: _weighted(problem, torch.exp),
    "lp": _lp,
    "max": _max,
    "median": _median,
    "min": _min,
    "mixed": _mixed,
    "soft": _soft,
    "stochastic": _stochastic,
    "sum": _sum,
}
