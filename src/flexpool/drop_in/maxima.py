"""Maxima of windows that overlap, for training: forward by flexpool, backward by PyTorch.

Where windows share elements a gradient is a sum, and a sum depends on its order. PyTorch's own
backward pass has PyTorch's order, so that gradients are the same to the bit. This is for windows
whose gradients flexpool adds in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flexpool import torch_calls
from flexpool.window import Window

__all__ = ["pool", "pool_with_indices"]

_BACKWARD: dict[int, Any] = {
    2: torch.ops.aten.max_pool2d_with_indices_backward.default,
    3: torch.ops.aten.max_pool3d_with_indices_backward.default,
}


class _Max(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, spec: str, where: Window) -> tuple[Tensor, Tensor]:
        y, index = torch_calls.pool_with_indices(x, spec)
        ctx.where = where
        ctx.save_for_backward(x, index)
        ctx.mark_non_differentiable(index)
        return y, index

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, _: object) -> Any:
        return _gradient(ctx.where, grad_y, *ctx.saved_tensors), None, None


def _gradient(where: Window, grad_y: Tensor, x: Tensor, index: Tensor) -> Tensor:
    before = [amounts[0] for amounts in where.padding_at(x.shape[-where.dimensions :])]
    window = [list(where.kernel_size), list(where.stride), before, list(where.dilation)]
    if where.dimensions > 1:
        gradient: Tensor = _BACKWARD[where.dimensions](grad_y, x, *window, where.ceil_mode, index)
        return gradient
    flat = [[size, *amounts] for size, amounts in zip((1, 1, 0, 1), window, strict=True)]
    row, x, index = grad_y.unsqueeze(-2), x.unsqueeze(-2), index.unsqueeze(-2)
    gradient = _BACKWARD[2](row, x, *flat, where.ceil_mode, index)
    return gradient.squeeze(-2)


def pool_with_indices(x: Tensor, spec: str, where: Window) -> tuple[Tensor, Tensor]:
    """Pool, and find where each maximum lies."""
    found: tuple[Tensor, Tensor] = _Max.apply(x, spec, where)  # type: ignore[no-untyped-call]
    return found


def pool(x: Tensor, spec: str, where: Window) -> Tensor:
    """Pool."""
    return pool_with_indices(x, spec, where)[0]
