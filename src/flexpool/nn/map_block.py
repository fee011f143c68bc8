"""What blocks on maps have in common: the checks of their input, and windows."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from flexpool import functional
from flexpool.declare import Operator, find
from flexpool.errors import ArgumentError, FlexpoolError, ShapeError, called, expected
from flexpool.window import AdaptiveWindow, Window, adaptive_window, window
from flexpool.window.arguments import is_int

__all__ = [
    "AVG",
    "BLUR",
    "LIP",
    "MAX",
    "MIN",
    "MIXED",
    "PADDING_MODES",
    "WINDOW",
    "EitherWindowBlock",
    "MapBlock",
    "WindowBlock",
    "checked_choice",
    "checked_count",
    "checked_share",
    "padded",
]

PADDING_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}
# Looked up once, since torch.compile does not trace through the search for operators.
AVG, BLUR, LIP, MAX, MIN, MIXED = map(find, ("avg", "blur", "lip", "max", "min", "mixed"))
WINDOW = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")


class MapBlock(nn.Module):
    """A block on (N, C, H, W) or (C, H, W); subclasses write ``_downsampled`` for the former.

    Attributes:
        shown: names of the attributes that the repr shows.
        channels: how many channels the input must have; None for any number.
    """

    shown: ClassVar[tuple[str, ...]] = ()
    channels: int | None = None

    def forward(self, input: Tensor, *others: Any) -> Any:
        """Downsample an input.

        Args:
            input: tensor of shape (N, C, H, W) or (C, H, W).
            others: what the block takes besides.

        Raises:
            ShapeError: if the input's shape does not fit.
        """
        try:
            self._check(input)
            if input.ndim == 4:
                return self._downsampled(input, *others)
            alone = (item[None] if isinstance(item, Tensor) else item for item in others)
            result = self._downsampled(input[None], *alone)
            if isinstance(result, tuple):
                return tuple(part[0] if part.ndim else part for part in result)
            return result[0]
        except FlexpoolError:
            with called(type(self).__name__):
                raise

    def extra_repr(self) -> str:
        """Show what the user chose."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)

    def _downsampled(self, x: Tensor, *others: Any) -> Any:
        raise NotImplementedError

    def _check(self, x: Tensor) -> None:
        if x.ndim not in (3, 4):
            rule = "to have the axes (N, C, H, W) or (C, H, W)"
            raise ShapeError(expected("the input", rule, tuple(x.shape)))
        if self.channels is not None and x.shape[-3] != self.channels:
            instead = f"Make the module with channels={x.shape[-3]}."
            rule = f"to have {self.channels} channels"
            raise ShapeError(expected("the input", rule, tuple(x.shape), instead))


class WindowBlock(MapBlock):
    """A block whose windows slide over the input, in torch's words.

    Attributes:
        window: the checked window.
    """

    shown: ClassVar[tuple[str, ...]] = WINDOW
    window: Window | AdaptiveWindow

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        with called(type(self).__name__):
            self.window = window(2, kernel_size, stride, padding, dilation, ceil_mode)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def _pooled(self, x: Tensor, operator: Operator, **values: Any) -> Tensor:
        options = {name: values.pop(name) for name in operator.options if name in values}
        pooled: Tensor = functional.apply(x, operator, self.window, options=options, values=values)
        return pooled


class EitherWindowBlock(WindowBlock):
    """A block whose windows slide, or divide the input into a given number of parts."""

    def __init__(
        self,
        kernel_size: Any = None,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *,
        output_size: Any = None,
    ) -> None:
        if output_size is None:
            super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
            return
        nn.Module.__init__(self)
        with called(type(self).__name__):
            if (kernel_size, stride, padding, dilation, ceil_mode) != (None, None, 0, 1, False):
                rule = "to be given alone"
                instead = "Leave out kernel_size and what belongs to it, or output_size."
                raise ArgumentError(expected("output_size", rule, output_size, instead))
            self.window = adaptive_window(2, output_size)
        self.output_size = output_size

    def extra_repr(self) -> str:
        """Show the window."""
        if isinstance(self.window, AdaptiveWindow):
            return f"output_size={self.output_size}"
        return super().extra_repr()


def checked_count(name: str, value: object) -> int:
    """Return an int > 0."""
    if not is_int(value) or value < 1:
        raise ArgumentError(expected(name, "to be an int > 0", value))
    return int(value)


def checked_share(name: str, value: object) -> float:
    """Return a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ArgumentError(expected(name, "to be a number >= 0 and <= 1", value))
    return float(value)


def checked_choice(name: str, value: object, choices: tuple[object, ...]) -> Any:
    """Return one of the choices."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ArgumentError(expected(name, f"to be {' or '.join(map(repr, choices))}", value))
    return value


def padded(x: Tensor, taps: int, padding_mode: str) -> Tensor:
    """Pad so that a filter of so many taps gives one result per pixel.

    Args:
        x: (N, C, H, W).
        taps: of the filter; of an even number the odd pixel goes after the map.
        padding_mode: one of torch's words.

    Raises:
        ShapeError: if a map is too small to be reflected or repeated.
    """
    before, after = (taps - 1) // 2, taps // 2
    smallest = {"reflect": after + 1, "circular": after}.get(padding_mode, 1)
    if min(x.shape[-2:]) < smallest:
        rule = f"to have at least {smallest} rows and columns"
        instead = "Use fewer taps, or padding_mode='replicate'."
        raise ShapeError(expected("the input", rule, tuple(x.shape), instead))
    return F.pad(x, (before, after, before, after), PADDING_MODES[padding_mode])
