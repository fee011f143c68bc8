"""Pooling layers: an operator of the engine with a window, forward and backward.

What one window gives and how that depends on its values is the operator's formula. The layer only
chooses the windows, keeps the numbers that are learned, and hands gradients on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from flexpool import functional
from flexpool.backends.choice import BACKENDS
from flexpool.declare import (
    REQUIRED,
    OnInput,
    OnOutput,
    Operator,
    Param,
    Random,
    Weight,
    as_operator,
    operators,
)
from flexpool.errors import ArgumentError, ShapeError, called, expected, unknown
from flexpool.numpy.layer import Array, Layer
from flexpool.window import AdaptiveWindow, Window, adaptive_window, global_window, window

__all__ = ["AdaptivePool", "GlobalPool", "Pooling", "SlidingPool", "WindowLayer", "settings"]

Learnable = bool | Collection[str] | None
DOCUMENTS_NAMES = {"average": "avg", "maximum": "max", "minimum": "min"}


def settings(operator: Operator) -> dict[str, Any]:
    """Map the keywords a layer of this operator takes besides its window to their defaults."""
    found: dict[str, Any] = {
        name: operator.bound.get(name, argument.default)
        for name, argument in operator.arguments.items()
        if not isinstance(argument, OnInput | OnOutput | Random) and name != "training"
    }
    if any(isinstance(operator.arguments[name], Param | Weight) for name in found):
        found |= {"channels": None, "learnable": None}
    return found | {"backend": "auto"}


class WindowLayer(Layer):
    r"""The base of the pooling layers; :class:`SlidingPool` and its kin say which windows.

    With the operator's formula f and the values $x_{i \in w}$ of window w,

    $$ y_w = f(x_{i \in w}, \theta), \qquad
       \frac{\partial L}{\partial x_i} = \sum_{w \ni i} \frac{\partial L}{\partial y_w}\,
       \frac{\partial f}{\partial x_i}, \qquad
       \frac{\partial L}{\partial \theta} = \sum_w \frac{\partial L}{\partial y_w}\,
       \frac{\partial f}{\partial \theta} $$

    where the first sum goes over all windows that the element lies in.

    Attributes:
        dimensions: number of spatial dimensions.
        operator: what is done with each window.
        window: where the windows lie.
        backend: what computes it, or "auto".
        options: the operator's options.
        rng: what draws the seeds of a random operator; ``reseed(seed)`` starts it anew.
    """

    dimensions: ClassVar[int]

    def __init__(
        self,
        operator: object,
        window: Callable[[], Window | AdaptiveWindow],
        channels: int | None,
        learnable: Learnable,
        backend: str,
        parameters: Mapping[str, Any],
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.window = window()
            self.operator = as_operator(operator)
            if backend not in ("auto", *BACKENDS):
                raise unknown("backend", str(backend), ("auto", *BACKENDS))
            self.backend = backend
            sizes = {"channels": channels, "learnable": learnable}
            self._check_names({**parameters, **{n: v for n, v in sizes.items() if v is not None}})
            given = {**self.operator.bound, **parameters}
            self.operator.check(given)
            self.options = {
                n: given.get(n, option.default)
                for n, option in self.operator.options.items()
                if n != "training"
            }
            self._deviations: dict[str, float] = {}
            self._initial = dict(self._initial_values(given, _checked_channels(channels)))
            self._learned = _chosen(self.operator, learnable, self._initial)
        arguments = self.operator.arguments.items()
        self._from_call = [n for n, a in arguments if isinstance(a, OnInput | OnOutput)]
        self._draws = any(isinstance(a, Random) for _, a in arguments)
        if self._draws:
            self.rng = np.random.default_rng()
        self.reset_parameters()

    def reset_parameters(self, rng: Any = None) -> None:
        """Give every number and weight the value it had at first.

        Args:
            rng: what draws weights that start at random, anything with ``normal(mean, deviation,
                size)``; None draws from fresh entropy.
        """
        draw = rng if hasattr(rng, "normal") else np.random.default_rng()
        fresh = {name: value.astype(np.float32) for name, value in self._initial.items()}
        for name, deviation in self._deviations.items():
            fresh[name][...] = draw.normal(0, deviation, fresh[name].shape)
        self._parameters = {n: value for n, value in fresh.items() if n in self._learned}
        self._buffers = {n: value for n, value in fresh.items() if n not in self._learned}

    def forward(self, x: Array, *arrays: Array) -> Array:
        """Pool.

        Args:
            x: the input.
            arrays: what the operator takes besides, of the input's or the output's shape.

        Shape:
            (N, C, *sizes) -> (N, C, *output sizes), or both without N.

        Raises:
            ArgumentError: if an array is missing, or there are too many.
            ShapeError: if an array has the wrong shape, or no window fits.
        """
        with called(type(self).__name__):
            if len(arrays) != len(self._from_call):
                wanted = " and ".join(["x", *self._from_call])
                raise ArgumentError(f"expected the call to bring {wanted}, got {len(arrays) + 1}.")
            training = {"training": self.training} if "training" in self.operator.options else {}
            seed = int(self.rng.integers(2**63)) if self._draws else None
            brought = dict(zip(self._from_call, arrays, strict=True))
            call: dict[str, Any] = {
                "options": {**self.options, **training},
                "values": {**self._parameters, **self._buffers, **brought},
                "seed": seed,
                "backend": self.backend,
            }
            y = functional.apply(x, self.operator, self.window, **call)
        return self._remember(y, x, call)

    def backward(self, grad_y: Array) -> Any:
        """Compute the gradients of x and of what is learned.

        Returns:
            The gradient of x; where forward took further arrays, a tuple with theirs too.

        Shape:
            (N, C, *output sizes) -> (N, C, *sizes), or both without N.
        """
        x, call = self._recall(grad_y)
        wanted = ("x", *self._parameters, *self._from_call)
        with called(type(self).__name__):
            found = functional.apply_backward(grad_y, x, self.operator, self.window, wanted, **call)
        self._gradients = {name: found[name] for name in self._parameters}
        gradients = tuple(found[name] for name in ("x", *self._from_call))
        return gradients if self._from_call else gradients[0]

    def extra_repr(self) -> str:
        """Show the operator, the window, the options, and the numbers or shapes of the rest."""
        shown = [self.operator.name, *self._window_texts()]
        shown += [f"{name}={value!r}" for name, value in self.options.items()]
        for name in self._initial:
            value = {**self._parameters, **self._buffers}[name]
            text = f"{float(value):g}" if value.ndim == 0 else str(value.shape)
            shown.append(f"{name}={text}" + (" learned" if name in self._learned else ""))
        return ", ".join(shown)

    def _window_texts(self) -> list[str]:
        if isinstance(self.window, AdaptiveWindow):
            return [f"output_size={self.window.output_size}"]
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return [f"{name}={getattr(self.window, name)}" for name in names]

    def _check_names(self, given: Mapping[str, Any]) -> None:
        known = settings(self.operator)
        for name in given:
            if name == "training" and name in self.operator.options:
                raise ArgumentError("training is not given: it follows train() and eval().")
            argument = self.operator.arguments.get(name)
            if isinstance(argument, OnInput | OnOutput):
                raise ArgumentError(f"{name} is given to the call, as in layer(x, {name}).")
            if name not in known:
                raise unknown("argument", name, known)

    def _initial_values(
        self, given: Mapping[str, Any], channels: int | None
    ) -> Iterator[tuple[str, Array]]:
        kernel = self.window.kernel_size if isinstance(self.window, Window) else None
        for name, argument in self.operator.arguments.items():
            if isinstance(argument, Param):
                array = _numbers(name, argument, _given(name, argument, given.get(name)))
                inner: tuple[int, ...] = ()
            elif isinstance(argument, Weight):
                value = given.get(name)
                if value is None and kernel is not None:
                    value = self._first(name, argument, kernel)
                array = _numbers(name, argument, _given(name, argument, value))
                axes = len(argument.shape((1,) * self.dimensions))
                inner = array.shape[-axes:] if kernel is None else argument.shape(kernel)
            else:
                continue
            yield name, _per_channel(name, array, inner, channels)

    def _first(self, name: str, argument: Weight, kernel: tuple[int, ...]) -> Any:
        """Give what a weight starts with; zeros where that is drawn."""
        if isinstance(argument.first, float):
            self._deviations[name] = argument.first
            return np.zeros(argument.shape(kernel))
        start = argument.first if argument.required else argument.default
        return None if start is None else start(kernel)


class SlidingPool(WindowLayer):
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

    Shape:
        (N, C, *sizes) -> (N, C, *output sizes), or both without N.

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.
        TraceError: if a formula of your own cannot be traced.
    """

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
        typed = (kernel_size, stride, padding, dilation, ceil_mode)
        super().__init__(
            operator,
            lambda: window(self.dimensions, *typed),
            channels,
            learnable,
            backend,
            parameters,
        )


