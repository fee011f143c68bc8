"""Take over the pooling functions that are called inside a block, whoever calls them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from flexpool.drop_in.functions import FUNCTIONS, instead_of

__all__ = ["accelerated"]


class _Accelerated(TorchFunctionMode, contextlib.ContextDecorator):
    """The mode; it holds no state, so one may be entered again, and by several threads."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call what was called, or flexpool instead."""
        kwargs = kwargs or {}
        if torch.compiler.is_compiling():
            return func(*args, **kwargs)
        instead = instead_of(func, args, kwargs) if func in FUNCTIONS else None
        return func(*args, **kwargs) if instead is None else instead()


def accelerated() -> contextlib.AbstractContextManager[Any]:
    """Make a block, or a decorator, in which flexpool computes what PyTorch's functions pool.

    Inside, calls of ``torch.nn.functional``'s and ``torch``'s max, average, Lp and adaptive pooling
    by this thread, also those made by modules and libraries, go to flexpool where it computes the
    same sooner; all else stays with PyTorch. Results, errors and gradients are PyTorch's: maxima to
    the bit, averages to rounding.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 64, 56, 56)
        >>> with accelerated():
        ...     y = torch.nn.functional.max_pool2d(x, 2)
        >>> torch.equal(y, torch.nn.functional.max_pool2d(x, 2))
        True
    """
    return _Accelerated()
