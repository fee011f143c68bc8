"""A pooling operator as a torch module: what sliding, adaptive and global pooling have in common.

A module keeps what the user typed as attributes of the same names, so that they can be read and
set as those of torch's modules, and the checked window beside them. Numbers and weights of the
formula are parameters or buffers under their own names, options are plain attributes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from flexpool import functional, torch_quick
from flexpool.backends.choice import BACKENDS
from flexpool.declare import (
    Argument,
    OnInput,
    OnOutput,
    Operator,
    Param,
    Random,
    Weight,
    as_operator,
)
from flexpool.errors import ArgumentError, FlexpoolError, called, expected, unknown
from flexpool.window import AdaptiveWindow, Window, adaptive_window, global_window, window

__all__ = ["AdaptivePool", "GlobalPool", "Pooling", "SlidingPool", "is_compiling", "settings"]

# Whoever else compiles or exports brings tensors that are not plain, as is seen later.
is_compiling = torch.compiler.is_dynamo_compiling

Learnable = bool | Collection[str] | None


def settings(operator: Operator) -> dict[str, Any]:
    """Map the keywords a module of this operator takes besides its window to their defaults."""
    fixed = {name: argument for name, argument in operator.arguments.items() if _is_fixed(argument)}
    found = {name: operator.bound.get(name, a.default) for name, a in fixed.items()}
    found.pop("training", None)
    if any(isinstance(argument, Param | Weight) for argument in fixed.values()):
        found |= {"channels": None, "learnable": None}
    return found | {"backend": "auto"}


class Pooling(nn.Module):
    """The base of all pooling modules; :class:`SlidingPool` and its kin say which windows.

    Attributes:
        dimensions: number of spatial dimensions.
        geometry: names of the attributes that describe the window.
        fixed: whether the name of the class names the operator.
        operator: what is done with each window.
        window: the checked window; follows when an attribute of ``geometry`` is set.
        backend: what computes it, or "auto".
    """

    dimensions: ClassVar[int]
    geometry: ClassVar[tuple[str, ...]]
    fixed: ClassVar[bool] = False
    operator: Operator
    window: Window | AdaptiveWindow
    backend: str

    def __init__(
        self,
        operator: object,
        window: Mapping[str, Any],
        channels: int | None,
        learnable: Learnable,
        backend: str,
        parameters: Mapping[str, Any],
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            for name, value in window.items():
                setattr(self, name, value)
            self.window = self.placed(**window)
            self.operator = as_operator(operator)
            if backend not in ("auto", *BACKENDS):
                raise unknown("backend", str(backend), ("auto", *BACKENDS))
            self.backend = backend
            self._options = tuple(self.operator.options)
            self._from_call = tuple(
                name
                for name, argument in self.operator.arguments.items()
                if isinstance(argument, OnInput | OnOutput)
            )
            given = {**self.operator.bound, **parameters}
            self._check_names(given, {"channels": channels, "learnable": learnable})
            self.operator.check(given)
            self._check_channels(channels)
            self._deviations: dict[str, float] = {}
            self._initial = dict(self._initial_values(given, channels))
            self._keep_options(given)
            self._register(_learned(self.operator, learnable, self._initial))
            self.reset_parameters()

    def placed(self, **geometry: Any) -> Window | AdaptiveWindow:
        """Make the window from what the user typed."""
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Give every number and weight the value it had at first; what was drawn is drawn anew."""
        with torch.no_grad():
            for name, value in self._initial.items():
                if name in self._deviations:
                    getattr(self, name).normal_(0.0, self._deviations[name])
                else:
                    getattr(self, name).copy_(torch.from_numpy(value))

    def forward(self, input: Tensor, *arrays: Tensor, **named: Tensor) -> Tensor:
        """Pool an input.

        Args:
            input: tensor of shape (N, C, *sizes) or (C, *sizes).
            arrays, named: what the operator takes besides, by position or by name: tensors of the
                input's or the output's shape.

        Shape:
            (N, C, *sizes) -> (N, C, *output_shape), or both without N.

        Raises:
            ArgumentError: if one of the arrays is missing or unknown.
            ShapeError: if an array has the wrong shape, or no window fits.
        """
        try:
            if not arrays and not named and not is_compiling():
                y = self._quick(input)
                if y is not None:
                    return y
            values = {name: getattr(self, name) for name in self._initial}
            if arrays or named or self._from_call:
                values.update(self._received(arrays, named))
            return self._pool(input, values)
        except FlexpoolError:
            with called(type(self).__name__):
                raise

    def extra_repr(self) -> str:
        """Show the operator, the window, the options, and the numbers or shapes of the rest."""
        operator = [] if self.fixed else [self.operator.name]
        window = (f"{name}={getattr(self, name)}" for name in self.geometry)
        return ", ".join([*operator, *window, *self._parameter_texts()])

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that describes the window is checked and moves the window."""
        self.__dict__.pop("_quick", None)
        if name in self.geometry and "window" in self.__dict__:
            with called(type(self).__name__):
                others = {known: getattr(self, known) for known in self.geometry}
                self.__dict__["window"] = self.placed(**{**others, name: value})
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Keep what the user gave, and nothing that can be looked up again."""
        return {name: item for name, item in self.__dict__.items() if name != "_quick"}

    def _quick(self, input: Tensor) -> Tensor | None:
        """Pool quickly, if that can be; what does it takes the place of this from then on."""
        plain, quick = self._plain(), None
        if plain is not None:
            given = tuple(plain.items())
            quick = torch_quick.quick(self.operator, self.window, given, self.backend)
        found: torch_quick.Quick = quick or _never
        self.__dict__["_quick"] = found
        return found(input)

    def _plain(self) -> dict[str, Any] | None:
        """Give options and numbers where a call brings no more than its input, else None."""
        if self._initial or self._from_call:
            return None
        return {name: getattr(self, name) for name in self._options}

    def _pool(self, input: Tensor, values: Mapping[str, Any]) -> Tensor:
        options = {name: getattr(self, name) for name in self._options}
        pooled: Tensor = functional.apply(
            input, self.operator, self.window, options=options, values=values, backend=self.backend
        )
        return pooled

    def _received(self, arrays: tuple[Tensor, ...], named: dict[str, Tensor]) -> dict[str, Tensor]:
        names = self._from_call
        if len(arrays) > len(names):
            rule = f"to bring {' and '.join(('input', *names))} only"
            raise ArgumentError(f"expected the call {rule}, got {len(arrays) + 1} arrays.")
        received = dict(zip(names, arrays, strict=False))
        for name, array in named.items():
            if name not in names:
                raise unknown("argument", name, ("input", *names))
            if name in received:
                raise ArgumentError(f"{name} is given twice, by position and by name.")
            received[name] = array
        for name in names:
            if name not in received:
                domain = self.operator.arguments[name].domain
                raise ArgumentError(f"argument {name!r} is missing. Give {name}, {domain}.")
        return received

    def _check_names(self, given: Mapping[str, Any], sizes: Mapping[str, Any]) -> None:
        known = settings(self.operator)
        for name in (*given, *(size for size, value in sizes.items() if value is not None)):
            if name in known:
                continue
            if name == "training" and name in self.operator.options:
                raise ArgumentError("training is not given: it follows .train() and .eval().")
            if name in self._from_call:
                raise ArgumentError(f"{name} is given to the call, as in pool(input, {name}).")
            raise unknown("argument", name, (*self.geometry, *known))

    def _check_channels(self, channels: object) -> None:
        is_int = isinstance(channels, int) and not isinstance(channels, bool)
        if channels is not None and (not is_int or channels < 1):  # type: ignore[operator]
            instead = "Leave it out for one number that all channels share."
            raise ArgumentError(expected("channels", "to be None or an int > 0", channels, instead))

    def _keep_options(self, given: Mapping[str, Any]) -> None:
        for name, option in self.operator.options.items():
            if name == "training":
                continue  # torch's own attribute of that name
            self._check_free(name)
            setattr(self, name, self._value(name, option, given))

    def _initial_values(
        self, given: Mapping[str, Any], channels: int | None
    ) -> Iterator[tuple[str, np.ndarray]]:
        for name, argument in self.operator.arguments.items():
            if isinstance(argument, Param):
                value = _numbers(name, argument, self._value(name, argument, given))
                shapes = _shapes((), value, channels)
            elif isinstance(argument, Weight):
                kernel = self._kernel()
                value = _numbers(name, argument, self._first(name, argument, given, kernel))
                axes = len(argument.shape((1,) * self.dimensions))
                if value.ndim not in (axes, axes + 1):
                    raise ArgumentError(expected(name, f"to be {argument.domain}", value.tolist()))
                inner = value.shape[-axes:] if kernel is None else argument.shape(kernel)
                shapes = _shapes(inner, value, channels)
            else:
                continue
            if value.shape not in shapes:
                rule = f"to be of shape {' or '.join(map(str, shapes))}"
                raise ArgumentError(expected(name, rule, value.shape))
            yield name, np.array(np.broadcast_to(value, shapes[-1]))

    def _first(
        self,
        name: str,
        argument: Weight,
        given: Mapping[str, Any],
        kernel: tuple[int, ...] | None,
    ) -> Any:
        """Give the value a weight starts with; where it is to be drawn, zeros for its shape."""
        if given.get(name) is not None or kernel is None:
            return self._value(name, argument, given)
        if isinstance(argument.first, float):
            self._deviations[name] = argument.first
            return np.zeros(argument.shape(kernel))
        start = argument.first if argument.required else argument.default
        return self._value(name, argument, given) if start is None else start(kernel)

    def _kernel(self) -> tuple[int, ...] | None:
        """Give the shape of a weight, where the window has one whatever the input."""
        return self.window.kernel_size if isinstance(self.window, Window) else None

    def _value(self, name: str, argument: Argument, given: Mapping[str, Any]) -> Any:
        if name in given:
            return given[name]
        if argument.required or isinstance(argument, Weight):
            raise ArgumentError(f"argument {name!r} is missing. Give {name}, {argument.domain}.")
        return argument.default

    def _check_free(self, name: str) -> None:
        if hasattr(self, name):
            raise ArgumentError(
                f"{type(self).__name__} has an attribute {name!r} of its own. "
                "Rename the formula's argument."
            )

    def _register(self, learned: Collection[str]) -> None:
        for name, value in self._initial.items():
            self._check_free(name)
            tensor = torch.empty(value.shape)
            if name in learned:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def _parameter_texts(self) -> Iterator[str]:
        for name in self._options:
            if name != "training":
                yield f"{name}={getattr(self, name)!r}"
        for name in self._initial:
            tensor = getattr(self, name)
            number = tensor.dim() == 0 and not tensor.is_meta
            shown = f"{tensor.item():g}" if number else f"{tuple(tensor.shape)}"
            yield f"{name}={shown}" + (" learned" if isinstance(tensor, nn.Parameter) else "")


