"""PyTorch compiled by Inductor: the same forms as eager, fused into C++."""

from __future__ import annotations

import os
import shutil

import torch
import torch._functorch.config

from flexpool.bench.peers.base import CannotError, Peer, Side, differentiated
from flexpool.bench.peers.forms import form
from flexpool.bench.problem import Problem

__all__ = ["INDUCTOR"]


def _missing() -> str | None:
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    if any(compiler and shutil.which(compiler) for compiler in compilers):
        return None
    return "there is no C++ compiler; install one, such as g++, or set CXX"


def _make(problem: Problem) -> Side:
    if problem.case.arrays != "torch":
        raise CannotError("takes tensors")
    written, how = form(problem)
    unfolds = how.startswith("unfold") or how == "formula"  # which lays out windows so, too
    if problem.direction == "backward" and unfolds:
        raise CannotError("its gradient of unfold was wrong, and broke the process, in torch 2.13")
    # Programs of other rows count towards a limit on recompilation.
    torch.compiler.reset()
    compiled = torch.compile(written, dynamic=False)
    # Else the first backward pass may write into what the second one reads.
    with torch._functorch.config.patch(donated_buffer=False):
        run = differentiated(compiled, problem)
        run()
    return Side(run, f"compiled: {how}", problem.random and how != "formula")


INDUCTOR = Peer("inductor", "torch.compile", _missing, _make)
