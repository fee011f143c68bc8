"""The unit of the benchmark: copying the input into an array that is there already."""

from __future__ import annotations

import torch

from flexpool.bench.peers.base import Peer, Side
from flexpool.bench.problem import Problem

__all__ = ["COPY"]


def _make(problem: Problem) -> Side:
    x = torch.as_tensor(problem.x)
    target = torch.empty_like(x)
    return Side(lambda: target.copy_(x), "Tensor.copy_")


COPY = Peer("copy", "copy of the input", lambda: None, _make)