class SlidingPool(Pooling):
    """Pool with a window that slides over the input.

    Args:
        operator: a name such as "soft", an operator such as boltzmann(beta=2), or your own formula.
        kernel_size: elements per dimension, an int > 0 or a tuple of such.
        stride: distance of neighbouring windows; None for kernel_size. Default None.
        padding: absent elements around the input, an int >= 0, a tuple of such or of pairs (before,
            after), or "same". Default 0.
        dilation: distance of neighbouring elements of one window. Default 1.
        ceil_mode: whether a last window may overhang the padded input. Default False.
        channels: makes the operator's numbers and weights one per channel. Default None: shared.
        learnable: True or False, or the names of those that are trained; None leaves it to the
            operator's declaration. Default None.
        backend: what computes it. Default "auto".
        parameters: first values of the operator's numbers and weights, and its options.

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.
        TraceError: if a formula of your own cannot be traced.
    """

    geometry = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        operator: object,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        channels: int | None = None,
        learnable: Learnable = None,
        backend: str = "auto",
        **parameters: Any,
    ) -> None:
        stride = kernel_size if stride is None else stride
        typed = (kernel_size, stride, padding, dilation, ceil_mode)
        window = dict(zip(self.geometry, typed, strict=True))
        super().__init__(operator, window, channels, learnable, backend, parameters)

    def placed(self, **geometry: Any) -> Window:
        """Make the sliding window."""
        return window(self.dimensions, **geometry)


