"""PyTorch's pooling functions, as far as flexpool takes them over.

Each takes the arguments of PyTorch's and returns what to run instead, or None where the call is
PyTorch's: because of the rules, and because of any argument that is not plainly right, so that
PyTorch words its own errors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from flexpool import calls, sooner, torch_calls, torch_ops
from flexpool.backends import numba_cpu
from flexpool.drop_in import maxima
from flexpool.errors import FlexpoolError
from flexpool.window import AdaptiveWindow, Window, adaptive_window, window

__all__ = ["FUNCTIONS", "Instead", "of_module"]

Instead = Callable[[], Any] | None


def _max(
    dimensions: int,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: Any = False,
) -> Instead:
    where = (kernel_size, stride, padding, dilation, ceil_mode)
    return _pool(input, _chosen("max", dimensions, input, where))


def _max_with_indices(
    dimensions: int,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: Any = False,
) -> Instead:
    where = (kernel_size, stride, padding, dilation, ceil_mode)
    chosen = _chosen("max with indices", dimensions, input, where)
    if chosen is None:
        return None
    if chosen.sums is not None:
        return functools.partial(maxima.pool_with_indices, input, chosen.spec, chosen.sums)
    return functools.partial(torch_calls.pool_with_indices, input, chosen.spec)


def _avg(
    dimensions: int,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
    divisor_override: Any = None,
) -> Instead:
    if type(count_include_pad) is not bool:
        return None
    where = (kernel_size, stride, padding, 1, ceil_mode)
    plain = (("count_include_pad", count_include_pad), ("divisor_override", divisor_override))
    return _pool(input, _chosen("avg", dimensions, input, where, plain))


def _avg_1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
) -> Instead:
    return _avg(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def _lp(
    dimensions: int,
    input: Any,
    norm_type: Any,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: Any = False,
) -> Instead:
    usual = type(norm_type) in (int, float) and math.isfinite(norm_type) and norm_type != 0
    each = (kernel_size,) * dimensions if type(kernel_size) is int else kernel_size
    whole = type(each) in (tuple, list) and len(each) == dimensions
    if not usual or not whole or not input.is_contiguous():
        return None
    if dimensions == 1 and type(kernel_size) is not int:
        return None
    chosen = _chosen("avg", dimensions, input, (kernel_size, stride, 0, 1, ceil_mode))
    if chosen is None:
        return None
    return functools.partial(_norm, input, norm_type, math.prod(each), chosen.spec)


def _norm(input: Tensor, norm_type: float, count: int, spec: str) -> Tensor:
    """Compute PyTorch's norm, which is made of an average; only that is ours.

    What it does to the average's sign changes no value, only the gradient at zero.
    """
    mean = torch_calls.pool(input.pow(norm_type), spec, {}, None)
    return (mean.sign() * mean.abs().relu()).mul(count).pow(1 / norm_type)


def _adaptive_max(dimensions: int, input: Any, output_size: Any) -> Instead:
    return _pool(input, _chosen("adaptive max", dimensions, input, (output_size,)))


def _adaptive_avg(dimensions: int, input: Any, output_size: Any) -> Instead:
    return _pool(input, _chosen("adaptive avg", dimensions, input, (output_size,)))


class _Chosen(NamedTuple):
    """A call that flexpool takes over.

    Attributes:
        spec: its name.
        sums: the window, where the gradient of a maximum is a sum in another order; else None.
    """

    spec: str
    sums: Window | None


def _pool(input: Any, chosen: _Chosen | None) -> Instead:
    if chosen is None:
        return None
    if chosen.sums is not None:
        return functools.partial(maxima.pool, input, chosen.spec, chosen.sums)
    return functools.partial(torch_calls.pool, input, chosen.spec, {}, None)


def _chosen(
    pooling: str,
    dimensions: int,
    input: Any,
    where: tuple[Any, ...],
    plain: tuple[tuple[str, Any], ...] = (),
) -> _Chosen | None:
    """Settle a call that flexpool takes over; else return None."""
    trained = input.requires_grad and torch.is_grad_enabled()
    half, threads = input.dtype in torch_ops.HALVES, torch.get_num_threads()
    seen = (tuple(input.shape), input.stride(), half, trained, threads)
    where = tuple([tuple(item) if type(item) is list else item for item in where])
    return _settled(pooling, dimensions, seen, where, plain)


@functools.lru_cache(maxsize=4096, typed=True)
def _settled(
    pooling: str,
    dimensions: int,
    seen: tuple[Any, ...],
    where: tuple[Any, ...],
    plain: tuple[tuple[str, Any], ...],
) -> _Chosen | None:
    shape, strides, half, trained, threads = seen
    layout = sooner.layout(shape, strides, dimensions)
    if layout is None or len(shape) - dimensions not in (1, 2) or 0 in shape:
        return None
    if pooling == "adaptive max" and trained:
        return None  # the order in which its gradient is summed
    if layout == "channels last" and dimensions == 3 and (pooling != "max" or trained):
        return None  # PyTorch's result is laid out otherwise; its index of -inf is not the first
    sizes = shape[-dimensions:]
    try:
        made = _window(dimensions, where)
        if made is None or not _fits(made, sizes, pooling):
            return None
        operator = "max" if "max" in pooling else "avg"
        spec = calls.spec(operator, made, plain, (), "auto")
        kind = sooner.Kind(pooling, dimensions, layout)
        if not sooner.is_worth_in(kind, made, shape, trained, threads):
            return None
    except FlexpoolError:
        return None
    if half and (layout != "planes" or (operator == "avg" and not _is_equal_half(made, trained))):
        return None
    overlapping = made if isinstance(made, Window) and not made.is_disjoint else None
    if operator != "max" or not trained or overlapping is None:
        return _Chosen(spec, None)
    in_order = layout == "planes" and not half and _adds_as_torch(spec, shape)
    return _Chosen(spec, None if in_order else overlapping)


def _adds_as_torch(spec: str, shape: tuple[int, ...]) -> bool:
    """Tell whether flexpool adds the parts of a maximum's gradient in PyTorch's order."""
    call = calls.call_of(spec)
    whole = (1,) * (call.window.dimensions + 2 - len(shape)) + shape
    return numba_cpu.adds_in_order(calls.task(call, call.gradient(("x",)), whole, "float32"))


def _is_equal_half(made: Window | AdaptiveWindow, trained: bool) -> bool:
    """Tell whether PyTorch's averages of half floats, and their gradients, are equal.

    Gradients that meet at an element it rounds one after the other, flexpool their sum. In three
    dimensions it has no such averages.
    """
    if isinstance(made, AdaptiveWindow) or made.dimensions > 2:
        return False
    return made.is_disjoint or not trained


def _window(dimensions: int, where: tuple[Any, ...]) -> Window | AdaptiveWindow | None:
    """Make a window of arguments that PyTorch and flexpool read alike, else return None."""
    if len(where) == 1:
        (size,) = where
        whole = type(size) is not tuple or len(size) == dimensions
        kinds = (int,) if dimensions == 1 else (int, type(None))
        return adaptive_window(dimensions, size) if whole and _is_made_of(size, kinds) else None
    kernel_size, stride, padding, dilation, ceil_mode = where
    by_size = stride is None or stride == ()  # as PyTorch's functions written in Python say it
    given = (kernel_size, kernel_size if by_size else stride, padding, dilation)
    if type(ceil_mode) is not bool or not all(_is_made_of(item, (int,)) for item in given):
        return None
    if any(type(item) is tuple and len(item) not in (1, dimensions) for item in given):
        return None
    alone = [item[0] if type(item) is tuple and len(item) == 1 else item for item in given]
    size, step, amount, distance = alone
    return window(dimensions, size, step, amount, distance, ceil_mode=ceil_mode)


def _is_made_of(item: Any, kinds: tuple[type, ...]) -> bool:
    """Tell whether an item, or each in a tuple, is of some types, and no subclass as bool is."""
    return all(type(each) in kinds for each in (item if type(item) is tuple else (item,)))


def _fits(made: Window | AdaptiveWindow, sizes: tuple[int, ...], pooling: str) -> bool:
    """Tell whether PyTorch takes an input of these sizes; avg_pool3d wants one whole window."""
    if isinstance(made, AdaptiveWindow):
        return math.prod(made.output_shape(sizes)) > 0
    whole = all(size >= k for size, k in zip(sizes, made.kernel_size, strict=True))
    return whole or pooling != "avg" or len(sizes) < 3


def _whatever_flag(function: Callable[..., Instead], *args: Any, **kwargs: Any) -> Instead:
    """Leave return_indices out: PyTorch has read it, and called the function that it asks for."""
    kwargs.pop("return_indices", None)
    return function(*args, **kwargs)


def _of(family: str, dimensions: int) -> Callable[..., Instead]:
    """Give the function above that stands for a family in so many dimensions."""
    if family == "avg_pool" and dimensions == 1:
        return _avg_1d
    return functools.partial(_FAMILIES[family], dimensions)


_FAMILIES: dict[str, Callable[..., Instead]] = {
    "max_pool": _max,
    "max_pool_with_indices": _max_with_indices,
    "avg_pool": _avg,
    "lp_pool": _lp,
    "adaptive_max_pool": _adaptive_max,
    "adaptive_avg_pool": _adaptive_avg,
}


def _functions() -> dict[Any, Callable[..., Instead]]:
    """Map PyTorch's functions to those above.

    Those that return the indices of an adaptive maximum are left out: flexpool is no faster there.
    """
    found: dict[Any, Callable[..., Instead]] = {}
    for family in _FAMILIES:
        for dimensions in (1, 2, 3):
            stem, with_indices = family.removesuffix("_with_indices"), family.endswith("_indices")
            name = f"{stem}{dimensions}d" + "_with_indices" * with_indices
            for home in (torch, torch._C._nn):
                if hasattr(home, name) and family != "adaptive_max_pool":
                    found[getattr(home, name)] = _of(family, dimensions)
            theirs = getattr(F, name)
            if "max" in family:
                found[theirs] = functools.partial(_whatever_flag, _of(family, dimensions))
            else:
                found[theirs] = _of(family, dimensions)
    return found


FUNCTIONS = _functions()


def of_module(name: str, with_indices: bool) -> Any:
    """Give the function that ``torch.nn``'s module of a name calls."""
    words = name.replace("LP", "Lp").replace("Adaptive", "Adaptive_").replace("Pool", "_pool")
    return getattr(F, words.lower() + "_with_indices" * with_indices)
