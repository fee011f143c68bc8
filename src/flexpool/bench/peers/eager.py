"""PyTorch as it is, one operation after the other."""

from __future__ import annotations

import torch

from flexpool.bench.peers.base import Peer, Side, differentiated
from flexpool.bench.peers.forms import form
from flexpool.bench.problem import Problem

__all__ = ["EAGER"]


def _make(problem: Problem) -> Side:
    written, how = form(problem)
    draws = problem.random and how != "formula"
    if problem.case.arrays == "torch":
        return Side(differentiated(written, problem), how, draws)
    x, others = problem.x, list(problem.others.values())
    return Side(lambda: written(*map(torch.from_numpy, (x, *others))).numpy(), how, draws)


EAGER = Peer("torch", "PyTorch", lambda: None, _make)
