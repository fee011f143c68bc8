"""What happens to one image inside a net: maps before and after each downsampling, class maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import FigureBase
from numpy.typing import NDArray
from torch import Tensor, nn

from flexpool.lab.pictures.canvas import BLUE, INK, bare, shorten, show
from flexpool.nn.module import Pooling

__all__ = ["Reduction", "class_map_picture", "class_maps", "feature_maps", "reductions"]

_COLUMNS = 8
_MOST_CLASSES = 12


@dataclass(frozen=True)
class Reduction:
    """A layer that makes maps smaller, with the maps of one image before and after it.

    Attributes:
        name: the layer's place in the net.
        kind: its class.
        before: of shape (C, H, W).
        after: the same, smaller; of a convolution C may differ.
    """

    name: str
    kind: str
    before: NDArray[np.float32]
    after: NDArray[np.float32]

    @property
    def keeps_channels(self) -> bool:
        """Whether each map after it is made of the map before it at the same place."""
        return self.kind != "Conv2d" and len(self.before) == len(self.after)


def reductions(model: nn.Module, x: Tensor) -> list[Reduction]:
    """Run a net on one image and return its downsamplings, in the order of the forward pass.

    That is each layer named ``down...`` and each convolution with a stride; those of shortcuts are
    left out, and global pooling is none.

    Args:
        model: the net, in evaluation.
        x: of shape (1, C, H, W), as the net takes it.

    Example:
        >>> from flexpool.lab.nets import build
        >>> found = reductions(build("lenet5").eval(), torch.zeros(1, 1, 28, 28))
        >>> [(r.name, r.before.shape, r.after.shape) for r in found]
        [('down1', (6, 28, 28), (6, 14, 14)), ('down2', (16, 10, 10), (16, 5, 5))]
    """
    units = [(name, unit) for name, unit in _units(model) if _reduces(name, unit)]
    with _watching([unit for _, unit in units]) as seen, torch.no_grad():
        model(x)
    found = [Reduction(name, type(unit).__name__, *map(_maps, seen[unit])) for name, unit in units]
    return [r for r in found if r.before.shape[1:] != r.after.shape[1:]]


def feature_maps(figure: FigureBase, image: NDArray[Any], found: Sequence[Reduction]) -> None:
    """Draw some maps before each downsampling, and below them the same maps after it.

    Drawn are the eight that vary most over the image, each with one scale before and after. A
    convolution makes its maps of all that come in, so there the maps below are others.

    Args:
        figure: where to.
        image: uint8 of shape (C, H, W).
        found: what :func:`reductions` gives, at least one.
    """
    ratios = [1.0] + [2.1] * len(found)
    places: NDArray[Any] = figure.subfigures(len(ratios), 1, squeeze=False, height_ratios=ratios)
    top, *parts = places[:, 0]
    axes = bare(top, 1, _COLUMNS)
    show(axes[0], image)
    axes[0].set_title("the image", size=9)
    for part, reduction in zip(parts, found, strict=True):
        before, after = reduction.before, reduction.after
        chosen = _liveliest(before)
        below = chosen if reduction.keeps_channels else _liveliest(after)
        axes = bare(part, 2, _COLUMNS)
        for row, maps, numbers in ((0, before, chosen), (1, after, below)):
            for column, number in enumerate(numbers):
                axis = axes[row * _COLUMNS + column]
                like = before[number] if reduction.keeps_channels else maps[number]
                axis.imshow(maps[number], vmin=like.min(), vmax=like.max(), interpolation="nearest")
                axis.set_title(f"{number}", size=6, pad=2)
        sizes = " → ".join(" × ".join(map(str, maps.shape)) for maps in (before, after))
        part.suptitle(
            f"{reduction.name}, {reduction.kind}: {sizes}", size=10, x=0.01, ha="left", color=BLUE
        )


def class_maps(model: nn.Module, x: Tensor, classes: int) -> NDArray[np.float32] | None:
    """Return the maps whose averages are the net's outputs, of shape (classes, H, W).

    Args:
        model: the net, in evaluation.
        x: of shape (1, C, H, W), as the net takes it.
        classes: number of outputs.

    Returns:
        None if the net does not end with global average pooling of a map for each class.

    Example:
        >>> from flexpool.lab.nets import build
        >>> class_maps(build("nin").eval(), torch.zeros(1, 1, 224, 224), 10).shape
        (10, 6, 6)
        >>> class_maps(build("lenet5").eval(), torch.zeros(1, 1, 28, 28), 10) is None
        True
    """
    units = [unit for _, unit in _units(model) if type(unit).__name__ == "GlobalAvgPool2d"]
    if not units:
        return None
    with _watching(units[-1:]) as seen, torch.no_grad():
        outputs = model(x)
    before, _ = seen[units[-1]]
    maps = _maps(before)
    if len(maps) != classes or not torch.allclose(before.mean((2, 3)), outputs, atol=1e-4):
        return None
    return maps


def class_map_picture(
    figure: FigureBase,
    image: NDArray[Any],
    maps: NDArray[np.float32],
    classes: Sequence[str],
    true: int | None,
) -> None:
    """Draw the map of each class over the image, with its average and the probability it gives.

    Args:
        figure: where to.
        image: uint8 of shape (C, H, W).
        maps: what :func:`class_maps` gives; of more than 12 those with the largest averages.
        classes: names of the classes.
        true: the image's class, or None if it is not known.
    """
    means = maps.mean(axis=(1, 2))
    weights = np.exp(means - means.max())
    probabilities = weights / weights.sum()
    best = int(means.argmax())
    shown = np.sort(np.argsort(-means, kind="stable")[:_MOST_CLASSES])
    columns = min(6, len(shown) + 1)
    axes = bare(figure, math.ceil((len(shown) + 1) / columns), columns)
    show(axes[0], image)
    axes[0].set_title("the image" if true is None else f"is: {shorten(classes[true])}", size=9)
    low, high = min(0.0, float(maps.min())), float(maps.max())
    height, width = image.shape[1:]
    for axis, number in zip(axes[1:], shown, strict=False):
        show(axis, image)
        axis.imshow(
            maps[number],
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            cmap="inferno",
            alpha=0.72,
            vmin=low,
            vmax=high or 1.0,
            interpolation="nearest",
        )
        title = (
            f"{shorten(classes[number])}\n{means[number]:.2f}, {100 * probabilities[number]:.0f} %"
        )
        axis.set_title(
            title,
            size=9,
            color=BLUE if number == best else INK,
            weight="bold" if number == best else "normal",
        )
    figure.suptitle(
        f"a map for each class: its average over {maps.shape[1]} × {maps.shape[2]} places, and the "
        "probability that follows",
        size=11,
    )


def _units(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """List the layers of a net, a downsampling of several parts as one; without shortcuts."""
    for name, child in module.named_children():
        if name == "shortcut":
            continue
        if isinstance(child, Pooling) or name.startswith("down") or not [*child.children()]:
            yield prefix + name, child
        else:
            yield from _units(child, f"{prefix}{name}.")


def _reduces(name: str, unit: nn.Module) -> bool:
    if isinstance(unit, nn.Conv2d):
        return max(unit.stride) > 1
    return name.rpartition(".")[2].startswith("down")


@contextmanager
def _watching(units: Sequence[nn.Module]) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
    """Note input and output of some layers inside the block."""
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(unit: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        seen[unit] = inputs[0].clone(), y.clone()  # a layer behind may change them in place

    hooks = [unit.register_forward_hook(note) for unit in units]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _maps(x: Tensor) -> NDArray[np.float32]:
    return x[0].cpu().float().numpy()


def _liveliest(maps: NDArray[np.float32]) -> NDArray[np.int64]:
    spread = maps.std(axis=(1, 2))
    return np.sort(np.argsort(-spread, kind="stable")[:_COLUMNS])
