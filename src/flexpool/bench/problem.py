"""One row of the benchmark as arrays: the input, the further arguments, what must move."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import flexpool
from flexpool import calls
from flexpool.bench.cases import Case, Choice
from flexpool.calls import Call
from flexpool.declare import OnInput, OnOutput, Operator, Param, Random, Weight, find
from flexpool.window import window

__all__ = ["DIRECTIONS", "SEED", "Problem", "problem"]

DIRECTIONS = ("forward", "backward")

# Of random operators and of the inputs.
SEED = 20240607

# What a trained net would have. Numbers such as 1 and 1/2 become part of the kernel.
_SETTINGS: dict[str, dict[str, float]] = {"boltzmann": {"beta": 1.7}, "mixed": {"a": 0.3}}


@dataclass(frozen=True, eq=False)
class Problem:
    """What every peer is given.

    Attributes:
        operator: the operator.
        case: the size.
        layout: how the arrays lie in memory.
        direction: "forward" or "backward".
        threads: how many every peer may use.
        x: the input, a tensor or a NumPy array.
        others: further arguments that are arrays, by name; their gradient is wanted too.
        settings: further arguments that are numbers, by name.
        grad_y: the loss's gradient with respect to the result.
    """

    operator: Operator
    case: Case
    layout: str
    direction: str
    threads: int
    x: Any
    others: Mapping[str, Any]
    settings: Mapping[str, float]
    grad_y: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """Give all arguments but the window, and the seed where one is needed."""
        seed = {"seed": SEED} if self.random else {}
        return {**self.settings, **self.others, **seed}

    @property
    def random(self) -> bool:
        """Whether the operator takes random numbers."""
        return any(isinstance(a, Random) for a in self.operator.arguments.values())

    @functools.cached_property
    def call(self) -> Call:
        """What flexpool is asked for."""
        plain, given, case = tuple(self.settings.items()), tuple(self.others), self.case
        if case.kernel_size is None:
            spec = calls.adaptive_spec(self.operator, case.dimensions, 1, plain, given, "auto")
        else:
            where = (case.kernel_size, case.stride, case.padding, 1, case.ceil_mode)
            spec = calls.sliding_spec(self.operator, case.dimensions, where, plain, given, "auto")
        return calls.call_of(spec)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Name what is differentiated with respect to: what may come out of another layer."""
        planes = (OnInput, OnOutput)
        others = (n for n in self.others if isinstance(self.operator.arguments[n], planes))
        return ("x", *others)

    @property
    def bytes(self) -> int:
        """Count the bytes that must move: every array that is needed once, every result once."""
        arrays = {"x": self.x, **self.others}
        if self.direction == "forward":
            return sum(_bytes(arrays[n]) for n in self.call.forward.read) + _bytes(self.grad_y)
        read = self.call.gradient(self.wanted).read
        gradients = sum(_bytes(arrays[name]) for name in self.wanted)
        return sum(_bytes(arrays[n]) for n in read) + _bytes(self.grad_y) + gradients

    def pool(self, x: Any, *others: Any, backend: str = "auto") -> Any:
        """Pool with flexpool's public function."""
        arguments = {**self.arguments, **dict(zip(self.others, others, strict=True))}
        case = self.case
        if case.kernel_size is None:
            return flexpool.global_pool(x, self.operator, backend=backend, **arguments)
        where = (case.kernel_size, case.stride, case.padding, 1, case.ceil_mode)
        return flexpool.pool(x, self.operator, *where, backend=backend, **arguments)

    def definition(self, images: slice, channels: slice) -> list[np.ndarray]:
        """Compute a part of what is wanted by the definition, in float64."""
        x, *others = (self._part(a, images, channels) for a in (self.x, *self.others.values()))
        if self.direction == "forward":
            return [np.asarray(self.pool(x, *others, backend="interpret"))]
        case, given = self.case, dict(zip(self.others, others, strict=True))
        # The gradient of one window over the whole map is that of a window as large as the map.
        where = (case.kernel, case.steps, case.padding, 1, case.ceil_mode)
        found = flexpool.pool_backward(
            self._part(self.grad_y, images, channels),
            x,
            self.operator,
            *where,
            wanted=self.wanted,
            backend="interpret",
            **{**self.arguments, **given},
        )
        return [found[name] for name in self.wanted]

    def _part(self, array: Any, images: slice, channels: slice) -> np.ndarray:
        """Cut planes out of an array, as float64; what has no planes stays whole."""
        whole = torch.as_tensor(array)
        has_planes = whole.ndim == self.case.dimensions + 2
        part = whole[images, channels] if has_planes else whole
        exact = part if part.dtype == torch.uint8 else part.double()
        plain: np.ndarray = exact.contiguous().numpy()
        return plain


def problem(choice: Choice, direction: str, threads: int) -> Problem:
    """Draw the arrays of a row; the same ones each time.

    Args:
        choice: operator, case and layout.
        direction: "forward" or "backward".
        threads: how many every peer may use.

    Example:
        >>> from flexpool.bench.cases import find as case
        >>> row = problem(Choice("avg", case("1x1x4x4:k2")), "forward", 1)
        >>> row.bytes  # 16 numbers are read and 4 written
        80
    """
    operator, case = find(choice.operator), choice.case
    draw = torch.Generator().manual_seed(SEED)
    sizes = _output_sizes(case)
    make = functools.partial(_array, draw, case, choice.layout)
    others: dict[str, Any] = {}
    for name, argument in operator.arguments.items():
        if isinstance(argument, OnInput) and argument.required:
            others[name] = make(case.shape)
        elif isinstance(argument, OnOutput) and argument.required:
            others[name] = make((*case.shape[:2], *sizes))
        elif isinstance(argument, Weight) and argument.required:
            others[name] = make(argument.shape(case.kernel), spatial=False)
    settings = dict(_SETTINGS.get(choice.operator, {}))
    settings |= {
        name: next(n for n in (1.0, 0.5, 2.0) if argument.holds(n))
        for name, argument in operator.arguments.items()
        if isinstance(argument, Param) and argument.required
    }
    return Problem(
        operator=operator,
        case=case,
        layout=choice.layout,
        direction=direction,
        threads=threads,
        x=make(case.shape),
        others=others,
        settings=settings,
        grad_y=make((*case.shape[:2], *sizes)),
    )


def _output_sizes(case: Case) -> tuple[int, ...]:
    if case.kernel_size is None:
        return (1,) * case.dimensions
    where = (case.kernel_size, case.stride, case.padding, 1, case.ceil_mode)
    return window(case.dimensions, *where).output_shape(case.shape[2:])


def _array(
    draw: torch.Generator, case: Case, layout: str, shape: tuple[int, ...], spatial: bool = True
) -> Any:
    if case.dtype == "uint8":
        made = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)
    else:
        made = torch.randn(shape, generator=draw).to(getattr(torch, case.dtype))
    if layout == "channels_last" and spatial:
        made = made.movedim(1, -1).contiguous().movedim(-1, 1)
    return made.numpy() if case.arrays == "numpy" else made


def _bytes(array: Any) -> int:
    whole = torch.as_tensor(array)
    return math.prod(whole.shape) * whole.element_size()
