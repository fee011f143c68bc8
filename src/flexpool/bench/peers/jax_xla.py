"""JAX, compiled by XLA, where it is installed."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import torch

from flexpool.bench.peers.base import CannotError, Peer, Side
from flexpool.bench.problem import Problem

__all__ = ["JAX"]


def _missing() -> str | None:
    if importlib.util.find_spec("jax") is None:
        return "jax is not installed; install it with: pip install jax"
    return None


def _make(problem: Problem) -> Side:
    import jax
    from jax import lax

    case, name = problem.case, problem.operator.name
    if name not in ("max", "min", "avg", "sum") or case.ceil_mode:
        raise CannotError("reduce_window has max, min, avg and sum, and no ceil mode")
    if problem.layout != "contiguous" or case.dtype != "float32":
        raise CannotError("is measured on contiguous float32 arrays")
    if problem.threads != (os.cpu_count() or 1):
        raise CannotError("takes all processors, whatever --threads")
    windows = (1, 1, *case.kernel)
    steps = (1, 1, *case.steps)
    edges = ((0, 0), (0, 0), *(((case.padding, case.padding),) * case.dimensions))
    start, combine = {"max": (-float("inf"), lax.max), "min": (float("inf"), lax.min)}.get(
        name, (0.0, lax.add)
    )
    divisor = float(torch.tensor(case.kernel).prod()) if name == "avg" else 1.0

    def pooled(x: Any) -> Any:
        return lax.reduce_window(x, start, combine, windows, steps, edges) / divisor

    def gradient(x: Any, grad_y: Any) -> Any:
        return jax.vjp(pooled, x)[1](grad_y)[0]

    x, grad_y = jax.numpy.asarray(problem.x.numpy()), jax.numpy.asarray(problem.grad_y.numpy())
    if problem.direction == "forward":
        run = jax.jit(pooled)
        return Side(lambda: run(x).block_until_ready(), "reduce_window")
    back = jax.jit(gradient)
    return Side(lambda: back(x, grad_y).block_until_ready(), "vjp of reduce_window")


JAX = Peer("jax", "JAX", _missing, _make)
