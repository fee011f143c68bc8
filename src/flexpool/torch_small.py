"""Small inputs of max and average pooling, which PyTorch computes sooner.

Where both compute the same and nothing but speed depends on who does it, such inputs are handed
over to PyTorch. Whoever asks for a backend by name gets that backend.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from flexpool import sooner
from flexpool.torch_ops import HALVES
from flexpool.window import AdaptiveWindow, Window

__all__ = [
    "FEW",
    "FEW_ROUNDED",
    "MOST",
    "Theirs",
    "by_torch",
    "nothing_handed_over",
]

# No more elements are handed over unasked; tests and benchmarks make it less.
_UNASKED = FEW = 16_384

# As many are handed over of averages that both round differently, where there is a backward pass or
# windows are adaptive: whoever computes them must not depend on the number of threads.
FEW_ROUNDED = 16_384

# No more are handed over, however much sooner PyTorch is: for larger inputs it also matters that it
# keeps the place of each maximum in eight bytes, and flexpool nothing.
MOST = 500_000

# Averages of that many elements are summed in the same order by both.
_SAME_ORDER = 32

_MOST_KNOWN = 64  # kinds of calls of which is remembered who computes them

_tracing = torch._C._is_tracing  # what is traced must do for larger inputs too

_DTYPES = (torch.float32, torch.float64)
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32)
_MAX = (torch.max_pool1d, torch.max_pool2d, torch.max_pool3d)
_MAX_WITH_INDICES = (
    torch.max_pool1d_with_indices,
    torch._C._nn.max_pool2d_with_indices,
    torch._C._nn.max_pool3d_with_indices,
)
_AVG = (torch.avg_pool1d, torch._C._nn.avg_pool2d, torch._C._nn.avg_pool3d)
_ADAPTIVE_AVG = (
    torch.adaptive_avg_pool1d,
    torch._C._nn.adaptive_avg_pool2d,
    torch._C._nn.adaptive_avg_pool3d,
)


@contextlib.contextmanager
def nothing_handed_over() -> Iterator[None]:
    """Keep small inputs inside the block, as where their kernels are to be compiled or measured."""
    global FEW, MOST
    before = FEW, MOST
    FEW = MOST = 0
    try:
        yield
    finally:
        FEW, MOST = before


class Theirs:
    """PyTorch's way to do a pooling.

    Args:
        operator: the operator's name.
        window: where the windows lie.
        options: the operator's options, all of them.
        function: PyTorch's.
        arguments: of the function, after the input.
    """

    __slots__ = (
        *("_disjoint", "_few", "_known", "_others", "_whole_map"),
        *("arguments", "asked", "function", "window"),
    )

    def __init__(
        self,
        operator: str,
        window: Window | AdaptiveWindow,
        options: tuple[tuple[str, Any], ...],
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        self.asked = (operator, window, options)
        self.window, self.function, self.arguments = window, function, arguments
        self._disjoint = isinstance(window, Window) and window.is_disjoint
        # One sum in a row, which PyTorch does well.
        self._whole_map = isinstance(window, AdaptiveWindow) and set(window.output_size) == {1}
        self._few = _few(operator, window)
        self._others = _other_types(operator, window)
        self._known: dict[Any, bool] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Let PyTorch pool."""
        y: Tensor = self.function(x, *self.arguments)
        return y

    def or_else(self, ours: Callable[[Tensor], Tensor | None]) -> Callable[[Tensor], Tensor | None]:
        """Make a function that lets PyTorch pool what it pools sooner, and ours the rest.

        The usual small tensor is told apart right there: where PyTorch takes two microseconds,
        each call of a function more is a twentieth of that. None is returned, too, where PyTorch
        finds an error.
        """
        is_sooner, function, arguments = self.is_sooner, self.function, self.arguments
        few = self._few
        alone, sliding = len(arguments) == 1, len(arguments) in (2, 3)
        size, stride, padding = (*arguments, 0)[:3] if sliding else (arguments[0], None, None)

        def pool(x: Tensor) -> Tensor | None:
            elements = x.numel() if type(x) is Tensor and x.dtype in _DTYPES else None
            # Of a tensor that is being traced it is no int: to ask the tracer takes longer.
            small = type(elements) is int and 0 < elements <= few and elements <= FEW
            if not small and not is_sooner(x):
                return ours(x)
            try:
                y: Tensor
                if alone:
                    y = function(x, size)
                elif sliding:  # arguments in a tuple cost a tenth of the call
                    y = function(x, size, stride, padding)
                else:
                    y = function(x, *arguments)
            except RuntimeError:  # the errors are ours
                return None
            return y

        return pool

    def is_sooner(self, x: Any) -> bool:
        """Tell whether an input is a plain small tensor that PyTorch pools sooner, and equally."""
        if type(x) is not Tensor or _tracing():
            return False
        if x.dtype not in _DTYPES and not self._is_equal_in(x):
            return False
        elements: int = x.numel()
        if elements <= min(self._few, FEW):
            return elements > 0
        if x.layout is not torch.strided:
            return x.is_mkldnn  # which is PyTorch's alone
        if elements > MOST or not x.is_cpu:
            return False
        if self._whole_map:
            return True
        trained = x.requires_grad and torch.is_grad_enabled()
        seen = (x.shape, x.stride(), trained, torch.get_num_threads())
        known = self._known.get(seen)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:  # all modules alike share this
                self._known.clear()
            known = self._known[seen] = self._decided(*seen)
        return known

    def _is_equal_in(self, x: Tensor) -> bool:
        """Tell whether PyTorch's result and gradient are equal in types of fewer digits.

        Gradients that meet at an element it rounds one after the other, flexpool their sum.
        """
        if x.dtype not in self._others:
            return False
        return self._disjoint or not (x.requires_grad and torch.is_grad_enabled())

    def _decided(
        self, shape: tuple[int, ...], strides: tuple[int, ...], trained: bool, threads: int
    ) -> bool:
        window, operator = self.window, self.asked[0]
        if isinstance(window, AdaptiveWindow):
            return math.prod(shape) <= FEW_ROUNDED
        layout = sooner.layout(tuple(shape), strides, window.dimensions)
        if layout is None:
            return False
        same_order = self._disjoint and math.prod(window.kernel_size) <= _SAME_ORDER
        if layout == "planes" and operator == "avg" and not same_order:
            return trained and math.prod(shape) <= FEW_ROUNDED
        kind = sooner.Kind(operator, window.dimensions, layout)
        return not sooner.is_worth_in(kind, window, tuple(shape), trained, threads)


