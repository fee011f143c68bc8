"""Numbers that a module computes with and that are no state of it: kept per type and device."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

__all__ = ["constant", "is_traced"]


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Give numbers as a vector of a tensor's type, where that tensor is."""
    if is_traced():
        return torch.tensor(values, dtype=like.dtype, device=like.device)
    return _kept(values, like.dtype, like.device)


def is_traced() -> bool:
    """Tell whether somebody records or replaces operations, so that no result may be kept."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
    )


@functools.lru_cache(maxsize=256)
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it outlives that
        return torch.tensor(values, dtype=dtype, device=device)
