"""flexpool, called as its users call it."""

from __future__ import annotations

from typing import Any

import flexpool
from flexpool.bench.peers.base import CannotError, Peer, Side, differentiated
from flexpool.bench.problem import Problem

__all__ = ["FLEXPOOL"]


def _make(problem: Problem) -> Side:
    if problem.case.arrays == "torch":
        return Side(differentiated(problem.pool, problem), "flexpool.pool")
    if problem.direction == "forward":
        return Side(lambda: problem.pool(problem.x, *problem.others.values()), "NumPy arrays")
    if problem.case.dtype == "uint8":
        raise CannotError("integers have no gradient")
    case = problem.case

    def backward() -> Any:
        where = (case.kernel, case.steps, case.padding, 1, case.ceil_mode)
        return list(
            flexpool.pool_backward(
                problem.grad_y,
                problem.x,
                problem.operator,
                *where,
                wanted=problem.wanted,
                **problem.arguments,
            ).values()
        )

    return Side(backward, "NumPy arrays")


FLEXPOOL = Peer("flexpool", "flexpool", lambda: None, _make)