def _few(operator: str, window: Window | AdaptiveWindow) -> int:
    """Tell up to how many elements PyTorch is sooner on any number of threads, trained or not."""
    if isinstance(window, AdaptiveWindow):
        return FEW_ROUNDED
    least = sooner.LEAST_WORK[sooner.Kind(operator, window.dimensions, "planes")]
    either = least[::2] if window.is_disjoint else least[1::2]
    read = math.prod(window.kernel_size) / math.prod(window.stride)  # times that each is read
    return int(min(*either, _UNASKED) / max(read, 1))


def _other_types(operator: str, window: Window | AdaptiveWindow) -> tuple[torch.dtype, ...]:
    """List the types besides float32 and float64 in which PyTorch has an equal pooling."""
    if isinstance(window, AdaptiveWindow):
        return ()
    if operator == "max":
        return HALVES if window.dimensions == 1 else (*HALVES, *_WHOLE)
    return HALVES if operator == "avg" and window.dimensions < 3 else ()


@functools.lru_cache(maxsize=1024, typed=True)
def by_torch(
    operator: str, window: Window | AdaptiveWindow, options: tuple[tuple[str, Any], ...]
) -> Theirs | None:
    """Give what PyTorch calls a pooling, or None where it has none that is equal.

    Args:
        operator: its name, or "max with indices".
        window: where the windows lie.
        options: the operator's options, all of them.
    """
    index, asked = window.dimensions - 1, (operator, window, options)
    if index >= len(_MAX):
        return None
    if isinstance(window, AdaptiveWindow):
        whole = dict(options) == {"count_include_pad": True, "divisor_override": None}
        if operator != "avg" or not whole or None in window.output_size:
            return None
        return Theirs(*asked, _ADAPTIVE_AVG[index], (_brief(window.output_size),))
    pairs = window.padding
    if pairs == "same" or any(before != after for before, after in pairs):
        return None
    size, stride = _brief(window.kernel_size), _brief(window.stride)
    where = [(size, ()), (stride, size), (_brief(tuple(before for before, _ in pairs)), 0)]
    if operator in ("max", "max with indices"):
        function = (_MAX if operator == "max" else _MAX_WITH_INDICES)[index]
        rest = [(_brief(window.dilation), 1), (window.ceil_mode, False)]
        return Theirs(*asked, function, _without_defaults([*where, *rest]))
    if operator != "avg" or max(window.dilation) > 1:
        return None
    given = dict(options)
    include, divisor = given["count_include_pad"], given["divisor_override"]
    if index == 0 and divisor is not None:
        return None
    more = [(window.ceil_mode, False), (include, True), (divisor, None)]
    return Theirs(*asked, _AVG[index], _without_defaults([*where, *more]))


def _brief(items: tuple[Any, ...]) -> Any:
    """Write one number for several that are equal: PyTorch reads it in half the time."""
    return items[0] if len(set(items)) == 1 else items


def _without_defaults(given: list[tuple[Any, Any]]) -> tuple[Any, ...]:
    """List the values of pairs of a value and its default, up to the last that differs from it."""
    while given[-1][0] == given[-1][1]:
        given = given[:-1]
    return tuple(value for value, _ in given)
