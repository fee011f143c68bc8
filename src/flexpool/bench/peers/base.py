"""What a peer is: a name, whether it can run here, and how it makes a function to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexpool.bench.problem import Problem

__all__ = ["CannotError", "Peer", "Side", "as_arrays", "differentiated"]


class CannotError(Exception):
    """A peer has no way to do a row; the message says why."""


@dataclass(frozen=True)
class Side:
    """A peer ready to run one row.

    Attributes:
        run: computes the result, or the gradients; what it takes is what a user pays.
        how: what it calls, in a word or two.
        draws: whether it draws random numbers of its own, so that results differ from flexpool's.
    """

    run: Callable[[], Any]
    how: str
    draws: bool = False


@dataclass(frozen=True)
class Peer:
    """Something to be compared with.

    Attributes:
        name: the value of ``--peers``.
        title: what stands in pictures.
        missing: gives the reason why it cannot run here, or None.
        make: makes it ready for a row; raises :class:`CannotError` where it has no way.
    """

    name: str
    title: str
    missing: Callable[[], str | None]
    make: Callable[[Problem], Side]


def as_arrays(result: Any) -> list[np.ndarray]:
    """Bring what a side returned into NumPy arrays."""
    parts = result if isinstance(result, tuple | list) else [result]
    return [_as_array(part) for part in parts]


def _as_array(part: Any) -> np.ndarray:
    if isinstance(part, Tensor):
        dense = part.detach().to_dense() if part.is_mkldnn else part.detach()
        # NumPy has no bfloat16; float64 holds all of it.
        whole = dense.double() if dense.dtype == torch.bfloat16 else dense
        return np.asarray(whole.numpy())
    return np.asarray(part)


def differentiated(function: Callable[..., Tensor], problem: Problem) -> Callable[[], Any]:
    """Make what is timed of a function of tensors: itself, or its backward pass alone.

    The forward pass before it is made once and its graph kept, as ``retain_graph`` does.
    """
    inputs = [problem.x, *problem.others.values()]
    if problem.direction == "forward":

        def forward() -> Tensor:
            with torch.no_grad():
                return function(*inputs)

        return forward
    if not problem.x.is_floating_point():
        raise CannotError("integers have no gradient")
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    wanted = [leaves[0]]
    wanted += [
        leaf for n, leaf in zip(problem.others, leaves[1:], strict=True) if n in problem.wanted
    ]
    y = function(*leaves)

    def backward() -> Any:
        return torch.autograd.grad(y, wanted, problem.grad_y, retain_graph=True)

    return backward
