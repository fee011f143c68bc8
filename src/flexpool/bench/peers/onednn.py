"""oneDNN through PyTorch's tensors in its layout; converting them is not counted."""

from __future__ import annotations

from typing import Any

import torch

from flexpool.bench.peers.base import CannotError, Peer, Side
from flexpool.bench.peers.forms import form
from flexpool.bench.problem import Problem

__all__ = ["ONEDNN"]


def _missing() -> str | None:
    if torch.backends.mkldnn.is_available():
        return None
    return "this PyTorch was built without oneDNN"


def _make(problem: Problem) -> Side:
    case, name = problem.case, problem.operator.name
    if name not in ("max", "avg"):
        raise CannotError("has max and avg only")
    if case.dimensions == 1 or (case.kernel_size is None and name == "max"):
        raise CannotError("PyTorch does not pass this pooling on to it")
    if case.arrays != "torch" or case.dtype != "float32" or problem.layout != "contiguous":
        raise CannotError("is measured on contiguous float32 tensors")
    written, how = form(problem)
    x = problem.x.to_mkldnn()
    if problem.direction == "forward":

        def forward() -> Any:
            with torch.no_grad():
                return written(x)

        return Side(forward, f"to_mkldnn, {how}")
    leaf = x.requires_grad_()
    y, grad_y = written(leaf), problem.grad_y.to_mkldnn()

    def backward() -> Any:
        return torch.autograd.grad(y, leaf, grad_y, retain_graph=True)

    return Side(backward, f"to_mkldnn, {how}")


ONEDNN = Peer("onednn", "oneDNN", _missing, _make)
