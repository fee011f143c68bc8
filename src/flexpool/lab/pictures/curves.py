"""The curves of one run: losses and accuracies by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from flexpool.lab.pictures.canvas import BLUE, ORANGE, PALE
from flexpool.lab.store import Epoch

__all__ = ["curves", "turning_point"]


def turning_point(curve: Sequence[Epoch]) -> int | None:
    """Return the epoch after which the test loss only was higher, or None if that is the last.

    Example:
        >>> rows = [Epoch(n, 0.0, 0.0, loss, 0.0, 0.0, 0.0) for n, loss in ((1, 0.5), (2, 0.6))]
        >>> turning_point(rows), turning_point(rows[:1])
        (1, None)
    """
    lowest = min(curve, key=lambda row: row.test_loss)
    return lowest.epoch if lowest.epoch < curve[-1].epoch else None


def curves(figure: FigureBase, curve: Sequence[Epoch], title: str) -> None:
    """Draw losses above and accuracies below, of training and test images.

    A line marks the epoch of the lowest test loss where it is not the last: from there on the net
    learns its training images by heart.

    Args:
        figure: where to.
        curve: a row per epoch, at least one.
        title: what was trained.
    """
    above, below = figure.subplots(2, 1, sharex=True)
    epochs = [row.epoch for row in curve]
    mark = "o" if len(epochs) < 30 else ""
    for axes, name, factor in ((above, "loss", 1.0), (below, "accuracy", 100.0)):
        for part, colour in (("train", BLUE), ("test", ORANGE)):
            values = [factor * getattr(row, f"{part}_{name}") for row in curve]
            label = "training" if part == "train" else "test"
            axes.plot(epochs, values, mark + "-", color=colour, markersize=3.5, label=label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    above.set_ylabel("loss")
    below.set_ylabel("accuracy, %")
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    above.legend(frameon=False)
    above.set_title(title, loc="left")
    turn = turning_point(curve)
    if turn is not None:
        for axes in (above, below):
            axes.axvline(turn, color=PALE, linewidth=1, linestyle=":")
        text = f" lowest test loss: epoch {turn}"
        above.annotate(
            text,
            (turn, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            ha="left" if turn <= (epochs[0] + epochs[-1]) / 2 else "right",
            size=8,
            color=PALE,
        )
