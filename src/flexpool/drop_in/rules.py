"""Which inputs of PyTorch's pooling flexpool may take over: those it pools equally, and sooner.

Everything else stays with PyTorch: results are the same either way, so when in doubt this says no.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from flexpool.torch_ops import HALVES

__all__ = ["LEAST_ELEMENTS", "TYPES", "takes"]

TYPES = (Tensor, torch.nn.Parameter)
_DTYPES = (torch.float32, torch.float64, *HALVES)
_STRIDED = torch.strided

_is_compiling = torch.compiler.is_dynamo_compiling
_tracing = torch._C._is_tracing

# A call on fewer elements is left at once, so that it costs next to nothing to have asked.
LEAST_ELEMENTS = 16_384


def takes(x: Any) -> bool:
    """Tell whether flexpool computes what PyTorch would for such an input, here and now.

    Subclasses of tensors, transforms, tracing and compiling have rules of their own: they see
    PyTorch's operators, as they would without flexpool.
    """
    if type(x) not in TYPES or _is_compiling() or _tracing():
        return False
    return (
        x.numel() >= LEAST_ELEMENTS
        and x.dtype in _DTYPES
        and x.layout is _STRIDED
        and x.is_cpu
        and not x.is_neg()
        and not _is_watched()
    )


def _is_watched() -> bool:
    """Tell whether torch.func's transforms, dual numbers or a dispatch mode are at work."""
    level: int = forward_ad._current_level
    return (
        level >= 0
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
    )
