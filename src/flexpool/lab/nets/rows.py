"""A net layer by layer: shapes, parameters, multiply-adds, receptive fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from flexpool.lab.nets.lenet1998 import ScaledTanh
from flexpool.lab.nets.net import ImageShape
from flexpool.lab.nets.partial import PartialConv2d
from flexpool.lab.nets.resnet import MoreChannels, Residual
from flexpool.nn.blocks.slice import Slice2d
from flexpool.nn.module import Pooling
from flexpool.window import Window, receptive_fields

__all__ = ["Row", "layers", "multiply_adds", "parameters"]

# Each of their results depends on the same place of the input.
_POINTWISE = (
    *(nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Dropout, nn.BatchNorm2d, nn.Flatten, nn.Identity),
    *(ScaledTanh, MoreChannels),
)

Chain = list[Window] | None


@dataclass(frozen=True)
class Row:
    """One layer of a net, or a block of several.

    Attributes:
        name: its place in the net, as ``named_modules`` has it.
        kind: the class.
        shape: of its result for one image, without the batch.
        parameters: trainable numbers.
        multiply_adds: of one image's forward pass, in convolutions and linear layers.
        receptive_field: height and width, in pixels, of the part of the image that one of its
            results depends on, padding included; None where that does not follow from windows.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int] | None