class AdaptivePool(Pooling):
    """Pool into a given number of windows, whatever the input's size.

    Args:
        operator: a name such as "soft", an operator such as boltzmann(beta=2), or your own formula.
        output_size: windows per dimension, an int >= 0, None for the input's size, or a tuple of
            these.
        channels: makes the operator's numbers and weights one per channel. Default None: shared.
        learnable: True or False, or the names of those that are trained; None leaves it to the
            operator's declaration. Default None.
        backend: what computes it. Default "auto".
        parameters: first values of the operator's numbers and weights, and its options.

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.
        TraceError: if a formula of your own cannot be traced.
    """

    geometry = ("output_size",)

    def __init__(
        self,
        operator: object,
        output_size: Any,
        *,
        channels: int | None = None,
        learnable: Learnable = None,
        backend: str = "auto",
        **parameters: Any,
    ) -> None:
        window = {"output_size": output_size}
        super().__init__(operator, window, channels, learnable, backend, parameters)

    def placed(self, **geometry: Any) -> AdaptiveWindow:
        """Make the adaptive window."""
        return adaptive_window(self.dimensions, **geometry)


class GlobalPool(Pooling):
    """Pool the whole of each channel into one number; the spatial dimensions stay, with size 1.

    Args:
        operator: a name such as "soft", an operator such as boltzmann(beta=2), or your own formula.
        channels: makes the operator's numbers and weights one per channel. Default None: shared.
        learnable: True or False, or the names of those that are trained; None leaves it to the
            operator's declaration. Default None.
        backend: what computes it. Default "auto".
        parameters: first values of the operator's numbers and weights, and its options.

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.
        TraceError: if a formula of your own cannot be traced.
    """

    geometry = ()

    def __init__(
        self,
        operator: object,
        *,
        channels: int | None = None,
        learnable: Learnable = None,
        backend: str = "auto",
        **parameters: Any,
    ) -> None:
        super().__init__(operator, {}, channels, learnable, backend, parameters)

    def placed(self, **_: Any) -> AdaptiveWindow:
        """Make the window that covers the whole input."""
        return global_window(self.dimensions)