class AdaptivePool(WindowLayer):
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

    Shape:
        (N, C, *sizes) -> (N, C, *output_size), or both without N.

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.
        TraceError: if a formula of your own cannot be traced.
    """

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
        def made() -> AdaptiveWindow:
            return adaptive_window(self.dimensions, output_size)

        super().__init__(operator, made, channels, learnable, backend, parameters)


class GlobalPool(WindowLayer):
    """Pool the whole of each channel into one number; the spatial dimensions stay, with size 1.

    Args:
        operator: a name such as "soft", an operator such as boltzmann(beta=2), or your own formula.
        channels: makes the operator's numbers and weights one per channel. Default None: shared.
        learnable: True or False, or the names of those that are trained; None leaves it to the
            operator's declaration. Default None.
        backend: what computes it. Default "auto".
        parameters: first values of the operator's numbers and weights, and its options.

    Shape:
        (N, C, *sizes) -> (N, C, 1, ...), or both without N.

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.
        TraceError: if a formula of your own cannot be traced.
    """

    def __init__(
        self,
        operator: object,
        *,
        channels: int | None = None,
        learnable: Learnable = None,
        backend: str = "auto",
        **parameters: Any,
    ) -> None:
        def made() -> AdaptiveWindow:
            return global_window(self.dimensions)

        super().__init__(operator, made, channels, learnable, backend, parameters)


class Pooling(SlidingPool):
    """Pool maps, with the arguments that teaching texts give such a layer.

    Args:
        name: what to call the layer; it is shown.
        ksize: height and width of the window: an int > 0 or a pair.
        stride: distance of neighbouring windows, an int > 0 or a pair.
        type: "max", "average", "sum", or any operator: see ``flexpool list``.
        parameters: the operator's.

    Shape:
        (N, C, H, W) -> (N, C, (H - ksize) // stride + 1, (W - ksize) // stride + 1).

    Raises:
        ArgumentError: if an argument is unknown or outside its domain.

    Note:
        ksize and stride are independent: windows may overlap, or leave pixels out. Rows and columns
        that no whole window reaches are left out, and their gradient is 0.

    Example:
        >>> x = np.arange(25.0).reshape(1, 1, 5, 5)
        >>> Pooling("pool1", ksize=3, stride=1, type="average")(x)
        array([[[[ 6.,  7.,  8.],
                 [11., 12., 13.],
                 [16., 17., 18.]]]])
    """

    dimensions = 2

    def __init__(self, name: str, ksize: Any, stride: Any, type: str, **parameters: Any) -> None:
        self.name = name
        if type not in DOCUMENTS_NAMES and type not in operators():
            with called("Pooling"):
                raise unknown("type", str(type), [*DOCUMENTS_NAMES, *operators()])
        super().__init__(DOCUMENTS_NAMES.get(type, type), ksize, stride, **parameters)

    def extra_repr(self) -> str:
        """Show the name too."""
        return f"{self.name!r}, {super().extra_repr()}"


def _checked_channels(channels: Any) -> int | None:
    is_int = isinstance(channels, int) and not isinstance(channels, bool)
    if channels is not None and (not is_int or channels < 1):
        instead = "Leave it out for one number that all channels share."
        raise ArgumentError(expected("channels", "to be None or an int > 0", channels, instead))
    return None if channels is None else int(channels)


def _numbers(name: str, argument: Param | Weight, value: Any) -> Array:
    """Take a number or array as an array; check the domain."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(expected(name, f"to be {argument.domain}", value)) from None
    holds = argument.holds if isinstance(argument, Param) else np.isfinite
    for number in array.flat:
        if not holds(number):
            raise ArgumentError(expected(name, f"to be {argument.domain}", float(number)))
    return array


def _given(name: str, argument: Param | Weight, value: Any) -> Any:
    """Take what was given, else the default, unless there is none."""
    if value is None and not isinstance(argument, Weight):
        value = argument.default
    if value is None or value is REQUIRED:
        raise ArgumentError(f"argument {name!r} is missing. Give {name}, {argument.domain}.")
    return value


def _per_channel(name: str, array: Array, inner: tuple[int, ...], channels: int | None) -> Array:
    """Bring numbers into the shape they are kept in: one channel's, or all channels'."""
    kept = inner
    if channels is not None:
        kept = (channels, *inner)
    elif array.ndim == len(inner) + 1:
        kept = (array.shape[0], *inner)
    if array.shape not in (inner, kept):
        rule = f"to be of shape {' or '.join(map(str, dict.fromkeys([inner, kept])))}"
        raise ShapeError(expected(name, rule, array.shape))
    return np.array(np.broadcast_to(array, kept))


def _chosen(operator: Operator, learnable: Learnable, names: Collection[str]) -> frozenset[str]:
    """List which numbers and weights are trained."""
    if learnable is None:
        arguments: Mapping[str, Any] = operator.arguments
        return frozenset(name for name in names if arguments[name].learnable)
    if isinstance(learnable, bool):
        return frozenset(names if learnable else ())
    if isinstance(learnable, str) or not isinstance(learnable, Collection):
        rule = "to be None, True, False or a collection of names"
        raise ArgumentError(expected("learnable", rule, learnable))
    for name in learnable:
        if name not in names:
            raise unknown("parameter in learnable", name, names)
    return frozenset(learnable)
