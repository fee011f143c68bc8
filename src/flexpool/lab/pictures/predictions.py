"""What a net takes images for: the confusion matrix, and the images it is wrong about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from flexpool.lab.pictures.canvas import ORANGE, PALE, bare, shorten, show

__all__ = ["confusion", "count", "mistakes", "worst"]

_MOST_NAMES = 40
_MOST_NUMBERS = 20


def count(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count how many images of each class, a row, were taken for each class, a column.

    Example:
        >>> count(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1, 1],
               [0, 1]])
    """
    found = np.bincount(labels * classes + predicted, minlength=classes**2)
    return found.reshape(classes, classes).astype(np.int64)


def confusion(figure: FigureBase, counts: NDArray[Any], classes: Sequence[str]) -> None:
    """Draw a confusion matrix: colours by share of the row, numbers, accuracy of each class.

    Args:
        figure: where to.
        counts: what :func:`count` gives.
        classes: names of the classes; beyond 40 they are not written, beyond 20 the numbers.
    """
    axes = figure.subplots()
    totals = counts.sum(axis=1)
    share = counts / np.maximum(totals, 1)[:, None]
    axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)  # the root, so that 1 % is seen
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    if len(classes) <= _MOST_NAMES:
        places = range(len(classes))
        names = [shorten(name) for name in classes]
        turn = 0 if max(map(len, names)) <= 2 else 90
        axes.set_xticks(places, names, rotation=turn, size=8)
        right = [f"{n}   {100 * share[i, i]:.0f} %" for i, n in enumerate(names)]
        axes.set_yticks(places, right, size=8)
    if len(classes) <= _MOST_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = share[row, column] > 0.35
            colour = "white" if dark else "black"
            text = str(counts[row, column])
            axes.text(column, row, text, ha="center", va="center", size=7, color=colour)
    right_ones = int(np.trace(counts))
    total = int(totals.sum())
    axes.set_title(
        f"{right_ones:,} of {total:,} right: {100 * right_ones / max(total, 1):.2f} %", size=11
    )


def worst(labels: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """List the images a net is wrong about, those first that it is surest of.

    Args:
        labels: the class of each image.
        probabilities: of shape (N, classes).

    Example:
        >>> worst(np.array([0, 0, 1]), np.array([[0.4, 0.6], [0.9, 0.1], [0.8, 0.2]]))
        array([2, 0])
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.nonzero(predicted != labels)[0]
    sure = probabilities[wrong, predicted[wrong]]
    return wrong[np.argsort(-sure, kind="stable")]


def mistakes(
    figure: FigureBase,
    images: NDArray[Any],
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    most: int = 24,
    columns: int = 8,
) -> None:
    """Draw the images a net is wrong about: what each is, what it was taken for, and how surely.

    Args:
        figure: where to.
        images: uint8 of shape (N, C, H, W).
        labels: the class of each.
        probabilities: of shape (N, classes).
        classes: names of the classes.
        most: how many to draw; those first that the net is surest of.
        columns: images in a row.
    """
    wrong = worst(labels, probabilities)
    shown = wrong[:most]
    axes = bare(figure, max(1, math.ceil(len(shown) / columns)), columns)
    for axis, number in zip(axes, shown, strict=False):
        taken = int(probabilities[number].argmax())
        show(axis, images[number])
        sure = f"{100 * probabilities[number, taken]:.0f} %"
        title = f"{shorten(classes[labels[number]])}\n→ {shorten(classes[taken])}, {sure}"
        axis.set_title(title, size=8, color=ORANGE)
    if not len(wrong):
        axes[0].text(0, 0.5, "none", color=PALE)
    figure.suptitle(
        f"{len(wrong):,} of {len(images):,} test images taken for another class"
        + (f", the {len(shown)} surest" if len(shown) < len(wrong) else ""),
        size=11,
    )