def _is_fixed(argument: Argument) -> bool:
    """Tell whether an argument is given when the module is made."""
    return not isinstance(argument, OnInput | OnOutput | Random)


def _numbers(name: str, argument: Param | Weight, value: Any) -> np.ndarray:
    """Take a number, array or tensor as an array; check the domain."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().double().numpy()
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        rule = f"to be {argument.domain}"
        raise ArgumentError(expected(name, rule, value)) from None
    holds = argument.holds if isinstance(argument, Param) else np.isfinite
    for number in array.flat:
        if not holds(number):
            raise ArgumentError(expected(name, f"to be {argument.domain}", float(number)))
    return array


def _shapes(
    inner: tuple[int, ...], value: np.ndarray, channels: int | None
) -> list[tuple[int, ...]]:
    """List the shapes a value may have; the last is the one it is kept in."""
    if channels is not None:
        return [inner, (channels, *inner)]
    return [inner] if value.ndim != len(inner) + 1 else [(value.shape[0], *inner)]


def _learned(operator: Operator, learnable: Learnable, names: Collection[str]) -> Collection[str]:
    """List which numbers and weights are trained."""
    if learnable is None:
        return [name for name in names if operator.arguments[name].learnable]  # type: ignore[attr-defined]
    if isinstance(learnable, bool):
        return names if learnable else ()
    if isinstance(learnable, str) or not isinstance(learnable, Collection):
        rule = "to be None, True, False or a collection of names"
        instead = f"Write learnable={[next(iter(names))]!r}."
        raise ArgumentError(expected("learnable", rule, learnable, instead))
    for name in learnable:
        if name not in names:
            raise unknown("parameter in learnable", name, names)
    return learnable


def _never(input: Tensor) -> None:
    """Pool nothing quickly: what is asked for always takes the general way."""
