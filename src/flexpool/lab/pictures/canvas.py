"""What all pictures of a run share: figures that become PNG files, images, colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

__all__ = ["BLUE", "GREEN", "INK", "ORANGE", "PALE", "bare", "picture", "shorten", "show"]

INK, PALE = "#1a1a1a", "#6b6b6b"

# Told apart by people with any colour vision: M. Okabe, K. Ito (2008), Color Universal Design.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"

_DPI = 110


def picture(
    draw: Callable[..., None], *arguments: Any, width: float, height: float, **options: Any
) -> bytes:
    """Draw on a figure of its own.

    Args:
        draw: draws on the figure that it is given first.
        arguments, options: what else it is given.
        width, height: of the figure, in inches.

    Returns:
        A PNG file; the same bytes for the same arguments.
    """
    # A figure by hand: pyplot would keep global state and look for a screen.
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    draw(figure, *arguments, **options)
    file = io.BytesIO()
    # No software version in the file: the same picture is the same bytes.
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def bare(figure: FigureBase, rows: int, columns: int) -> list[Axes]:
    """Make a grid of axes without marks, row by row."""
    grid: NDArray[Any] = figure.subplots(rows, columns, squeeze=False)
    axes = [axis for row in grid for axis in row]
    for axis in axes:
        axis.set_axis_off()
    return axes


def show(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Show an image of bytes of shape (C, H, W) in its colours, or in greys if C is not 3."""
    if len(image) == 3:
        axes.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    else:
        axes.imshow(image[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def shorten(name: str, most: int = 14) -> str:
    """Cut a name that is too long.

    Example:
        >>> shorten("large_omnivores"), shorten("Ankle boot")
        ('large_omnivor…', 'Ankle boot')
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"