def layers(model: nn.Sequential, image: ImageShape, depth: int | None = 1) -> tuple[Row, ...]:
    """List the layers of a net, in the order of the forward pass.

    Args:
        model: the net.
        image: channels, height and width of an input.
        depth: how far blocks are opened: 1 lists them as one row each, None opens all.

    Example:
        >>> from flexpool.lab.nets import build
        >>> for row in layers(build("lenet5"), (1, 28, 28))[:3]:
        ...     print(row.name, row.shape, row.parameters, row.multiply_adds, row.receptive_field)
        conv1 (6, 28, 28) 156 117600 (5, 5)
        relu1 (6, 28, 28) 0 0 (5, 5)
        down1 (6, 14, 14) 0 0 (6, 6)
    """
    begun: dict[nn.Module, int] = {}
    spent: dict[nn.Module, int] = {}
    shapes: dict[nn.Module, tuple[torch.Size, torch.Size]] = {}
    with _counting(model) as count:

        def before(module: nn.Module, _: Any) -> None:
            begun[module] = count()

        def after(module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
            spent[module] = count() - begun[module]
            shapes[module] = inputs[0].shape, y.shape

        hooks = [module.register_forward_pre_hook(before) for module in model.modules()]
        hooks += [module.register_forward_hook(after) for module in model.modules()]
        try:
            model(_blank(model, image))
        finally:
            for hook in hooks:
                hook.remove()
    fields = _Fields(shapes)
    fields.follow(model, [])
    return tuple(
        Row(
            name,
            type(module).__name__,
            tuple(shapes[module][1][1:]),
            parameters(module),
            spent[module],
            fields.of(module),
        )
        for name, module in _opened(model, depth)
    )


def parameters(model: nn.Module) -> int:
    """Count the trainable numbers of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def multiply_adds(model: nn.Module, image: ImageShape) -> int:
    """Count the multiply-adds of one image's forward pass through convolutions and linear layers.

    Example:
        >>> multiply_adds(nn.Conv2d(1, 6, 5, padding=2), (1, 28, 28))  # 6*28*28 sums of 5*5 terms
        117600
    """
    with _counting(model) as count:
        model(_blank(model, image))
        return count()


def _blank(model: nn.Module, image: ImageShape) -> Tensor:
    """Make one image as the model wants it."""
    like = next(model.parameters(), torch.empty(0))
    return torch.zeros(1, *image, dtype=like.dtype, device=like.device)


@contextmanager
def _counting(model: nn.Module) -> Iterator[Callable[[], int]]:
    """Count multiply-adds inside the block, as in evaluation; yield what tells how many so far."""
    idle = 0

    def no_connection(module: nn.Module, _: Any, y: Tensor) -> None:
        """Take out the terms that a full convolution multiplies by the zeros of a partial one."""
        nonlocal idle
        assert isinstance(module, PartialConv2d)
        missing = module.in_channels * len(module.table) - len(module.weight)
        idle += missing * module.kernel_size**2 * y.shape[-2] * y.shape[-1]

    partial = [module for module in model.modules() if isinstance(module, PartialConv2d)]
    hooks = [module.register_forward_hook(no_connection) for module in partial]
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            yield lambda: int(counter.get_total_flops()) // 2 - idle
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()


def _opened(
    model: nn.Module, depth: int | None, prefix: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    """List the modules to show: blocks down to a depth, and what lies in them instead of them."""
    for name, module in model.named_children():
        inner = None if depth is None else depth - 1
        whole = isinstance(module, Pooling) or not [*module.children()]
        if whole or inner == 0:
            yield prefix + name, module
        else:
            yield from _opened(module, inner, f"{prefix}{name}.")


class _Fields:
    """Follow the windows through a net; ``shapes``: of each module's input and result."""

    def __init__(self, shapes: dict[nn.Module, tuple[torch.Size, torch.Size]]) -> None:
        self._shapes = shapes
        self._chains: dict[nn.Module, Chain] = {}
        self._plane: tuple[int, ...] = (1, 1)  # of the last maps: what a linear layer sees all of

    def of(self, module: nn.Module) -> tuple[int, int] | None:
        """Give height and width of the receptive field of a module's results."""
        chain = self._chains[module]
        if chain is None:
            return None
        high, wide = receptive_fields(chain)[-1].size if chain else (1, 1)
        return high, wide

    def follow(self, module: nn.Module, chain: Chain) -> Chain:
        """Note for a module, and for all inside it, which windows lead to its results."""
        if isinstance(module, nn.Sequential):
            for part in module:
                chain = self.follow(part, chain)
        elif isinstance(module, Residual):
            self.follow(module.shortcut, chain)  # it sees a part of what the convolutions see
            chain = self.follow(module.relu, self.follow(module.main, chain))
        elif chain is not None:
            own = self._windows(module)
            chain = None if own is None else [*chain, *own]
        else:  # what came before is unknown, and so is all that follows
            self._chains |= dict.fromkeys(module.modules())
        self._chains[module] = chain
        if module in self._shapes and len(self._shapes[module][1]) == 4:
            self._plane = tuple(self._shapes[module][1][2:])
        return chain

    def _windows(self, module: nn.Module) -> Chain:
        """List the windows that a module lays on its input; None if it lays no windows."""
        if isinstance(module, _POINTWISE):
            return []
        if isinstance(module, nn.Linear):
            plane, self._plane = self._plane, (1, 1)
            return [_window(plane)]
        if isinstance(module, nn.Conv2d) and not isinstance(module.padding, str):
            padding = [(p, p) for p in module.padding]
            return [_window(module.kernel_size, module.stride, padding, module.dilation)]
        if isinstance(module, PartialConv2d):
            return [_window((module.kernel_size, module.kernel_size))]
        if isinstance(module, nn.ReplicationPad2d):
            left, right, top, bottom = module.padding
            return [_window((1, 1), padding=[(top, bottom), (left, right)])]
        if isinstance(module, Slice2d):
            return [_window((1, 1), (module.stride, module.stride))]
        if isinstance(module, Pooling):
            if isinstance(module.window, Window):
                return [module.window]
            if set(self._shapes[module][1][2:]) == {1}:  # one window over everything
                return [_window(tuple(self._shapes[module][0][2:]))]
        return None


def _window(
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...] = (1, 1),
    padding: Sequence[tuple[int, int]] = ((0, 0), (0, 0)),
    dilation: tuple[int, ...] = (1, 1),
) -> Window:
    return Window(kernel_size, stride, tuple(padding), dilation, ceil_mode=False)
