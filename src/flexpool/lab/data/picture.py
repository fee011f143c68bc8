"""A picture of some training images, each with its class."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flexpool.lab.data.dataset import Dataset
from flexpool.lab.data.folder import short

__all__ = ["choose", "draw"]

# Up to so many classes, each gets a column of its own, with its name on top; with more, the images
# stand in rows of ten and each has its name below.
_MOST_COLUMNS = 12
_INK, _PALE = "#1a1a1a", "#6b6b6b"

# Everything is laid out in pixels of the file, so that each pixel of an image becomes a square.
_DPI = 150
_TILE, _GAP, _MARGIN, _HEAD, _NAME = 112, 10, 36, 120, 30


@dataclass(frozen=True)
class _Tile:
    """One image in the picture: which one, its upper left corner, and where its name stands."""

    sample: int
    x: int
    y: int
    name: str
    baseline: int | None


def choose(
    labels: npt.NDArray[np.int64], classes: int, count: int, seed: int
) -> npt.NDArray[np.int64]:
    """Choose samples so that the classes take turns: 0, 1, 2, ..., 0, 1, 2, ...

    Args:
        labels: class of each sample.
        classes: number of classes.
        count: how many samples; fewer are returned if there are not as many.
        seed: which ones.

    Returns:
        Their positions, no position twice.

    Example:
        >>> labels = np.array([1, 1, 0])
        >>> labels[choose(labels, classes=2, count=3, seed=0)]
        array([0, 1, 1])
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = [shuffled[labels[shuffled] == label] for label in range(classes)]
    turns = max(len(members) for members in by_class)
    order = [members[turn] for turn in range(turns) for members in by_class if turn < len(members)]
    return np.array(order[:count], np.int64)


def draw(data: Dataset, count: int, seed: int) -> bytes:
    """Draw training images of a data set as a PNG file.

    Args:
        data: the data set.
        count: number of images, at least 1.
        seed: which images are drawn.
    """
    # A figure by hand: pyplot would keep global state and look for a screen.
    from matplotlib.figure import Figure

    chosen = choose(data.train_labels, len(data.classes), count, seed)
    tiles = _arrange([(int(i), data.classes[data.train_labels[i]]) for i in chosen], data)
    # The heading needs its room even above a single column.
    width = max(max(tile.x for tile in tiles), 7 * _TILE) + _TILE + _MARGIN
    height = max(max(tile.y + _TILE, tile.baseline or 0) for tile in tiles) + _MARGIN
    page = np.full((height, width, 3), 255, np.uint8)
    for tile in tiles:
        image = _enlarge(data.train_images[tile.sample])
        page[tile.y : tile.y + image.shape[0], tile.x : tile.x + image.shape[1]] = image

    # A trifle more, since matplotlib rounds the product of inches and dots per inch down.
    inches = ((width + 0.01) / _DPI, (height + 0.01) / _DPI)
    figure = Figure(figsize=inches, dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(page, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    for tile in tiles:
        if tile.baseline is not None:
            middle = tile.x + _TILE / 2
            axes.text(middle, tile.baseline, _short(tile.name), size=8.5, color=_INK, ha="center")
    axes.text(_MARGIN, _MARGIN, short(data.name), size=15, weight="bold", color=_INK, va="top")
    axes.text(_MARGIN, _MARGIN + 42, _facts(data, len(tiles)), size=8.5, color=_PALE, va="top")
    file = io.BytesIO()
    # No software version in the file: the same picture is the same bytes.
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()


def _arrange(samples: list[tuple[int, str]], data: Dataset) -> list[_Tile]:
    """Place samples in a column per class, or, if there are many classes, in rows of ten."""
    top, step = _MARGIN + _HEAD, _TILE + _GAP
    tiles = []
    if len(data.classes) > _MOST_COLUMNS:
        for place, (sample, name) in enumerate(samples):
            row, column = divmod(place, 10)
            y = top - _NAME + row * (step + _NAME)
            tiles.append(_Tile(sample, _MARGIN + column * step, y, name, y + _TILE + _NAME - 8))
        return tiles
    columns = {name: column for column, name in enumerate(dict.fromkeys(n for _, n in samples))}
    filled: Counter[str] = Counter()
    for sample, name in samples:
        row = filled[name]
        filled[name] += 1
        baseline = top - 8 if row == 0 else None
        tiles.append(
            _Tile(sample, _MARGIN + columns[name] * step, top + row * step, name, baseline)
        )
    return tiles


def _enlarge(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn (C, H, W) into (H, W, 3) that fills a tile: each pixel repeated, or some left out."""
    longest = max(image.shape[1:])
    times, every = max(1, _TILE // longest), -(-longest // _TILE)
    scaled = image[:, ::every, ::every].repeat(times, axis=1).repeat(times, axis=2)
    return np.broadcast_to(scaled.transpose(1, 2, 0), (*scaled.shape[1:], 3))


def _facts(data: Dataset, count: int) -> str:
    height, width = data.train_images.shape[2:]
    test = len(data.test_images)
    return (
        f"{count} of {len(data.train_images):,} training images; {test:,} more for "
        f"testing. {height} × {width} pixels, {len(data.classes)} classes. Licence: {data.licence}."
    )


def _short(name: str) -> str:
    """Cut a name that is wider than a tile."""
    return name if len(name) <= 12 else f"{name[:11]}…"
