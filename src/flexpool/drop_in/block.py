"""Take over the pooling functions that are called inside a block, whoever calls them.

While any thread is inside a block, others stand where PyTorch keeps the functions that pool, and
ask first. A mode of PyTorch's would see more calls, but every function there is would pass through
it, and a net of many small operations lose by that what its poolings gain.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.jit import _builtins

from flexpool.drop_in import rules
from flexpool.drop_in.functions import FUNCTIONS, Instead

__all__ = ["accelerated"]

_is_compiling = torch.compiler.is_dynamo_compiling
_overriding = torch._C._len_torch_function_stack
_TYPES = rules.TYPES
_MISSING = object()  # for an input that a call lacks


class _Here(threading.local):
    """How many blocks a thread is in."""

    blocks = 0


class _Place(NamedTuple):
    """Where a function of PyTorch's is found, and what is put there."""

    home: ModuleType
    name: str
    theirs: Callable[..., Any]
    ours: Callable[..., Any]

    def put(self, ours: bool) -> None:
        """Put our function there, or PyTorch's again; but where a third stands, leave it."""
        there, then = (self.theirs, self.ours) if ours else (self.ours, self.theirs)
        if getattr(self.home, self.name) is there:
            setattr(self.home, self.name, then)


_here = _Here()
_lock = threading.Lock()
_inside = 0  # threads that are in a block


class _Accelerated(contextlib.ContextDecorator):
    """The block; it holds no state, so one may be entered again, and by several threads.

    In a program that is being compiled it does nothing, as such programs call PyTorch's functions.
    """

    def __enter__(self) -> None:
        if not _is_compiling():
            _here.blocks += 1
            if _here.blocks == 1:
                _count_threads(1)

    def __exit__(self, *error: object) -> None:
        if not _is_compiling():
            _here.blocks -= 1
            if not _here.blocks:
                _count_threads(-1)


def accelerated() -> contextlib.AbstractContextManager[Any]:
    """Make a block, or a decorator, in which flexpool computes what PyTorch's functions pool.

    Inside, calls of ``torch.nn.functional``'s and ``torch``'s max, average, Lp and adaptive pooling
    by this thread, also those made by modules and libraries, go to flexpool where it computes the
    same sooner; all else stays with PyTorch. Results, errors and gradients are PyTorch's: maxima to
    the bit, averages to rounding.

    A function that was taken out of its module before the block began, as by ``from
    torch.nn.functional import max_pool2d``, stays PyTorch's.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 64, 56, 56)
        >>> with accelerated():
        ...     y = torch.nn.functional.max_pool2d(x, 2)
        >>> torch.equal(y, torch.nn.functional.max_pool2d(x, 2))
        True
    """
    return _Accelerated()


def _count_threads(more: int) -> None:
    """Note that one more thread is in a block, or one less, and put there who must be there."""
    global _inside
    with _lock:
        _inside += more
        _put(_PLACES, ours=_inside > 0)


def _put(places: Iterable[_Place], ours: bool) -> None:
    for place in places:
        place.put(ours)


def _asking(theirs: Callable[..., Any], asked: Callable[..., Instead]) -> Callable[..., Any]:
    """Make what stands for a function of PyTorch's inside a block."""

    @functools.wraps(theirs)
    def pool(input: Any = _MISSING, *others: Any, **named: Any) -> Any:
        # The rules' first questions, as in modules: a tenth of a small input's time each.
        if type(input) not in _TYPES or _overriding():
            return _as_outside(theirs, input, others, named)
        elements = None if _is_compiling() else input.numel()
        if type(elements) is not int or elements < rules.LEAST_ELEMENTS:
            return theirs(input, *others, **named) if named else theirs(input, *others)
        if not _here.blocks or not rules.takes(input):
            return theirs(input, *others, **named)
        try:
            instead = asked(input, *others, **named)
        except TypeError:  # arguments that the function does not have, or lacks
            instead = None
        return theirs(input, *others, **named) if instead is None else instead()

    return pool


def _as_outside(theirs: Callable[..., Any], input: Any, others: Any, named: Any) -> Any:
    """Call a function as if there were no block.

    Whoever overrides PyTorch's functions is told which was called: the one that stands in its
    place.
    """
    places = [place for place in _PLACES if place.theirs is theirs]
    _put(places, ours=False)
    try:
        return theirs(*(() if input is _MISSING else (input,)), *others, **named)
    finally:
        _put(places, ours=_inside > 0)


def _places() -> list[_Place]:
    """List where the functions are that others call: those in C, which those in Python call.

    An adaptive maximum in Python calls one with indices, where flexpool is no faster.
    """
    ours = {theirs: _asking(theirs, asked) for theirs, asked in FUNCTIONS.items()}
    homes = [(home, vars(home)) for home in (torch, torch._C._nn, F)]
    return [
        _Place(home, name, theirs, ours[theirs])
        for home, contents in homes
        for name, theirs in contents.items()
        if inspect.isbuiltin(theirs) and theirs in ours
    ]


_PLACES = _places()
for _place in _PLACES:  # let torch.jit.script, called inside a block, see PyTorch's function
    _builtins._register_builtin(_place.ours, _builtins._find_builtin(_place.theirs))
