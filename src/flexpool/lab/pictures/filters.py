"""What the first convolution has learned: its filters, as small images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import NDArray
from torch import nn

from flexpool.lab.pictures.canvas import bare

__all__ = ["filters", "first_filters"]

_MOST = 96


def first_filters(model: nn.Module) -> tuple[str, NDArray[np.float32]] | None:
    """Return name and weights of the first convolution, of shape (out, in, k, k), if there is one.

    Example:
        >>> from flexpool.lab.nets import build
        >>> name, weights = first_filters(build("lenet5"))
        >>> name, weights.shape
        ('conv1', (6, 1, 5, 5))
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module.weight.detach().cpu().float().numpy()
    return None


def filters(figure: FigureBase, name: str, weights: NDArray[Any], columns: int = 12) -> None:
    """Draw filters: in colours where they see three channels, else by sign, red for what is > 0.

    All have one scale, whose middle, grey or white, is 0.

    Args:
        figure: where to.
        name: of the layer.
        weights: of shape (out, in, k, k); of more than 96 the first are drawn, and where ``in`` is
            neither 1 nor 3 their mean over it.
        columns: filters in a row, at most.
    """
    shown = weights[:_MOST]
    columns = min(columns, len(shown))
    largest = float(np.abs(shown).max()) or 1.0
    axes = bare(figure, math.ceil(len(shown) / columns), columns)
    for axis, kernel in zip(axes, shown, strict=False):
        if len(kernel) == 3:
            axis.imshow(0.5 + kernel.transpose(1, 2, 0) / (2 * largest), interpolation="nearest")
        else:
            axis.imshow(
                kernel.mean(axis=0),
                cmap="RdBu_r",
                vmin=-largest,
                vmax=largest,
                interpolation="nearest",
            )
    count = f"{len(weights)}" if len(shown) == len(weights) else f"first {_MOST} of {len(weights)}"
    size = " × ".join(map(str, weights.shape[2:]))
    figure.suptitle(f"{name}: {count} filters of {size}", size=11)
